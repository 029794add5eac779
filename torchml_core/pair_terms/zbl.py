"""The repulsion of nuclei at short distances, as Ziegler, Biersack and Littmark fitted it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor, check_cutoff
from torchml_core.descriptors.symmetry_functions.functions import atomic_number

if TYPE_CHECKING:
    from collections.abc import Sequence

# Those of LAMMPS: its results are compared with ours.
QQR2E = 14.399645  # e²/(4π ε0) in eV Å
A0 = 0.46850  # of the screening length, in Å
POWER = 0.23  # of the atomic numbers in it
FACTORS = np.array([0.02817, 0.28022, 0.50986, 0.18175])
EXPONENTS = np.array([0.20162, 0.40290, 0.94229, 3.19980])


class ZBL(Descriptor):
    """The ZBL repulsion between all pairs of atoms, switched off smoothly; equal to LAMMPS's.

    A descriptor with one value: ``D_i = ½ Σ_j V(R_ij)`` in eV, half of the energy of each of the
    atom's pairs. Models name it in ``pair_terms``; it can also be used like any descriptor, for
    example to subtract it from the energies that a model is trained on.

    ``V(R) = e²/(4π ε0) Z_i Z_j / R Σ_k c_k exp(-d_k R/a) + S(R)`` with the screening length
    ``a = 0.4685 Å / (Z_i^0.23 + Z_j^0.23)``. ``S`` is constant up to ``inner`` and a polynomial of
    fourth order from there to ``outer``, where V and its first two derivatives are 0.

    Parameters
    ----------
    species : sequence of str
        Chemical symbols.
    inner, outer : float
        In Å, 0 < inner < outer.

    Raises
    ------
    InputError
        If a species is not a chemical element, or a distance cannot be used.

    Notes
    -----
    Form and constants (e²/(4π ε0) = 14.399645 eV Å) are those of LAMMPS's ``pair_style zbl inner
    outer`` with units metal and the atomic numbers as coefficients. The constant of nature is
    14.3996455 (CODATA 2018). J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of
    Ions in Matter, volume 1, Pergamon, 1985.

    Examples
    --------
    >>> import torchml_core as tm
    >>> from ase import Atoms
    >>> dimer = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 1.2]])
    >>> zbl = tm.ZBL(["Si", "C"], inner=4.0, outer=4.8)
    >>> c = tm.Configuration.from_atoms(dimer, zbl.cutoff, zbl.species)
    >>> print(f"{zbl.compute(c).sum():.4f} eV")
    """

    width = 1

    def __init__(self, species: Sequence[str], inner: float, outer: float) -> None:
        self.species = check_species(species)
        self.outer = check_cutoff("outer", outer)
        self.inner = checks.positive("inner", inner)
        if self.inner >= self.outer:
            checks.refuse("inner", inner, f"a distance below outer, {self.outer:g},")
        self._numbers = tuple(map(atomic_number, self.species))

    @property
    def cutoff(self) -> float:
        """``outer``, in Å."""
        return self.outer

    @property
    def labels(self) -> list[str]:
        """``["zbl"]``."""
        return ["zbl"]

    def __repr__(self):
        return f"ZBL({list(self.species)}, inner={self.inner!r}, outer={self.outer!r})"

    def _make_kernel(self):
        from torchml_core.pair_terms.zbl_kernel import ZBLKernel

        numbers = np.array(self._numbers, dtype=np.float64)
        pairs = [[self._pair(a, b) for b in numbers] for a in numbers]
        return ZBLKernel(self.inner, self.outer, pairs)

    def _pair(self, one, other):
        """The parameters of a pair of atomic numbers, in the order of the kernel's struct."""
        factors = QQR2E * one * other * FACTORS
        exponents = EXPONENTS * (one**POWER + other**POWER) / A0
        r, width = self.outer, self.outer - self.inner
        terms = factors * np.exp(-exponents * r)
        # E and its derivatives at the outer cutoff, where S cancels them
        energy = terms.sum() / r
        slope = -(terms * (exponents + 1 / r)).sum() / r
        curvature = (terms * (exponents**2 + 2 * exponents / r + 2 / r**2)).sum() / r
        s3 = (width * curvature - 3 * slope) / (3 * width**2)
        s4 = (2 * slope - width * curvature) / (4 * width**3)
        s0 = -energy + width / 2 * slope - width**2 / 12 * curvature
        return [*factors, *exponents, s0, s3, s4]
