"""A good default descriptor for a data set, from its elements and distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.dataset import Dataset
from torchml_core.descriptors.density.soap import SOAP
from torchml_core.descriptors.symmetry_functions import SymmetryFunctions
from torchml_core.errors import InputError
from torchml_core.training.choose.distances import Distances

if TYPE_CHECKING:
    from torchml_core.descriptors.base import Descriptor

# Of each size: the largest width, the number of g2, the etas of g4 and g5 times cutoff², and zetas.
SIZES = {
    "small": (24, 8, (0.5,), (1, 4)),
    "medium": (48, 12, (0.3, 2.0), (1, 2, 4, 16)),
    "large": (80, 16, (0.3, 2.0, 5.0), (1, 2, 4, 8, 16)),
}
# SOAP's (n_max, l_max) of each size, for 1, 2, 3, and more elements
SOAP_SIZES = {
    "small": ((6, 4), (4, 4), (4, 3), (3, 2)),
    "medium": ((8, 6), (6, 5), (5, 4), (4, 3)),
    "large": ((10, 8), (8, 6), (6, 5), (5, 4)),
}
CHANNELS = 4  # of SOAP, in which the densities of more elements than that are mixed
KINDS = ("SOAP", "SymmetryFunctions")
# The cutoff in multiples of the distance of nearest neighbors, and the limits of it in Å
SHELLS = 2.0
LIMITS = {"SOAP": (5.0, 6.0), "SymmetryFunctions": (4.5, 7.0)}


def choose_descriptor(
    data: Dataset, *, cutoff: float | None = None, size: str = "medium", kind: str = "SOAP"
) -> Descriptor:
    """Return a good default descriptor, chosen from the elements and distances of the data.

    Parameters
    ----------
    data : Dataset
        Labels are not looked at.
    cutoff : float, optional
        In Å. None: twice the median distance of nearest neighbors, at least 5 and at most 6 (for
        symmetry functions 4.5 and 7).
    size : {"small", "medium", "large"}
        Of the descriptor: more values are more accurate, and slower.
    kind : {"SOAP", "SymmetryFunctions"}
        SOAP has several times as many values, and its linear models are the most accurate ones;
        see the table in docs/training.md. Symmetry functions are faster in simulations.

    Returns
    -------
    SOAP or SymmetryFunctions
        SOAP has fewer radial functions and angular momenta where there are more elements; more
        than four elements are mixed in four channels. Symmetry functions are radial functions (g2)
        centered at distances from the smallest one in the data up to the cutoff, and angular
        functions g4 and g5; for several elements, separate values for each of them (and each pair).

    Raises
    ------
    InputError
        If an argument cannot be used, or the data have no two atoms within 16 Å.
    """
    if not isinstance(data, Dataset):
        checks.refuse("data", data, "a Dataset")
    if not data.species:
        raise InputError("data: structures are needed")
    checks.one_of("size", size, tuple(SIZES))
    checks.one_of("kind", kind, KINDS)
    distances = Distances(data)
    if cutoff is None:
        cutoff = round(float(np.clip(SHELLS * distances.nearest, *LIMITS[kind])), 2)
    else:
        cutoff = checks.positive("cutoff", cutoff)
    if kind == "SOAP":
        return _soap(data.species, cutoff, size)
    first = min(distances.closest, cutoff / 2)
    _, n_radial, etas, zetas = SIZES[size]
    if len(data.species) > 1:
        n_radial, etas, zetas = _fewer(len(data.species), n_radial, etas, zetas)
    angular = [[zeta, lam, eta / cutoff**2] for eta in etas for zeta in zetas for lam in (1, -1)]
    functions = [("g2", radial_rows(n_radial, first, cutoff)), ("g5", angular)]
    if len(data.species) == 1:
        functions.append(("g4", angular))
    mode = "resolved" if len(data.species) > 1 else "pooled"
    return SymmetryFunctions(data.species, cutoff, functions, species_mode=mode)


def _soap(species, cutoff, size):
    n_max, l_max = SOAP_SIZES[size][min(len(species), CHANNELS) - 1]
    weights = None
    if len(species) > CHANNELS:
        # directions that are as different as possible, the same for the same number of elements
        random = np.random.default_rng(0).normal(size=(len(species), CHANNELS))
        weights = np.linalg.qr(random)[0]
    return SOAP(
        species,
        cutoff,
        n_max,
        l_max,
        sigma=round(0.1 * cutoff, 3),
        smoothing_width=round(0.3 * cutoff, 3),
        species_weights=weights,
    )


def radial_rows(n, first, cutoff):
    """Rows [eta, Rs] of n functions g2 with equal distances, each as wide as these."""
    centers = np.linspace(0.95 * first, 0.92 * cutoff, n)
    width = centers[1] - centers[0]
    return [[float(0.5 / width**2), float(center)] for center in centers]


def _fewer(n_elements, n_radial, etas, zetas):
    """For several elements: functions are repeated for each of them and for each pair."""
    return max(4, n_radial // 2 + 2), etas[:1], zetas[:2] if n_elements > 3 else zetas
