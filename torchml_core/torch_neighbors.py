"""Neighbor lists from torch tensors, differentiable in positions and cell; graphs for networks.

Searches are done on the processor in float64. What they find is whole numbers; vectors and
distances are computed from them, where positions are, and torch can differentiate them as often
as one likes (distances not where they are 0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from torchml_core.batch import as_batch
from torchml_core.errors import InputError
from torchml_core.neighbors import neighbor_list, neighbor_lists
from torchml_core.torch_threads import settle_torch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from numpy.typing import ArrayLike

    from torchml_core.annotations import StructureLike


class NeighborGraph(NamedTuple):
    """Edges of many structures as one graph, as graph networks take them.

    Attributes
    ----------
    edge_index : (2, n_edges) int64
        Center and neighbor of each edge, atoms counted among those of all structures.
    shifts : (n_edges, 3) int32
        The cell shift of the neighbor, in whole cells of its structure.
    batch : (n_atoms,) int64
        The structure of each atom.
    """

    edge_index: torch.Tensor
    shifts: torch.Tensor
    batch: torch.Tensor


def neighbor_graph(
    structures: Iterable[StructureLike] | None = None,
    cutoff: float | None = None,
    *,
    positions: ArrayLike | None = None,
    atom_offsets: ArrayLike | None = None,
    cells: ArrayLike | None = None,
    pbc: ArrayLike | None = None,
    half: bool = False,
    self_interaction: bool = False,
    sorted_rows: bool = False,
    n_threads: int | None = None,
) -> NeighborGraph:
    """List the edges of many structures as tensors, with the structure of each atom.

    Parameters
    ----------
    structures, cutoff, ...
        As in :func:`torchml_core.neighbor_lists`: ASE Atoms, or arrays or tensors of all.

    Returns
    -------
    NeighborGraph
        Tensors where positions are. The vector of an edge in structure k is
        ``positions[j] - positions[i] + shifts @ cells[k]``.

    Raises
    ------
    InputError
        As :func:`torchml_core.neighbor_lists`.
    """
    settle_torch()
    batch: Any = structures
    if structures is not None:
        batch = as_batch(
            structures, positions=positions, atom_offsets=atom_offsets, cells=cells, pbc=pbc
        )
        positions, atom_offsets = None, batch.atom_offsets
    lists = neighbor_lists(
        "ijS",
        batch,
        cutoff,
        positions=positions,
        atom_offsets=None if structures is not None else atom_offsets,
        cells=cells,
        pbc=pbc,
        half=half,
        self_interaction=self_interaction,
        sorted_rows=sorted_rows,
        n_threads=n_threads,
    )
    i, j, S, _ = map(torch.as_tensor, lists)
    atoms_of = torch.as_tensor(atom_offsets, device=i.device).long().diff()
    batch = torch.arange(len(atoms_of), device=i.device).repeat_interleave(atoms_of)
    return NeighborGraph(torch.stack([i, j]).long(), S, batch)


@torch.compiler.disable  # a search is no graph
def tensor_neighbor_list(quantities, cutoff, positions, cell, pbc, options):
    """Do what :func:`torchml_core.neighbor_list` does, from tensors to tensors."""
    settle_torch()
    cell = _as_tensor("cell", cell, positions)

    def find(positions, cell, pbc):
        return neighbor_list(
            "ijS", cutoff=cutoff, positions=positions, cell=cell, pbc=pbc, **options
        )

    i, j, S = _Search.apply(find, positions, cell, pbc)
    moved = 0
    if cell is not None:
        moved = S.to(positions.dtype) @ (torch.diag(cell) if cell.ndim == 1 else cell)
    found = _quantities(quantities, i, j, S, positions, moved)
    return found[0] if len(found) == 1 else found


@torch.compiler.disable
def tensor_neighbor_lists(quantities, cutoff, positions, atom_offsets, cells, pbc, options):
    """Do what :func:`torchml_core.neighbor_lists` does, from tensors to tensors."""
    settle_torch()
    cells = _as_tensor("cells", cells, positions)

    def find(positions, atom_offsets, cells, pbc):
        arrays = {"positions": positions, "atom_offsets": atom_offsets, "cells": cells, "pbc": pbc}
        return neighbor_lists("ijS", cutoff=cutoff, **arrays, **options)

    i, j, S, begin = _Search.apply(find, positions, atom_offsets, cells, pbc)
    of_structure = torch.arange(len(begin) - 1, device=begin.device)
    of_structure = of_structure.repeat_interleave(begin.diff(), output_size=len(i))
    moved = torch.einsum("pa,pab->pb", S.to(positions.dtype), cells[of_structure])
    return *_quantities(quantities, i, j, S, positions, moved), begin


class _Search(torch.autograd.Function):
    """A search, called with arrays of what it is given. Indices have no derivatives.

    Torch hands plain tensors to such a function, inside of torch.func's transforms too.
    """

    @staticmethod
    def forward(find, positions, *others):
        i, j, S, *begin = find(*map(_as_array, (positions, *others)))
        found = (torch.from_numpy(i).long(), torch.from_numpy(j).long(), torch.from_numpy(S))
        return tuple(t.to(positions.device) for t in (*found, *map(torch.from_numpy, begin)))

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.mark_non_differentiable(*output)
        ctx.n_inputs, ctx.n_outputs = len(inputs), len(output)

    @staticmethod
    def backward(ctx, *_):
        return (None,) * ctx.n_inputs

    @staticmethod
    def jvp(ctx, *_):
        return (None,) * ctx.n_outputs

    @staticmethod
    def vmap(*_):
        raise InputError(
            "positions: vmap over structures would need lists of the same length for all;"
            " neighbor_lists, which takes many structures, is needed instead"
        )


def _as_tensor(name, cell, positions):
    """Cell vectors as a tensor like positions, or None."""
    if not isinstance(positions, torch.Tensor):
        kind = type(positions).__name__
        raise InputError(f"positions is a {kind}; a torch.Tensor, as {name}, is needed")
    if not positions.is_floating_point():
        raise InputError(f"positions is of dtype {positions.dtype}; a floating type is needed")
    if isinstance(cell, torch.Tensor) and cell.is_complex():
        raise InputError(f"{name} is of dtype {cell.dtype}; real numbers are needed")
    if cell is None:
        return None
    try:
        cell = np.asarray(cell) if isinstance(cell, (list, tuple)) else cell  # of tensors, too
        return torch.as_tensor(cell).to(positions)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: an array of real numbers is needed: {error}") from None


def _as_array(value):
    """A tensor as an array, floats in float64; anything else as it is."""
    if not isinstance(value, torch.Tensor):
        return value
    value = value.detach().cpu()
    return (value.double() if value.is_floating_point() else value).numpy()


def _quantities(quantities, i, j, S, positions, moved):
    """``moved``: by how much the cell shifts move neighbors."""
    found = {"i": i, "j": j, "S": S}
    if "D" in quantities or "d" in quantities:
        found["D"] = positions[j] - positions[i] + moved
        found["d"] = torch.linalg.vector_norm(found["D"], dim=1)
    return tuple(found[quantity] for quantity in quantities)
