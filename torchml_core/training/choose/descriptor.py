"""A good default descriptor for a data set, from its elements and distances."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.dataset import Dataset
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
# The cutoff in multiples of the distance of nearest neighbors, and the limits of it in Å
SHELLS, SHORTEST, LONGEST = 2.0, 4.5, 7.0


def choose_descriptor(
    data: Dataset, *, cutoff: float | None = None, size: str = "medium"
) -> Descriptor:
    """Return a good default descriptor, chosen from the elements and distances of the data.

    Parameters
    ----------
    data : Dataset
        Labels are not looked at.
    cutoff : float, optional
        In Å. None: twice the median distance of nearest neighbors, at least 4.5 and at most 7.
    size : {"small", "medium", "large"}
        Of the descriptor: more functions are more accurate, and slower.

    Returns
    -------
    SymmetryFunctions
        Radial functions (g2) centered at distances from the smallest one in the data up to the
        cutoff, and angular functions g4 and g5; for several elements, separate values for each of
        them (and each pair).

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
    distances = Distances(data)
    if cutoff is None:
        cutoff = float(np.clip(SHELLS * distances.nearest, SHORTEST, LONGEST))
        cutoff = round(cutoff, 2)
    else:
        cutoff = checks.positive("cutoff", cutoff)
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


def radial_rows(n, first, cutoff):
    """Rows [eta, Rs] of n functions g2 with equal distances, each as wide as these."""
    centers = np.linspace(0.95 * first, 0.92 * cutoff, n)
    width = centers[1] - centers[0]
    return [[float(0.5 / width**2), float(center)] for center in centers]


def _fewer(n_elements, n_radial, etas, zetas):
    """For several elements: functions are repeated for each of them and for each pair."""
    return max(4, n_radial // 2 + 2), etas[:1], zetas[:2] if n_elements > 3 else zetas
