"""Ghosts: which periodic images must be particles, and lists that name particles."""

import numpy as np


def make_ghosts(pairs, n_layers):
    """Turn pairs of atoms with cell shifts into pairs of particles.

    Parameters
    ----------
    pairs : torchml_core.pairs.Pairs
        Full lists of the periodic structure.
    n_layers : int
        Ghosts are all images within this many hops along pairs from an atom.

    Returns
    -------
    parents : (n_particles,) int32
        Atoms first (each its own parent), then ghosts, ordered by shift and parent.
    shifts : (n_particles, 3) int32
    neighbors : (n_pairs,) int32
        For each pair the particle that its neighbor is.
    """
    n_atoms = len(pairs.offsets) - 1
    outside = np.flatnonzero(pairs.S.any(axis=1))
    images = np.column_stack([pairs.S[outside], pairs.j[outside]])
    known, place = unique_rows(images)
    frontier = known
    for _ in range(n_layers - 1):
        reached = _step(frontier, pairs)
        grown, _ = unique_rows(np.concatenate([known, reached]))
        frontier = _difference(grown, known)
        known = grown
    if n_layers > 1:
        place = _find(known, images)
    neighbors = pairs.j.copy()
    neighbors[outside] = n_atoms + place
    parents = np.concatenate([np.arange(n_atoms), known[:, 3]]).astype(np.int32)
    shifts = np.concatenate([np.zeros((n_atoms, 3)), known[:, :3]]).astype(np.int32)
    return parents, shifts, neighbors


def unique_rows(rows):
    """Return the different rows of an integer array, sorted, and where each row went.

    One integer key a row makes this a plain sort, which is many times faster than comparing
    rows; only shifts too far apart for that are compared as rows.
    """
    if len(rows) == 0:
        return rows.astype(np.int64), np.zeros(0, dtype=np.int64)
    lowest = rows.min(axis=0).astype(np.int64)
    spans = rows.max(axis=0).astype(np.int64) - lowest + 1
    if np.prod(spans.astype(float)) > 2.0**62:
        unique, place = np.unique(rows.astype(np.int64), axis=0, return_inverse=True)
        return unique, place.ravel()
    keys, place = np.unique(np.ravel_multi_index((rows - lowest).T, spans), return_inverse=True)
    return np.column_stack(np.unravel_index(keys, spans)) + lowest, place


def _step(images, pairs):
    """The images that pairs lead to from some images (rows of shift and atom)."""
    atoms = images[:, 3]
    counts = pairs.offsets[atoms + 1] - pairs.offsets[atoms]
    ends = np.cumsum(counts)
    entries = np.arange(ends[-1] if len(ends) else 0)
    entries += np.repeat(pairs.offsets[atoms] - (ends - counts), counts)
    reached = np.column_stack(
        [np.repeat(images[:, :3], counts, axis=0) + pairs.S[entries], pairs.j[entries]]
    )
    return reached[reached[:, :3].any(axis=1)]


def _find(table, rows):
    """Where each of rows stands in table; each must be there."""
    _, place = unique_rows(np.concatenate([table, rows]))
    # table holds all rows, sorted and each once: the unique rows are the table itself
    return place[len(table) :]


def _difference(rows, known):
    """Those rows that are not among known; both sorted, known within rows."""
    fresh = np.ones(len(rows), dtype=bool)
    fresh[_find(rows, known)] = False
    return rows[fresh]
