"""Batches: many structures as one set of arrays."""

from dataclasses import dataclass

import numpy as np

from torchml_core import checks
from torchml_core._plain import plain_batch, suspect_cells
from torchml_core.errors import InputError
from torchml_core.structure import as_structure, check_cell


@dataclass(frozen=True)
class Batch:
    """Many structures, their atoms one after another.

    Attributes
    ----------
    positions : (n_atoms, 3) float64
    atom_offsets : (n_structures + 1,) int64
        Where the atoms of each structure begin.
    cells : (n_structures, 3, 3) float64
    pbc : (n_structures, 3) bool
    """

    positions: np.ndarray
    atom_offsets: np.ndarray
    cells: np.ndarray
    pbc: np.ndarray

    @property
    def n_structures(self):
        return len(self.cells)


def as_batch(structures=None, *, positions=None, atom_offsets=None, cells=None, pbc=None):
    """Return a checked :class:`Batch` from a sequence of ASE ``Atoms``, or from its arrays.

    Parameters
    ----------
    structures : sequence of ase.Atoms, or Batch, optional
        Instead of the arrays, whose shapes are those of :class:`Batch`.

    Raises
    ------
    InputError
        What is wrong, and in which structure.
    """
    arrays = (positions, atom_offsets, cells, pbc)
    if structures is not None:
        if any(array is not None for array in arrays):
            raise InputError("structures: either structures or arrays are needed, not both")
        if isinstance(structures, Batch):
            return structures  # checked before
        return _join(structures)
    if any(array is None for array in arrays):
        raise InputError(
            "structures: ASE Atoms, or positions, atom_offsets, cells and pbc, are needed"
        )
    positions = checks.positions("positions", positions)
    offsets = checks.integers("atom_offsets", atom_offsets, least=0, dtype=np.int64)
    if (
        offsets.size == 0
        or offsets[0] != 0
        or offsets[-1] != len(positions)
        or (np.diff(offsets) < 0).any()
    ):
        raise InputError(
            f"atom_offsets = {checks.shown(offsets)}: whole numbers that ascend from 0 to"
            f" {len(positions)}, the number of positions, are needed"
        )
    n = len(offsets) - 1
    cells = checks.real_numbers("cells", cells, (n, 3, 3))
    pbc = checks.periodic("pbc", pbc, (n, 3))
    _check_cells(cells, pbc)
    return Batch(positions, offsets, cells, pbc)


def _join(structures):
    structures = checks.sequence("structures", structures, "a sequence of ASE Atoms")
    arrays = plain_batch(structures)
    if arrays is not None:
        return Batch(*arrays)
    found = []  # something has to be converted, or is wrong
    for number, structure in enumerate(structures):
        try:
            found.append(as_structure(structure, with_kinds=False))
        except InputError as error:
            raise InputError(f"structure {number}: {error}") from None
    counts = [len(structure) for structure in found]
    return Batch(
        np.concatenate([np.zeros((0, 3)), *(structure.positions for structure in found)]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.array([structure.cell for structure in found]).reshape(-1, 3, 3),
        np.array([structure.pbc for structure in found], dtype=bool).reshape(-1, 3),
    )


def _check_cells(cells, pbc):
    for number in suspect_cells(cells, pbc.view(np.uint8)):
        try:
            check_cell(cells[number], pbc[number])
        except InputError as error:
            raise InputError(f"structure {number}: {error}") from None
