"""Edges of staged graphs, picked from the lists of all particles."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t


def staged_edges(
    const int64_t[::1] offsets, const int32_t[::1] neighbors, const uint8_t[::1] stage
):
    """The edges of one stage, and the particles of the next.

    Parameters
    ----------
    offsets, neighbors : full lists of all particles, rows sorted
    stage : (n_particles,) uint8
        1 for the particles that this stage starts from.

    Returns
    -------
    edges : (2, n_edges) int64
        (i, j) and (j, i) for each particle i of the stage and each neighbor j; sorted.
    reached : (n_particles,) uint8
        1 for those j.
    """
    cdef:
        int64_t i, j, k, n_edges = 0, n = stage.shape[0]
        uint8_t[::1] reached = np.zeros(n, dtype=np.uint8)
        int64_t[:, ::1] edges
    with nogil:
        for i in range(n):
            for k in range(offsets[i], offsets[i + 1]):
                n_edges += stage[i] | stage[neighbors[k]]
                if stage[i]:
                    reached[neighbors[k]] = 1
    edges = np.empty((2, n_edges), dtype=np.int64)
    n_edges = 0
    with nogil:
        for i in range(n):
            for k in range(offsets[i], offsets[i + 1]):
                j = neighbors[k]
                if stage[i] | stage[j]:
                    edges[0, n_edges] = i
                    edges[1, n_edges] = j
                    n_edges += 1
    return np.asarray(edges), np.asarray(reached)
