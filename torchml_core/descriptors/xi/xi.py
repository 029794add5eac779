"""Xi: the settings, and their checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core.checks import whole
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor, check_cutoff
from torchml_core.descriptors.density.density import harmonic_norms
from torchml_core.descriptors.xi.bessel_basis import bessel_table
from torchml_core.descriptors.xi.dat_file import read_xi, xi_lines
from torchml_core.descriptors.xi.packing import XiKernel
from torchml_core.descriptors.xi.terms import terms_of, values_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MOST_Q = 15


class Xi(Descriptor):
    """Rotation-invariant products of three coefficients of the atomic density.

    The density of all neighbors j, at distances R_j in the directions r_j, whatever their species::

        c_nlm = Σ_j g_nl(R_j) Y_lm(r_j),    l = 0 ... q,    n = 0 ... q - l
        ξ = (-1)^l0 / √(2 l0 + 1) Σ_{m0, m1} ⟨l1 m1 l2 m0-m1 | l0 m0⟩
            Re[conj(c_{n0 l0 m0}) c_{n1 l1 m1} c_{n2 l2 m0-m1}]

    where Y_lm are complex spherical harmonics, ⟨...⟩ Clebsch-Gordan coefficients, and g_nl
    orthonormal sums of two and more spherical Bessel functions, which vanish at the cutoff together
    with their derivatives. The values are those of libdescriptor, in its order.

    Parameters
    ----------
    q : int
        0 to 15. The values are all products with n0 + n1 + n2 + (l0 + l1 + l2)/2 <= q.
    cutoff : float
        In Å.
    species : sequence of str, optional
        The species that may occur; others are refused. None: any. The values do not depend on
        species.

    Attributes
    ----------
    q : int
    species : tuple of str
        Empty if any species may occur.

    Raises
    ------
    InputError
        For any setting that cannot be used; the message names it.

    Notes
    -----
    All values of an atom without neighbors are 0. g_nl comes from a spline whose error is at most
    2e-13 of the largest value of g_nl; derivatives are those of the spline.

    References
    ----------
    E. Kocer, J. K. Mason, H. Erturk, "A novel approach to describe chemical environments in
    high-dimensional neural network potentials", J. Chem. Phys. 150, 154102 (2019); "Continuous and
    optimally complete description of chemical environments using Spherical Bessel descriptors", AIP
    Advances 10, 015021 (2020).

    Examples
    --------
    >>> import torchml_core as tm
    >>> xi = tm.Xi(4, 5.0)
    >>> xi.width, xi.labels[1]
    (51, 'xi(n=0,0,0, l=1,1,0)')
    """

    def __init__(self, q: int, cutoff: float, *, species: Sequence[str] | None = None) -> None:
        self.q = whole("q", q, 0, MOST_Q)
        self._cutoff = check_cutoff("cutoff", cutoff)
        self.species = () if species is None else check_species(species)
        self.width = len(values_of(self.q))

    @property
    def cutoff(self) -> float:
        """In Å."""
        return self._cutoff

    @property
    def labels(self) -> list[str]:
        """A description of each value, e.g. ``xi(n=1,0,0, l=1,1,0)``."""
        return [
            f"xi(n={n0},{n1},{n2}, l={l0},{l1},{l2})"
            for n0, n1, n2, l0, l1, l2 in values_of(self.q)
        ]

    def settings(self) -> dict[str, Any]:
        """Return the arguments with which the constructor makes an equal descriptor."""
        values = super().settings()
        return {**values, "species": self.species or None}

    def _to_lines(self):
        return xi_lines(self)

    @classmethod
    def _from_lines(cls, lines):
        return read_xi(cls, lines)

    def __repr__(self):
        species = f", species={list(self.species)}" if self.species else ""
        return f"Xi({self.q}, {self.cutoff!r}{species})"

    def _codes(self, configuration):
        if self.species:
            super()._codes(configuration)  # refuses others
        return np.zeros(configuration.n_particles, dtype=np.int32)

    def _make_kernel(self):
        settings = {
            "table": bessel_table(self.q, self.cutoff),
            "n_species": 1,
            "cutoff": self.cutoff,
            "smoothing": None,
            "smoothing_width": self.cutoff,
            "norms": [harmonic_norms(l) for l in range(self.q + 1)],
            "species_weights": None,
            "n_of_l": range(self.q + 1, 0, -1),
        }
        return XiKernel(settings, terms_of(self.q))
