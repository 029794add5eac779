"""Example: one structure of a training set and what is known about it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.errors import InputError
from torchml_core.voigt import VOIGT

if TYPE_CHECKING:
    import ase
    from numpy.typing import NDArray

NAMES = ("energy", "forces", "stress")
KIND_KEY, NAME_KEY = "config_type", "name"
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


@dataclass(frozen=True, eq=False)
class Example:
    """A structure and its labels, each of which may be missing.

    Attributes
    ----------
    atoms : ase.Atoms
        Without a calculator.
    label : str
        ``file@index``, for messages.
    kind : str
        What sort of structure it is, such as "surface"; errors are told and weighted by kind.
    energy : float or None
        In eV.
    forces : (n_atoms, 3) float64 or None
        In eV/Å.
    stress : (6,) float64 or None
        In eV/Å³, in ASE's order xx yy zz yz xz xy and sign: tension is positive.
    weight : float
        Relative to other examples.
    """

    atoms: ase.Atoms
    label: str
    kind: str = ""
    energy: float | None = None
    forces: NDArray[np.float64] | None = None
    stress: NDArray[np.float64] | None = None
    weight: float = 1.0

    @property
    def n_atoms(self) -> int:
        return len(self.atoms)


def example_from_atoms(atoms, label, keys, kind_key=None, weights=None):
    """Return the Example of an ase.Atoms object.

    Parameters
    ----------
    atoms : ase.Atoms
    label : str
    keys : dict of str to (str or None)
        For each of NAMES the key of its value in ``atoms.info`` or ``atoms.arrays``; None: the
        result of the calculator, which ASE makes of what a file calls energy, forces and stress.
    kind_key : str, optional
        The key of its kind. None: ``config_type``, or else ``name`` without its numbers.
    weights : dict of str to float, optional
        By kind.

    Raises
    ------
    InputError
        If a label is not a finite number, or not as many as are needed.
    """
    results = {} if atoms.calc is None else atoms.calc.results
    places = (atoms.info, atoms.arrays)
    found: dict = {}
    for name, key in keys.items():
        value = results.get(name) if key is None else _first(places, key)
        if value is None:
            continue
        found[name] = CHECKS[name](key or name, value, atoms)
    kind = _kind(atoms, kind_key)
    bare = atoms.copy()
    bare.calc = None
    return Example(bare, label, kind, weight=(weights or {}).get(kind, 1.0), **found)


def _energy(name, value, atoms):
    return checks.number(name, value)


def _forces(name, value, atoms):
    return checks.real_numbers(name, value, (len(atoms), 3), "(n_atoms, 3)")


def _stress(name, value, atoms):
    if atoms.cell.rank < 3:
        raise InputError(f"{name} is given, for which a cell with three vectors is needed")
    return checks.real_numbers(name, _voigt(name, value), (6,))


CHECKS = {"energy": _energy, "forces": _forces, "stress": _stress}


def _first(places, key):
    return next((place[key] for place in places if key in place), None)


def _voigt(name, value):
    """Six numbers of six or of a matrix, which must be symmetric."""
    value = np.asarray(value)
    if value.size == 6:
        return value.reshape(6)
    if value.size != 9:
        checks.refuse(name, value, "6 numbers, xx yy zz yz xz xy, or a (3, 3) matrix")
    matrix = checks.real_numbers(name, value.reshape(3, 3), (3, 3), "(3, 3)")
    if np.abs(matrix - matrix.T).max() > 1e-6 * max(np.abs(matrix).max(), 1e-6):
        checks.refuse(name, matrix, "a symmetric matrix")
    return (matrix + matrix.T)[VOIGT] / 2


def _kind(atoms, key):
    if key is not None:
        return str(atoms.info.get(key, ""))
    if KIND_KEY in atoms.info:
        return str(atoms.info[KIND_KEY])
    return NUMBER.sub("#", str(atoms.info.get(NAME_KEY, "")))
