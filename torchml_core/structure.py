"""Structures as this library takes them: ASE ``Atoms`` or plain arrays, checked once, here."""

from dataclasses import dataclass

import numpy as np

from torchml_core.errors import InputError

AXES = "xyz"
CELL_VECTORS = "abc"
# Below this ratio of volume to product of lengths (for a pair of vectors: sine of the angle),
# periodic cell vectors count as linearly dependent: float64 cannot tell their images apart.
SINGULAR = 1e-9


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
    symbols : tuple of str or None
        Chemical symbols; None for work that needs no species.
    """

    positions: np.ndarray
    cell: np.ndarray
    pbc: np.ndarray
    symbols: tuple | None = None

    def __len__(self):
        return len(self.positions)


def as_structure(structure=None, *, positions=None, cell=None, pbc=None, symbols=None):
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

    Raises
    ------
    InputError
        Both or neither of structure and positions; positions not finite or of wrong shape; a
        periodic cell without volume.
    """
    if structure is None:
        if positions is None:
            raise InputError("structure: give ASE Atoms, or positions= (with cell= and pbc=)")
        if cell is not None and pbc is None:
            raise InputError("pbc: say it where a cell is given: True, False or three of them")
        cell = np.zeros((3, 3)) if cell is None else cell
        pbc = False if pbc is None else pbc
    else:
        if any(argument is not None for argument in (positions, cell, pbc, symbols)):
            raise InputError("structure: give either it or positions=, cell=, pbc=, symbols=")
        positions, cell, pbc, symbols = _fields(structure)
    positions = check_positions(positions)
    cell, pbc = _check_cell(cell, pbc)
    if symbols is not None:
        symbols = tuple(symbols)
        if len(symbols) != len(positions):
            raise InputError(f"symbols: {len(symbols)} of them for {len(positions)} positions")
    return Structure(positions, cell, pbc, symbols)


def check_positions(positions, name="positions"):
    """Return positions as C-contiguous finite float64 (n, 3), or raise InputError."""
    try:
        array = np.ascontiguousarray(positions, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: an array of shape (n, 3) of numbers is needed: {error}"
        ) from None
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"{name} has shape {array.shape}; (n, 3) is needed")
    finite = np.isfinite(array)
    if not finite.all():
        atom, axis = np.argwhere(~finite)[0]
        raise InputError(
            f"{name}: atom {atom} has {AXES[axis]} = {array[atom, axis]}; finite numbers only"
        )
    return array


def check_length(value, name):
    """Return a cutoff, skin or other positive finite length as float, or raise InputError."""
    try:
        length = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name} = {value!r}: a positive number is needed") from None
    if not (np.isfinite(length) and length > 0):
        raise InputError(f"{name} = {value!r}: a positive finite number is needed")
    return length


def _fields(structure):
    if isinstance(structure, Structure):
        return structure.positions, structure.cell, structure.pbc, structure.symbols
    try:
        symbols = structure.get_chemical_symbols()
        return structure.positions, np.asarray(structure.cell), structure.pbc, symbols
    except AttributeError:
        kind = type(structure).__name__
        raise InputError(f"structure is a {kind}; ASE Atoms are needed, or positions=") from None


def _check_cell(cell, pbc):
    try:
        cell = np.array(cell, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"cell: an array of shape (3, 3) or (3,) is needed: {error}") from None
    cell = np.diag(cell) if cell.shape == (3,) else cell
    if cell.shape != (3, 3):
        raise InputError(f"cell has shape {cell.shape}; (3, 3), or (3,) for lengths, is needed")
    if np.shape(pbc) not in ((), (3,)):
        raise InputError(f"pbc = {pbc!r}: one bool or three are needed")
    pbc = np.array(np.broadcast_to(np.asarray(pbc, dtype=bool), 3))
    periodic = cell[pbc]
    if not np.isfinite(periodic).all():
        raise InputError(f"cell = {cell.tolist()}: finite numbers are needed")
    lengths = np.linalg.norm(periodic, axis=1)
    if (lengths == 0).any() or _sine(periodic / lengths[:, None]) < SINGULAR:
        names = ", ".join(vector for vector, on in zip(CELL_VECTORS, pbc, strict=True) if on)
        raise InputError(
            f"cell = {cell.tolist()} is singular: its periodic vectors {names} must be"
            " linearly independent (or set pbc False where there is no period)"
        )
    return cell, pbc


def _sine(unit_vectors):
    """Volume spanned by up to three unit vectors."""
    return np.sqrt(max(np.linalg.det(unit_vectors @ unit_vectors.T), 0.0))
