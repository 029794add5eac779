"""What ase.Atoms objects are labeled with, and where that is found in them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.dataset.example import NAMES, Example
from torchml_core.errors import InputError
from torchml_core.voigt import VOIGT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import ase

KIND_KEY, NAME_KEY = "config_type", "name"
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")


class Labels:
    """Makes an Example of Atoms; the parameters are those of :meth:`Dataset.read`."""

    def __init__(
        self,
        energy_key: str | None = None,
        forces_key: str | None = None,
        stress_key: str | None = None,
        kind_key: str | None = None,
        weight_key: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        names = (*NAMES, "kind", "weight")
        found = (energy_key, forces_key, stress_key, kind_key, weight_key)
        self.keys = {n: _check_key(f"{n}_key", key) for n, key in zip(names, found, strict=True)}
        self._weights = _check_weights(weights)
        self._unused = {name: key for name, key in self.keys.items() if key is not None}

    def of(self, atoms: ase.Atoms, label: str) -> Example:
        """Return the Example.

        Raises
        ------
        InputError
            If a label is not a finite number, or not as many as are needed.
        """
        found = {}
        for name in NAMES:
            value = self._value(atoms, name)
            if value is not None:
                found[name] = CHECKS[name](self.keys[name] or name, value, atoms)
        kind = self._value(atoms, "kind")
        if self.keys["kind"] is None:
            kind = _kind(atoms)
        kind = "" if kind is None else str(kind)
        weight = self._value(atoms, "weight")
        own = 1.0 if weight is None else checks.not_negative(self.keys["weight"], weight)
        bare = atoms.copy()
        bare.calc = None
        return Example(bare, label, kind, weight=own * self._weights.get(kind, 1.0), **found)

    def require_used(self, kinds: Sequence[str]) -> None:
        """Raise InputError for a key that no structure had, and for weights of other kinds."""
        for name, key in self._unused.items():
            raise InputError(
                f"{name}_key = {checks.shown(key)}: no structure has a value of this name; one that"
                " the structures have is needed"
            )
        for kind in self._weights:
            if kind not in kinds:
                raise InputError(
                    f"weights: kind {checks.shown(kind)} does not occur; one of"
                    f" {', '.join(map(repr, kinds))} is needed"
                )

    def _value(self, atoms, name):
        """What the Atoms have under a key; what ASE calls so if there is none."""
        key = self.keys[name]
        results = {} if atoms.calc is None else atoms.calc.results
        if key is None:
            return results.get(name)
        # ASE reads what a file calls energy or free_energy as results
        places = (atoms.info, atoms.arrays, results)
        found = next((place[key] for place in places if key in place), None)
        if found is not None:
            self._unused.pop(name, None)
        return found


def _energy(name, value, atoms):
    return checks.number(name, value)


def _forces(name, value, atoms):
    return checks.real_numbers(name, value, (len(atoms), 3), "(n_atoms, 3)")


def _stress(name, value, atoms):
    if atoms.cell.rank < 3:
        raise InputError(f"{name} is given, for which a cell with three vectors is needed")
    return checks.real_numbers(name, _voigt(name, value), (6,))


CHECKS = {"energy": _energy, "forces": _forces, "stress": _stress}


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


def _kind(atoms):
    if KIND_KEY in atoms.info:
        return str(atoms.info[KIND_KEY])
    return NUMBER.sub("#", str(atoms.info.get(NAME_KEY, "")))


def _check_weights(weights):
    if weights is None:
        return {}
    if not isinstance(weights, dict):
        checks.refuse("weights", weights, "a dict of weights by kind")
    return {
        kind: checks.not_negative(f"weights[{kind!r}]", weight) for kind, weight in weights.items()
    }


def _check_key(name, key):
    if key is not None and not isinstance(key, str):
        checks.refuse(name, key, "a str")
    return key
