"""Example: one structure of a training set and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ase
    import numpy as np
    from numpy.typing import NDArray

NAMES = ("energy", "forces", "stress")


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
