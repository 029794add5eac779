"""SOAP: the power spectrum of the atomic density."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from torchml_core.checks import flag, one_of
from torchml_core.descriptors.density.dat_file import read_soap, soap_lines
from torchml_core.descriptors.density.density import (
    CROSS_BLOCKS,
    NORMALIZATIONS,
    DensityDescriptor,
    check_size,
)
from torchml_core.descriptors.density.packing import SoapKernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from torchml_core.annotations import PathLike
    from torchml_core.descriptors.data_lines import DataLines


class SOAP(DensityDescriptor):
    """Smooth overlap of atomic positions: the power spectrum of the atomic density.

    It is computed from the coefficients c_znlm of :class:`~torchml_core.SphericalExpansion`::

        p_{zn z'n' l} = π √(8/(2l+1)) Σ_m c_znlm c_z'n'lm

    and is invariant under rotations. (A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115
    (2013).)

    Parameters
    ----------
    species, cutoff, n_max, l_max, sigma, eta
        As in :class:`~torchml_core.SphericalExpansion`.
    radial_basis, basis_cutoff, smoothing, smoothing_width, species_density
        As in :class:`~torchml_core.SphericalExpansion`.
    cross_blocks : "full" or "upper"
        Which (n, n') the block of two different species contains: all of them, or only n' >= n as
        in libdescriptor, which loses half of the information in the block.
    normalization : "dscribe" or "libdescriptor"
        dscribe: as above, as in DScribe. libdescriptor: divided by basis_cutoff², as in
        libdescriptor, where the sum over the nodes of the radial integrals lacks a factor.
    unit_norm : bool
        Divide each atom's values by their 2-norm. An atom without neighbors keeps its zeros.
    species_weights : (n_species, n_channels) array, optional
        Blocks of channels instead of species: ``ρ_q = Σ_z species_weights[z, q] ρ_z``. Many species
        give many blocks; a few well-chosen channels contain almost the same information.

    Raises
    ------
    InputError
        For any setting that cannot be used; the message names it.

    Notes
    -----
    Order of the values: z, z' >= z (species in the order given, or channels), n, n', l, the last
    fastest; n' >= n if z' = z, and with cross_blocks="upper" also if z' ≠ z. All values of an atom
    without neighbors are zero.

    Examples
    --------
    >>> import torchml_core as tm
    >>> soap = tm.SOAP(["Si", "C"], 5.0, n_max=8, l_max=6)
    >>> soap.width, soap.labels[0], soap.labels[-1]
    (952, "p[Si-Si](n=1, n'=1, l=0)", "p[C-C](n=8, n'=8, l=6)")
    """

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
        cross_blocks: str = "full",
        normalization: str = "dscribe",
        unit_norm: bool = False,
        species_density: str = "separate",
        species_weights: ArrayLike | None = None,
    ) -> None:
        super().__init__(
            species, cutoff, n_max, l_max, sigma, eta, radial_basis, basis_cutoff, smoothing,
            smoothing_width, species_density, species_weights,
        )  # fmt: skip
        self.cross_blocks = one_of("cross_blocks", cross_blocks, CROSS_BLOCKS)
        self.normalization = one_of("normalization", normalization, NORMALIZATIONS)
        self.unit_norm = flag("unit_norm", unit_norm)
        self.width = self._n_pairs() * (self.l_max + 1)
        check_size(self)

    @property
    def labels(self) -> list[str]:
        """A description of each value, e.g. ``p[Si-C](n=1, n'=2, l=0)``."""
        names = self.channels
        return [
            f"p[{names[q]}-{names[other]}](n={n + 1}, n'={m + 1}, l={l})"
            for q, n, other, m in self._pairs()
            for l in range(self.l_max + 1)
        ]

    def to_file(self, path: PathLike) -> None:
        """Write a file that :func:`~torchml_core.read_descriptor` reads back equal.

        If the path ends in ``.json``, it is a JSON file, otherwise a ``.dat`` file. With
        species_density="cumulative" the layout of the latter is KLIFF's, otherwise libdescriptor's.
        Settings that these layouts do not have follow at the end, where other readers ignore them;
        there are none with eta (not sigma), smoothing=None, cross_blocks="upper" and
        normalization="libdescriptor".

        Raises
        ------
        UnsupportedError
            A ``.dat`` file cannot store the name of a species with blanks or ``#``, or one that is
            a number.
        """
        super().to_file(path)

    def _to_lines(self):
        return soap_lines(self)

    @classmethod
    def _from_lines(cls, lines: DataLines) -> SOAP:
        return read_soap(cls, lines)

    def _n_pairs(self):
        """The number of :meth:`_pairs`."""
        n, q = self.n_max, self.n_channels
        triangle = n * (n + 1) // 2
        across = n * n if self.cross_blocks == "full" else triangle
        return q * triangle + q * (q - 1) // 2 * across

    def _pairs(self):
        """(q, n, q', n') of all pairs, in the order of their values, counted from 0."""
        for q, other in itertools.combinations_with_replacement(range(self.n_channels), 2):
            upper = q == other or self.cross_blocks == "upper"
            for n in range(self.n_max):
                for m in range(n if upper else 0, self.n_max):
                    yield q, n, other, m

    def _places(self):
        """The index of the first value of each pair, see PowerSpectrumPlan."""
        places = np.full((self.n_channels, self.n_max) * 2, -1)
        for k, (q, n, other, m) in enumerate(self._pairs()):
            places[q, n, other, m] = places[other, m, q, n] = k * (self.l_max + 1)
        return places

    def _arguments(self):
        yield from super()._arguments()
        if self.cross_blocks != "full":
            yield f"cross_blocks={self.cross_blocks!r}"
        if self.normalization != "dscribe":
            yield f"normalization={self.normalization!r}"
        if self.unit_norm:
            yield "unit_norm=True"

    def _make_kernel(self):
        factors = np.pi * np.sqrt(8 / (2 * np.arange(self.l_max + 1) + 1))
        if self.normalization == "libdescriptor":
            factors /= self.basis_cutoff**2
        return SoapKernel(
            self._kernel_settings(np.sqrt(factors)),
            self.width,
            self._places(),
            self.unit_norm,
        )
