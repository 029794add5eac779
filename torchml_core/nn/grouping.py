"""Rows of atoms sorted by element, so that each element's network gets its atoms in one piece."""

import torch
from torch import Tensor


def rows_by_element(rows: Tensor, species: Tensor, n_elements: int) -> tuple[list[Tensor], Tensor]:
    """Return the rows of each element, and the order that :func:`in_given_order` undoes.

    Can be scripted and exported, also where an element has no atoms.

    Parameters
    ----------
    rows : (n, width) tensor
    species : (n,) int64 tensor
        Codes of elements, 0 to ``n_elements - 1``.
    n_elements : int
    """
    counts = torch.bincount(species, minlength=n_elements)
    if torch.jit.is_scripting():
        if counts.shape[0] != n_elements:
            raise ValueError("species: codes below the number of elements are needed")
    else:  # what torch.export understands
        torch._check(counts.shape[0] == n_elements)
    order = torch.argsort(species)
    sizes: list[int] = counts.tolist()
    parts = torch.split(rows.index_select(0, order), sizes)
    return list(parts), order


def in_given_order(parts: list[Tensor], order: Tensor) -> Tensor:
    """Return one value for each atom, in the order of the rows before they were sorted."""
    values = torch.cat(parts)
    return torch.empty_like(values).index_copy(0, order, values)
