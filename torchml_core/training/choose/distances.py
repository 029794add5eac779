"""Distances in a data set, from which cutoffs and functions are chosen."""

from __future__ import annotations

import numpy as np

from torchml_core.errors import InputError

MOST_STRUCTURES = 200  # that are looked at; each kind has its share
REACHES = (4.0, 8.0, 16.0)  # Å, of searches until most atoms have a neighbor
CLOSEST = 0.01  # quantile


class Distances:
    """Distances of nearest neighbors, in a part of the structures that represents all kinds.

    Parameters
    ----------
    data : Dataset

    Attributes
    ----------
    closest : float
        In Å. One atom of a hundred has its nearest neighbor at a smaller distance.
    nearest : float
        In Å, the median of the distance of the nearest neighbor.

    Raises
    ------
    InputError
        If the data have no two atoms within 16 Å.
    """

    def __init__(self, data):
        indices = _some_of_each_kind(data)
        for reach in REACHES:
            nearest = np.concatenate([_nearest(data, k, reach) for k in indices])
            known = nearest[np.isfinite(nearest)]
            if 2 * len(known) > len(nearest):
                break
        if not len(known):
            raise InputError(
                f"data: atoms with neighbors within {REACHES[-1]:g} Å are needed to choose a"
                " descriptor"
            )
        self.closest = float(np.quantile(known, CLOSEST))
        self.nearest = float(np.median(known))


def _some_of_each_kind(data):
    """Indices of evenly spaced structures with at least two atoms, or periodic ones."""
    chosen = []
    for kind in data.kinds:
        own = [
            k
            for k, example in enumerate(data)
            if example.kind == kind and (example.n_atoms > 1 or example.atoms.pbc.any())
        ]
        share = -(-MOST_STRUCTURES * len(own) // len(data))
        chosen += own[:: max(1, len(own) // max(share, 1))]
    return chosen or list(range(len(data)))


def _nearest(data, index, reach):
    """(n_atoms,) distances of nearest neighbors; inf where there is none."""
    c = data.configuration(index, reach)
    rows = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
    vectors = c.positions[c.neighbors] - c.positions[c.centers[rows]]
    out = np.full(c.n_centers, np.inf)
    np.minimum.at(out, rows, np.linalg.norm(vectors, axis=1))
    return out
