"""Input structures: ASE ``Atoms`` or plain arrays, converted and checked once, here."""

import functools
import math
from dataclasses import dataclass

import numpy as np

from torchml_core import checks
from torchml_core._plain import plain_numbers, plain_structure, present
from torchml_core.errors import InputError

CELL_VECTORS = "abc"
# Below this ratio of volume to product of lengths (for a pair of vectors: sine of the angle),
# periodic cell vectors count as linearly dependent: float64 cannot tell their images apart.
SINGULAR = 1e-9
LAST_ELEMENT = 118  # of ASE's symbols


@dataclass(frozen=True)
class Structure:
    """Atoms in a cell, periodic in any of its directions or none.

    Parameters
    ----------
    positions : (n_atoms, 3) float64
        In Å.
    cell : (3, 3) float64
        Cell vectors in rows; those of directions that are not periodic mean nothing.
    pbc : (3,) bool
        Which directions are periodic.
    kinds : (n_atoms,) int64 or None
        Which of ``kind_names`` each atom is; None for work that needs no species.
    kind_names : tuple of str or None
        The chemical symbols that occur, alphabetically.
    """

    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    kinds: np.ndarray | None = None
    kind_names: tuple | None = None

    def __len__(self):
        return len(self.positions)


def as_structure(
    structure=None, *, positions=None, cell=None, pbc=None, symbols=None, with_kinds=True
):
    """Return a checked :class:`Structure` from ASE ``Atoms`` or from arrays.

    Parameters
    ----------
    structure : ase.Atoms or Structure, optional
        Instead of the arrays.
    positions : (n_atoms, 3) array_like, optional
    cell : (3, 3) or (3,) array_like, optional
        Cell vectors in rows, or the lengths of an orthogonal cell.
    pbc : bool or (3,) array_like of bool, optional
        Must be said where a cell is given, since guessing it wrong would go unnoticed.
    symbols : sequence of str, optional
    with_kinds : bool
        Whether the kinds of Atoms are wanted; without, a small search is a tenth faster.

    Raises
    ------
    InputError
        Both or neither of structure and positions; positions not finite or of wrong shape; a
        periodic cell without volume.
    """
    if structure is None:
        if positions is None:
            raise InputError(
                "structure: ASE Atoms, or positions= (with cell= and pbc=), are needed"
            )
        if cell is not None and pbc is None:
            raise InputError("pbc: True, False, or three of them, is needed with a cell")
    else:
        if not (positions is None and cell is None and pbc is None and symbols is None):
            raise InputError(
                "structure: either a structure, or positions=, cell=, pbc=, symbols=, is needed,"
                " not both"
            )
        if isinstance(structure, Structure):
            return structure  # checked before
        try:
            positions, cell, pbc = structure.positions, structure.cell, structure.pbc
            numbers = structure.numbers
        except AttributeError:
            kind = type(structure).__name__
            raise InputError(
                f"structure is a {kind}; ASE Atoms are needed, or positions="
            ) from None
        arrays = plain_structure(positions, getattr(cell, "array", cell), pbc)
        if not plain_numbers(numbers):
            numbers = checks.integers(
                "numbers", numbers, least=0, most=LAST_ELEMENT, dtype=np.int64
            )
        if arrays is None:
            arrays = checks.positions("positions", positions), *check_cell(np.asarray(cell), pbc)
        return _structure(*arrays, *(_kinds(numbers) if with_kinds else ()))
    if symbols is None and (cell is None) == (pbc is None):
        arrays = plain_structure(positions, cell, pbc)
        if arrays is not None:
            return _structure(*arrays)
    positions = checks.positions("positions", positions)
    if pbc is None:  # and no cell
        cell, pbc = np.zeros((3, 3)), np.zeros(3, dtype=bool)
    else:
        cell, pbc = check_cell(np.zeros((3, 3)) if cell is None else cell, pbc)
    if symbols is None:
        return Structure(positions, cell, pbc)
    symbols = checks.as_array("symbols", symbols, "a sequence of chemical symbols")
    if symbols.size and not all(isinstance(symbol, str) for symbol in symbols.flat):
        checks.refuse("symbols", symbols, "a sequence of chemical symbols")
    if symbols.shape != (len(positions),):
        raise InputError(
            f"symbols: one for each of the {len(positions)} positions is needed, not {symbols.size}"
        )
    symbols = symbols.astype(str)
    names, kinds = np.unique(symbols, return_inverse=True)
    return Structure(positions, cell, pbc, kinds, tuple(names.tolist()))


def check_cell(cell, pbc):
    """Return a cell as (3, 3) float64 and pbc as (3,) bool, or raise InputError."""
    if getattr(cell, "shape", None) != (3, 3):
        cell = checks.as_array("cell", cell, "an array of shape (3, 3), or (3,) for lengths,")
        if cell.shape == (3,):
            cell = np.diag(checks.real_numbers("cell", cell, (3,)))
    cell = checks.real_numbers("cell", cell, (3, 3)).copy()
    pbc = checks.periodic("pbc", pbc)
    if not pbc.any():
        return cell, pbc
    vectors = [vector for vector, on in zip(cell.tolist(), pbc.tolist(), strict=True) if on]
    if not _sine(vectors) >= SINGULAR:
        names = ", ".join(vector for vector, on in zip(CELL_VECTORS, pbc, strict=True) if on)
        raise InputError(
            f"cell = {cell.tolist()} is singular: linearly independent periodic vectors {names}"
            " are needed (or pbc = False in directions that are not periodic)"
        )
    return cell, pbc


def _sine(vectors):
    """Volume (area, 1) spanned by up to three unit vectors along the given ones; 0 if one is zero.

    In plain numbers: for so few, numpy's calls would take most of the time of a small search.
    """
    lengths = [math.hypot(*vector) for vector in vectors]
    if 0.0 in lengths:
        return 0.0
    (ax, ay, az), *others = ([x / n for x in v] for v, n in zip(vectors, lengths, strict=True))
    if not others:
        return 1.0
    bx, by, bz = others[0]
    cross = (ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx)
    if len(others) == 1:
        return math.hypot(*cross)
    return abs(sum(x * y for x, y in zip(cross, others[1], strict=True)))


def _kinds(numbers):
    """Kinds and their names, of atomic numbers."""
    table, names = kinds_of(present(numbers))
    return table[numbers], names


@functools.lru_cache(maxsize=128)
def kinds_of(numbers):
    """Return (119,) int64, the kind of each element, and the names of the kinds that occur.

    Parameters
    ----------
    numbers : tuple of int
        The atomic numbers that occur.
    """
    from ase.data import chemical_symbols  # whoever has Atoms has loaded it already

    names = sorted(chemical_symbols[number] for number in numbers)
    table = np.zeros(LAST_ELEMENT + 1, dtype=np.int64)
    for number in numbers:
        table[number] = names.index(chemical_symbols[number])
    return table, tuple(names)


def _structure(positions, cell, pbc, kinds=None, kind_names=None):
    """Make a Structure, but not by the constructor of frozen data classes, which is slow."""
    made = object.__new__(Structure)
    vars(made).update(positions=positions, cell=cell, pbc=pbc, kinds=kinds, kind_names=kind_names)
    return made
