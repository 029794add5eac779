"""SphericalExpansion: the coefficients of the atomic density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core.descriptors.density.density import DensityDescriptor, check_size
from torchml_core.descriptors.density.packing import ExpansionKernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike


class SphericalExpansion(DensityDescriptor):
    """Coefficients of the atomic density in radial functions and spherical harmonics.

    Each neighbor j of species z within the cutoff adds a Gaussian at its position r_j relative to
    the center. The center itself does not contribute to the density::

        ρ_z(r) = Σ_{j of z} fc(R_j) exp(-eta |r - r_j|²),    eta = 1/(2 sigma²)
        c_znlm = ∫ ρ_z(r) g_nl(|r|) Y_lm(r) d³r
               = Σ_{j of z} fc(R_j) f_nl(R_j) Y_lm(r_j)
        f_nl(R) = 4π ∫ ρ² g_nl(ρ) i_l(2 eta ρ R) exp(-eta (ρ² + R²)) dρ

    where i_l are the modified spherical Bessel functions of the first kind, Y_lm real spherical
    harmonics (without (-1)^m; cos(mφ) for m > 0, sin(-mφ) for m < 0: Y_1m are along y, z, x),
    and g_nl orthonormal functions, ∫ ρ² g_nl g_n'l dρ = δ.
    (A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013).)

    Parameters
    ----------
    species : sequence of str
        The species that may occur, e.g. ``["Si", "C"]``.
    cutoff : float
        In Å.
    n_max : int
        Number of radial functions, 1 to 16.
    l_max : int
        Largest l, 0 to 12.
    sigma : float, optional
        Width of a neighbor's Gaussian, in Å, default 0.5; from cutoff / 100 to 10 cutoff.
    eta : float, optional
        1/(2 sigma²), in Å⁻², in place of sigma.
    radial_basis : "gto" or "polynomial"
        gto: ``ρ^l exp(-α_nl ρ²)`` with α_nl such that they decay to 1e-3 at n_max distances from
        1 Å to the cutoff, integrals up to infinity, as in DScribe (L. Himanen et al., Comput.
        Phys. Commun. 247, 106949 (2020)). polynomial: ``(cutoff - ρ)^(n+2)``, n = 1 ... n_max,
        for every l, integrals up to the cutoff, as in DScribe and libdescriptor. Both are
        orthonormalized with S^(-1/2), where S is the overlap matrix, in extended precision.
    basis_cutoff : float, optional
        In Å; the cutoff of the radial basis, by default the same as cutoff. All neighbors up to
        cutoff count; the density of those beyond basis_cutoff extends into it.
    smoothing : "cosine" or None
        cosine: fc goes from 1 to 0 as ``(cos(π (R - cutoff + w)/w) + 1)/2`` over the last
        w = smoothing_width before the cutoff, so values and gradients are continuous. None:
        fc = 1, and values jump when a neighbor crosses the cutoff.
    smoothing_width : float
        In Å; more than 0, at most the cutoff.
    species_density : "separate" or "cumulative"
        separate: as above. cumulative: the density of each species contains those of all species
        before it, in the given order, as in libdescriptor, on which KLIFF trains.
    species_weights : (n_species, n_channels) array, optional
        Channels instead of species: ``ρ_q = Σ_z species_weights[z, q] ρ_z``.

    Raises
    ------
    InputError
        For any setting that cannot be used; the message names it.

    Notes
    -----
    Order of the values: species z (or channel), n, l, m = -l ... l, the last fastest. All values of
    an atom without neighbors are zero. f_nl comes from a spline whose error is at most 2e-11 of the
    largest value of f_nl; derivatives are those of the spline.

    Examples
    --------
    >>> import torchml_core as tm
    >>> expansion = tm.SphericalExpansion(["Si"], 5.0, n_max=8, l_max=6)
    >>> expansion.width, expansion.labels[1]
    (392, 'c[Si](n=1, l=1, m=-1)')
    """

    rotation_invariant = False

    def __init__(
        self,
        species: Sequence[str],
        cutoff: float,
        n_max: int,
        l_max: int,
        *,
        sigma: float | None = None,
        eta: float | None = None,
        radial_basis: str = "gto",
        basis_cutoff: float | None = None,
        smoothing: str | None = "cosine",
        smoothing_width: float = 0.5,
        species_density: str = "separate",
        species_weights: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            species, cutoff, n_max, l_max, sigma, eta, radial_basis, basis_cutoff, smoothing,
            smoothing_width, species_density, species_weights,
        )  # fmt: skip
        self.width = self.n_channels * self.n_max * (self.l_max + 1) ** 2
        check_size(self)

    @property
    def labels(self) -> list[str]:
        """A description of each value, e.g. ``c[Si](n=1, l=2, m=-1)``."""
        return [
            f"c[{channel}](n={n}, l={l}, m={m})"
            for channel in self.channels
            for n in range(1, self.n_max + 1)
            for l in range(self.l_max + 1)
            for m in range(-l, l + 1)
        ]

    def _make_kernel(self):
        return ExpansionKernel(self._kernel_settings(np.ones(self.l_max + 1)))
