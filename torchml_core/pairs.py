"""Pairs of atoms within a cutoff, periodic images included: what all lists are made of."""

import os
from dataclasses import dataclass

import numpy as np

from torchml_core._neighbors import pairs_within, periodic_images
from torchml_core.errors import InputError
from torchml_core.threads import resolve_n_threads

BYTES_PER_IMAGE, BYTES_PER_PAIR = 100, 40  # roughly, all arrays of the search together


@dataclass(frozen=True)
class Pairs:
    """Full list of pairs in CSR form: row i holds the neighbors of atom i.

    Attributes
    ----------
    offsets : (n_atoms + 1,) int64
    j : (n_pairs,) int32
        The neighbor.
    S : (n_pairs, 3) int32
        Its cell shift: ``r_ij = positions[j] - positions[i] + S @ cell``.
    """

    offsets: np.ndarray
    j: np.ndarray
    S: np.ndarray

    @property
    def i(self):
        """(n_pairs,) int32, the center of each pair, ascending."""
        n_atoms = len(self.offsets) - 1
        return np.repeat(np.arange(n_atoms, dtype=np.int32), np.diff(self.offsets))


def find_pairs(structure, cutoff, *, inclusive=False, n_threads=None):
    """Find all pairs of atoms nearer than a cutoff.

    Parameters
    ----------
    structure : Structure
        Checked, as :func:`torchml_core.structure.as_structure` returns it.
    cutoff : float
        In Å.
    inclusive : bool
        Whether a distance equal to the cutoff counts.
    n_threads : int, optional

    Returns
    -------
    Pairs

    Notes
    -----
    Atoms are wrapped into the cell, the images that can matter are added as points, and a cell
    list over all points does the rest; shifts are then put back to the atoms as they stand.
    The lattice is reduced before, so that a very oblique cell costs no more than another.
    """
    vectors, transform = reduce_lattice(structure.cell * structure.pbc[:, None])
    fractional, wraps, reach = _wrap(structure, vectors, cutoff)
    home = structure.positions + wraps @ vectors
    _refuse_absurd_size(len(structure), cutoff, reach)
    box = np.zeros((2, 3))
    if len(home):
        margin = cutoff * (1 + 1e-9) + 1e-12 * np.abs(home).max()
        box = np.array([home.min(axis=0) - margin, home.max(axis=0) + margin])
    parents, images = periodic_images(fractional, home, vectors, reach, box)
    points = np.concatenate([home, home[parents] + images @ vectors])

    centers = np.arange(len(home), dtype=np.int32)
    limit = np.nextafter(cutoff**2, np.inf) if inclusive else cutoff**2
    offsets, neighbors = pairs_within(points, centers, cutoff, limit, resolve_n_threads(n_threads))
    j = np.concatenate([centers, parents])[neighbors]
    if not structure.pbc.any():
        return Pairs(offsets, j, np.zeros((len(j), 3), dtype=np.int32))
    particle_shifts = np.concatenate([np.zeros((len(home), 3), dtype=np.int64), images])
    S = particle_shifts[neighbors] + wraps[j] - np.repeat(wraps, np.diff(offsets), axis=0)
    return Pairs(offsets, j, (S @ transform).astype(np.int32))


def reduce_lattice(vectors):
    """Make the vectors of a lattice short and nearly orthogonal.

    Parameters
    ----------
    vectors : (3, 3) float64
        In rows; rows of zeros are left alone.

    Returns
    -------
    reduced : (3, 3) float64
    transform : (3, 3) int64
        ``reduced = transform @ vectors``, with determinant ±1.
    """
    transform = np.eye(3, dtype=np.int64)
    reduced = vectors.copy()
    changed = True
    while changed:  # ends, since each change makes a vector shorter
        changed = False
        for a, b in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
            square = reduced[b] @ reduced[b]
            times = np.rint(reduced[a] @ reduced[b] / square) if square else 0
            # A tie (a projection of exactly one half) would be undone in the next turn.
            candidate = reduced[a] - times * reduced[b]
            if times and candidate @ candidate < (1 - 1e-9) * (reduced[a] @ reduced[a]):
                transform[a] -= int(times) * transform[b]
                reduced[a] = transform[a] @ vectors
                changed = True
    return reduced, transform


def _wrap(structure, vectors, cutoff):
    """Fractional coordinates in [0, 1), the whole shifts that lead there, and the images' reach.

    Along directions that are not periodic all three are 0.
    """
    dual = np.linalg.pinv(vectors) * structure.pbc  # columns, one for each direction
    fractional = structure.positions @ dual
    wraps = -np.floor(fractional)
    if (np.abs(wraps) > 2**30).any():
        atom = np.argmax(np.abs(wraps).max(axis=1))
        where = structure.positions[atom].tolist()
        raise InputError(f"positions: atom {atom} at {where} is over a billion cells away")
    # An inverse height of each periodic direction is the length of its dual vector.
    reach = cutoff * (1 + 1e-9) * np.linalg.norm(dual, axis=0) + 1e-9 * structure.pbc
    return np.ascontiguousarray(fractional + wraps), wraps.astype(np.int64), reach


def _refuse_absurd_size(n_atoms, cutoff, reach):
    """A cutoff of a thousand cells would take the machine down before any error came."""
    images = n_atoms * np.prod(1 + 2 * reach)
    pairs = n_atoms**2 * np.prod(2 * reach)  # 0 unless periodic in all directions
    needed = images * BYTES_PER_IMAGE + pairs * BYTES_PER_PAIR
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory or images > 2**31 - 1:
        raise InputError(
            f"cutoff = {cutoff:g} is far too large for this cell of {n_atoms} atoms: the search"
            f" would need about {needed / 1e9:.3g} GB for {images:.3g} periodic images"
        )
