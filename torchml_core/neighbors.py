"""Neighbor lists in the form of ASE, matscipy and vesin."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import _memory, checks
from torchml_core._batch_lists import batch_lists
from torchml_core._neighbors import WORTH_A_THREAD, PairSearch
from torchml_core._one_step import plain_lists
from torchml_core.batch import as_batch
from torchml_core.errors import InputError
from torchml_core.pairs import complaint, search_pairs
from torchml_core.structure import as_structure
from torchml_core.threads import resolve_n_threads

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from numpy.typing import ArrayLike

    from torchml_core.annotations import StructureLike


# dtype of each quantity, and its shape for one pair
QUANTITIES = {
    "i": (np.int32, ()),
    "j": (np.int32, ()),
    "S": (np.int32, (3,)),
    "D": (np.float64, (3,)),
    "d": (np.float64, ()),
}
BYTES = {"i": 4, "j": 4, "S": 12, "D": 24, "d": 8}  # of one pair's
MOST_ATOMS = 2**31 - 1  # they are counted in int32
# Of a batch, so many are searched before their lists are written, so that what was found is still
# in the cache. Several threads, which wait for each other each time, get four times as many each.
ATOMS_AT_ONCE = 128


class NeighborWorkspace:
    """Memory of a neighbor search and of its results, for use in one call after another.

    Pass it as ``out=`` to :func:`neighbor_list`: the arrays that come back lie in it and hold
    until the next call with it, which writes over them. For one call at a time: another thread,
    or a signal handler, that comes in between gets an InputError.
    """

    def __init__(self) -> None:
        self._search = PairSearch()
        self._buffers: dict[str, np.ndarray] = {}

    def __reduce__(self):
        return NeighborWorkspace, ()  # a copy has memory of its own, and nothing in it

    def _array(self, quantity, n):
        held = self._buffers.get(quantity)
        if held is None or len(held) < n:
            capacity = n + n // 16  # there may be a few more pairs next time
            held = self._buffers[quantity] = _memory.empty(*_form(quantity, capacity))
        return held[:n]


def neighbor_list(
    quantities: str,
    structure: StructureLike | None = None,
    cutoff: float | None = None,
    *,
    positions: ArrayLike | None = None,
    cell: ArrayLike | None = None,
    pbc: ArrayLike | None = None,
    half: bool = False,
    self_interaction: bool = False,
    sorted_rows: bool = False,
    out: NeighborWorkspace | None = None,
    n_threads: int | None = None,
) -> Any:
    """List all pairs of atoms nearer than a cutoff, periodic images included.

    Parameters
    ----------
    quantities : str
        What to return, in this order, of ``i`` center, ``j`` neighbor, ``S`` cell shift,
        ``D`` vector, ``d`` distance.
    structure : ase.Atoms, optional
        Or positions, cell and pbc as arrays; with positions (and cell) as torch tensors, tensors
        are returned, and D and d can be differentiated with respect to them.
    cutoff : float
        In Å; pairs with d < cutoff are listed.
    half : bool
        Each pair once instead of from both ends: i < j, or for an atom and its own image one of
        S and -S.
    self_interaction : bool
        List each atom as its own neighbor too, with S = 0.
    sorted_rows : bool
        Neighbors of each atom in the order of j, then S. Otherwise their order is that of the
        search: always the same for the same input, whatever the number of threads.
    out : NeighborWorkspace, optional
        Memory to use again; see there.
    n_threads : int, optional
        Results do not depend on it.

    Returns
    -------
    tuple of arrays, or one array for one quantity
        i, j : (n_pairs,) int32, ascending in i; S : (n_pairs, 3) int32; D : (n_pairs, 3)
        float64, ``positions[j] - positions[i] + S @ cell``; d : (n_pairs,) float64, its length.
        (Tensors: i and j int64, as torch wants indices; D and d of the positions' dtype.)

    Raises
    ------
    InputError
        Quantities that are not known, a cutoff that is not positive and finite, or a structure
        that :func:`torchml_core.structure.as_structure` refuses.

    Notes
    -----
    Large arrays come from memory that earlier results gave back when they were dropped, where
    there is some: see :func:`torchml_core.set_kept_memory`.
    """
    found = plain_lists(
        quantities,
        structure,
        cutoff,
        positions,
        cell,
        pbc,
        half,
        self_interaction,
        sorted_rows,
        out,
        n_threads,
    )
    if found is not None:
        return found
    # something has to be converted, or is wrong
    _check_quantities(quantities)
    options = _options(half, self_interaction, sorted_rows, n_threads)
    if _is_tensor(positions) or _is_tensor(cell):
        from torchml_core.torch_neighbors import tensor_neighbor_list  # torch is loaded already

        if structure is not None or out is not None:
            raise InputError(
                "structure, out: None is needed with positions or cell as a torch tensor"
            )
        return tensor_neighbor_list(quantities, cutoff, positions, cell, pbc, options)
    structure = as_structure(structure, positions=positions, cell=cell, pbc=pbc, with_kinds=False)
    if out is not None and not isinstance(out, NeighborWorkspace):
        raise InputError(f"out is a {type(out).__name__}; a NeighborWorkspace is needed")
    with search_pairs(
        structure,
        checks.positive("cutoff", cutoff),
        **options,
        search=None if out is None else out._search,
        bytes_per_pair=sum(BYTES[quantity] for quantity in quantities),
    ) as search:
        found = _write(search, quantities, out)
    return found[0] if len(found) == 1 else found


def neighbor_lists(
    quantities: str,
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
) -> tuple[Any, ...]:
    """List the pairs of many structures in one call, one structure after another.

    Parameters
    ----------
    quantities, cutoff, half, self_interaction, sorted_rows, n_threads
        As in :func:`neighbor_list`.
    structures : sequence of ase.Atoms, optional
        Or all their arrays:
    positions : (n_atoms, 3) float64
        Of all structures, one after another. With positions (and cells) as torch tensors, tensors
        come back, and D and d can be differentiated with respect to them.
    atom_offsets : (n_structures + 1,) int
        Where the atoms of each structure begin; the last is n_atoms.
    cells : (n_structures, 3, 3) float64
    pbc : bool, (3,) or (n_structures, 3) of bool

    Returns
    -------
    tuple of arrays
        The quantities, atoms counted among those of all structures, as a batch of graphs wants
        them; and last (n_structures + 1,) int64, where the pairs of each structure begin.
        (With positions as a torch tensor, tensors as in :func:`neighbor_list`.)

    Raises
    ------
    InputError
        As :func:`neighbor_list`; the message names the structure.
    """
    _check_quantities(quantities)
    options = _options(half, self_interaction, sorted_rows, n_threads)
    if _is_tensor(positions) or _is_tensor(cells):
        from torchml_core.torch_neighbors import tensor_neighbor_lists  # torch is loaded already

        if structures is not None:
            raise InputError("structures: None is needed with positions or cells as a torch tensor")
        return tensor_neighbor_lists(
            quantities, cutoff, positions, atom_offsets, cells, pbc, options
        )
    batch = as_batch(
        structures, positions=positions, atom_offsets=atom_offsets, cells=cells, pbc=pbc
    )
    if len(batch.positions) > MOST_ATOMS:
        raise InputError(
            f"positions: {len(batch.positions)} atoms; at most {MOST_ATOMS} are possible"
        )
    cutoff = checks.positive("cutoff", cutoff)
    n_threads = resolve_n_threads(n_threads, len(batch.positions) // WORTH_A_THREAD)
    found, fault = batch_lists(
        quantities,
        batch.positions,
        batch.atom_offsets,
        batch.cells,
        batch.pbc.astype(np.int32),
        cutoff,
        options["half"],
        options["self_interaction"],
        options["sorted_rows"],
        n_threads,
        ATOMS_AT_ONCE * (4 * n_threads if n_threads > 1 else 1),
    )
    if fault is not None:
        structure, kind = fault
        raise InputError(complaint(structure, kind, cutoff, batch))
    return found


def _check_quantities(quantities):
    if (
        not isinstance(quantities, str)
        or not quantities
        or set(quantities) - set(QUANTITIES)
        or len(set(quantities)) < len(quantities)
    ):
        checks.refuse("quantities", quantities, "a text of letters of 'ijSDd', each once,")


def _options(half, self_interaction, sorted_rows, n_threads):
    return {
        "half": checks.flag("half", half),
        "self_interaction": checks.flag("self_interaction", self_interaction),
        "sorted_rows": checks.flag("sorted_rows", sorted_rows),
        "n_threads": n_threads,
    }


def _is_tensor(value):
    torch = sys.modules.get("torch")  # whoever has a tensor has loaded it
    return torch is not None and isinstance(value, torch.Tensor)


def _write(search, quantities, out):
    """Arrays of the pairs that a search found."""
    n = search.n_pairs
    if out is None:
        arrays = {quantity: _memory.empty(*_form(quantity, n)) for quantity in quantities}
    else:
        arrays = {quantity: out._array(quantity, n) for quantity in quantities}
    search.fill(**arrays)
    return tuple(arrays.values())


def _form(quantity, n):
    """Shape and dtype of a quantity of n pairs."""
    dtype, shape = QUANTITIES[quantity]
    return (n, *shape), dtype
