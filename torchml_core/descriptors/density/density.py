"""Common settings of descriptors of the atomic density: checked, and packed for the kernel."""

import itertools
import math

import numpy as np

from torchml_core.checks import number, one_of, positive, real_numbers, refuse, shown, whole
from torchml_core.configuration_checks import check_species
from torchml_core.descriptors.base import Descriptor
from torchml_core.descriptors.density.radial_basis import RADIAL_BASES, radial_table
from torchml_core.descriptors.storing import hashable
from torchml_core.errors import InputError

SMOOTHINGS = ("cosine", None)
SPECIES_DENSITIES = ("separate", "cumulative")
CROSS_BLOCKS = ("full", "upper")
NORMALIZATIONS = ("dscribe", "libdescriptor")
MOST_N, MOST_L = 16, 12
SIGMA = 0.5
MOST_VALUES = 10_000_000
CUTOFFS = {"gto": (1.0, 100.0), "polynomial": (0.1, 1000.0)}  # Å; beyond, tables take minutes
CLOSEST = 1e-3  # Å between the radii of two gto functions: closer ones need hundreds of digits
# Limits of cutoff / sigma and sigma / cutoff: beyond the first, tables become long; beyond the
# second, values hardly depend on distances. Neither case is physically meaningful.
SHARPEST, WIDEST = 100, 10


class DensityDescriptor(Descriptor):
    """What SphericalExpansion and SOAP have in common; see them for the parameters.

    Attributes
    ----------
    n_max, l_max : int
    sigma, eta : float
        Both, whichever of them was given.
    radial_basis : str
    smoothing : str or None
    basis_cutoff : float
        Å; the cutoff, unless another value was given.
    smoothing_width : float or None
        None without smoothing.
    species_density : str
    species_weights : (n_species, n_channels) float64 array or None
    channels : tuple of str
        The names of blocks: the species; ``Si``, ``Si+C``, ... for cumulative densities; ``q1``,
        ``q2``, ... with species_weights.
    """

    def __init__(
        self, species, cutoff, n_max, l_max, sigma, eta, radial_basis, basis_cutoff, smoothing,
        smoothing_width, species_density, species_weights,
    ):  # fmt: skip
        self.species = check_species(species)
        self.n_max = whole("n_max", n_max, 1, MOST_N)
        self.l_max = whole("l_max", l_max, 0, MOST_L)
        self.radial_basis = one_of("radial_basis", radial_basis, RADIAL_BASES)
        self._cutoff = _check_cutoff("cutoff", cutoff, self.radial_basis)
        self.basis_cutoff = _check_basis_cutoff(
            basis_cutoff, self._cutoff, self.radial_basis, self.n_max
        )
        self._given_sigma, self.eta = _check_width(sigma, eta, self._cutoff)
        self.smoothing = one_of("smoothing", smoothing, SMOOTHINGS)
        self.smoothing_width = None
        if smoothing is not None:
            self.smoothing_width = _check_smoothing_width(smoothing_width, self._cutoff)
        self.species_density = one_of("species_density", species_density, SPECIES_DENSITIES)
        self.species_weights = _check_species_weights(species_weights, self.species)
        if self.species_weights is not None and self.species_density != "separate":
            raise InputError(
                f"species_density = {self.species_density!r}: species_weights already define which"
                " species a channel holds; one of the two is needed"
            )

    @property
    def channels(self):
        """The names of blocks."""
        if self.species_weights is not None:
            return tuple(f"q{k}" for k in range(1, self.n_channels + 1))
        if self.species_density == "cumulative":
            return tuple(itertools.accumulate(self.species, "{}+{}".format))
        return self.species

    @property
    def n_channels(self):
        return len(self.species) if self.species_weights is None else self.species_weights.shape[1]

    @property
    def cutoff(self):
        """In Å."""
        return self._cutoff

    @property
    def sigma(self):
        """Width of a neighbor's density, in Å."""
        return 1 / math.sqrt(2 * self.eta) if self._given_sigma is None else self._given_sigma

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(self._arguments())})"

    def _arguments(self):
        """The arguments of the constructor that are not the default."""
        yield from (repr(list(self.species)), repr(self.cutoff))
        yield from (f"n_max={self.n_max}", f"l_max={self.l_max}")
        if self._given_sigma is None:
            yield f"eta={self.eta!r}"
        elif self._given_sigma != SIGMA:
            yield f"sigma={self._given_sigma!r}"
        if self.radial_basis != "gto":
            yield f"radial_basis={self.radial_basis!r}"
        if self.basis_cutoff != self.cutoff:
            yield f"basis_cutoff={self.basis_cutoff!r}"
        if self.smoothing is None:
            yield "smoothing=None"
        elif self.smoothing_width != 0.5:
            yield f"smoothing_width={self.smoothing_width!r}"
        if self.species_density != "separate":
            yield f"species_density={self.species_density!r}"
        if self.species_weights is not None:
            rows = self.species_weights.tolist()
            few = self.species_weights.size <= 8
            n, m = self.species_weights.shape
            yield f"species_weights={rows!r}" if few else f"species_weights=<{n} by {m}>"

    def settings(self):
        """Return the arguments with which the constructor makes an equal descriptor."""
        values = super().settings()
        del values["sigma" if self._given_sigma is None else "eta"]
        return values

    def _settings(self):
        values = super().settings()
        del values["sigma"]  # the same, in another form, as eta
        return hashable(values)

    def _kernel_settings(self, factors):
        """The argument of packing.pyx; ``factors`` (l_max + 1,) multiply coefficients of each l."""
        weights = self.species_weights
        if self.species_density == "cumulative":
            weights = np.triu(np.ones((len(self.species), len(self.species))))
        return {
            "table": radial_table(
                self.radial_basis, self.n_max, self.l_max, self.cutoff, self.eta, self.basis_cutoff
            ),
            "n_species": len(self.species),
            "cutoff": self.cutoff,
            "smoothing": self.smoothing,
            "smoothing_width": self.smoothing_width or self.cutoff,
            "norms": [factor * harmonic_norms(l) for l, factor in enumerate(factors)],
            "species_weights": weights,
        }


def harmonic_norms(l):
    """(2 l + 1,): of kernel/solid_harmonics.pyx, what makes real spherical harmonics of them."""
    return np.array(
        [
            math.sqrt(
                (2 * l + 1) / (4 * math.pi) * math.factorial(l - m) * math.factorial(l + m)
                * (2 if m else 1)
            )
            for m in range(-l, l + 1)
        ]
    )  # fmt: skip


def check_size(descriptor):
    """Raise InputError for an unreasonable number of values per atom."""
    if descriptor.width > MOST_VALUES:
        raise InputError(
            f"species, n_max and l_max give {descriptor.width} values per atom: at most"
            f" {MOST_VALUES} are possible; reduce n_max, l_max or the number of species, or use"
            " species_weights"
        )


def _check_cutoff(name, cutoff, radial_basis):
    shortest, longest = CUTOFFS[radial_basis]
    if not shortest <= positive(name, cutoff) <= longest:
        requirement = f"a number from {shortest:g} to {longest:g} for radial_basis={radial_basis!r}"
        refuse(name, cutoff, requirement)
    return float(cutoff)


def _check_basis_cutoff(basis_cutoff, cutoff, radial_basis, n_max):
    name = "cutoff" if basis_cutoff is None else "basis_cutoff"
    if basis_cutoff is None:
        basis_cutoff = cutoff
    basis_cutoff = _check_cutoff(name, basis_cutoff, radial_basis)
    if not cutoff / 10 <= basis_cutoff <= cutoff * 10:
        raise InputError(
            f"basis_cutoff = {basis_cutoff:g}: between a tenth and ten times the cutoff,"
            f" {cutoff:g}, is needed"
        )
    least = 1 + CLOSEST * max(n_max - 1, 1)
    if radial_basis == "gto" and basis_cutoff < least:
        raise InputError(
            f"{name} = {basis_cutoff:g}: radial_basis='gto' has {n_max} functions that decay at 1"
            f" ... {name}, so at least {least:g} is needed"
        )
    return basis_cutoff


def _check_width(sigma, eta, cutoff):
    """sigma or None, as given, and eta."""
    if sigma is not None and eta is not None:
        raise InputError(
            f"sigma = {shown(sigma)} and eta = {shown(eta)}: only one of them is needed;"
            " eta = 1/(2 sigma²)"
        )
    if eta is None:
        sigma = positive("sigma", SIGMA if sigma is None else sigma)
        name, given, width = "sigma", sigma, sigma
    else:
        eta = positive("eta", eta)
        name, given, width = "eta", eta, 1 / math.sqrt(2 * eta)
    least, most = cutoff / SHARPEST, cutoff * WIDEST
    if not least <= width <= most:
        bound = f"at least {least:g}" if width < least else f"at most {most:g}"
        raise InputError(
            f"{name} = {given:g}: sigma = 1/√(2 eta) = {width:g} for cutoff = {cutoff:g};"
            f" {bound} is needed"
        )
    return sigma, 1 / (2 * sigma**2) if eta is None else eta


def _check_smoothing_width(width, cutoff):
    width = number("smoothing_width", width)
    if not 0 < width <= cutoff:
        raise InputError(
            f"smoothing_width = {width:g}: more than 0 and at most the cutoff, {cutoff:g}, is"
            " needed"
        )
    return width


def _check_species_weights(weights, species):
    """A read-only (n_species, n_channels) array, or None."""
    if weights is None:
        return None
    meaning = "(n_species, n_channels)"
    array = real_numbers("species_weights", weights, (len(species), None), meaning).copy()
    if not array.size:
        raise InputError(f"species_weights has shape {array.shape}; at least one channel is needed")
    array.flags.writeable = False
    return array
