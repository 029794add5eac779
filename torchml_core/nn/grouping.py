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
    if n_elements == 1:  # in order already; a code other than 0 becomes an index out of range
        n = rows.shape[0]
        return [rows], torch.arange(n, device=rows.device) + n * species
    # unlike bincount, this has a fixed size, and refuses codes that are too large
    counts = species.new_zeros(n_elements).scatter_add(0, species, torch.ones_like(species))
    order = torch.argsort(species)
    sizes: list[int] = counts.tolist()
    return list(torch.split(rows.index_select(0, order), sizes)), order


def in_given_order(parts: list[Tensor], order: Tensor) -> Tensor:
    """Return one value for each atom, in the order of the rows before they were sorted."""
    values = torch.cat(parts)
    return torch.empty_like(values).index_copy(0, order, values)
