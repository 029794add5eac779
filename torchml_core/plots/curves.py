"""What a descriptor sees of one neighbor, and of two: its values over distance and angle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import chemical_symbols

from torchml_core import checks
from torchml_core.configuration import Configuration
from torchml_core.descriptors.base import Descriptor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchml_core.annotations import Doubles

NEAREST = 0.2  # Å: closer atoms are of no interest


def distance_curves(
    descriptor: Descriptor, center: str, neighbor: str, *, n_points: int = 200
) -> tuple[Doubles, Doubles]:
    """Return the values of an atom with a single neighbor, as functions of its distance.

    Parameters
    ----------
    descriptor : Descriptor
    center, neighbor : str
        Their elements.
    n_points : int
        Of equidistant distances up to the cutoff.

    Returns
    -------
    distances : (n_points,) float64
        In Å.
    values : (n_points, width) float64
    """
    check_elements(descriptor, center, neighbor)
    n = checks.whole("n_points", n_points, 2)
    distances = np.linspace(min(NEAREST, descriptor.cutoff / 2), descriptor.cutoff, n)
    along_x = np.zeros((n, 1, 3))
    along_x[:, 0, 0] = distances
    return distances, _values(descriptor, center, [neighbor], along_x)


def angle_curves(
    descriptor: Descriptor,
    center: str,
    neighbors: Sequence[str],
    distance: float,
    *,
    n_points: int = 181,
) -> tuple[Doubles, Doubles]:
    """Return the values of an atom with two neighbors, as functions of the angle between them.

    Parameters
    ----------
    descriptor : Descriptor
    center : str
        Its element.
    neighbors : sequence of str
        The elements of the two.
    distance : float
        Of both from the center, in Å.
    n_points : int
        Of equidistant angles from 5 to 180 degrees.

    Returns
    -------
    angles : (n_points,) float64
        In degrees.
    values : (n_points, width) float64
    """
    neighbors = list(checks.sequence("neighbors", neighbors, "two elements"))
    if len(neighbors) != 2:
        checks.refuse("neighbors", neighbors, "two elements")
    check_elements(descriptor, center, *neighbors)
    distance = checks.positive("distance", distance)
    angles = np.linspace(5.0, 180.0, checks.whole("n_points", n_points, 2))
    radians = np.radians(angles)
    places = np.zeros((len(angles), 2, 3))
    places[:, 0, 0] = distance
    places[:, 1, 0], places[:, 1, 1] = distance * np.cos(radians), distance * np.sin(radians)
    return angles, _values(descriptor, center, neighbors, places)


def check_elements(descriptor: Descriptor, *elements: str) -> None:
    """Raise InputError for what is no descriptor, or not one of its elements."""
    if not isinstance(descriptor, Descriptor):
        checks.refuse("descriptor", descriptor, "a Descriptor")
    for element in elements:
        checks.one_of("element", element, descriptor.species or tuple(chemical_symbols[1:]))


def _values(descriptor, center, neighbors, places):
    """Rows of the center for each of many placements (n, n_neighbors, 3), in one call."""
    n, k, _ = places.shape
    positions = np.concatenate([np.zeros((n, 1, 3)), places], axis=1).reshape(-1, 3)
    names = descriptor.species or tuple(dict.fromkeys([center, *neighbors]))
    codes = [names.index(element) for element in (center, *neighbors)]
    first = np.arange(n) * (k + 1)  # particles of centers; the others are ghosts without rows
    contributing = np.zeros(len(positions), dtype=bool)
    contributing[first] = True
    c = Configuration(
        positions,
        np.tile(np.array(codes, dtype=np.int32), n),
        contributing,
        first.astype(np.int32),
        np.arange(n + 1, dtype=np.int64) * k,
        (first[:, None] + 1 + np.arange(k)).astype(np.int32).ravel(),
        species_names=names,
    )
    return descriptor.compute(c)
