"""Work on lists of neighbors: edges of staged graphs, and a check of lists that were given."""

import numpy as np

from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport qsort

from torchml_core.signals cimport (
    SignalWatch,
    interrupted,
    raise_interruption,
    watch_signals,
)

from torchml_core.threads import in_main_thread


def near_rows(
    const double[:, ::1] positions, const int32_t[::1] particles, const int64_t[::1] offsets,
    const int32_t[::1] neighbors, double scale, double limit,
):
    """Lists as staged_edges takes them, from lists of any order that may reach further.

    Parameters
    ----------
    positions : (n_particles, 3)
    particles, offsets, neighbors : a row for every particle
    scale, limit : pairs whose distance times scale is at most the limit are kept

    Returns
    -------
    offsets : (n_particles + 1,) int64
    neighbors : (n_pairs,) int32
        Row i is that of particle i, sorted.
    """
    cdef:
        int64_t row, k, at, n = particles.shape[0]
        int32_t i
        int64_t[::1] begin = np.zeros(n + 1, dtype=np.int64)
        # zeros, since positions that another thread moves meanwhile may leave some unwritten
        int32_t[::1] near = np.zeros(neighbors.shape[0], dtype=np.int32)
        SignalWatch watch
    watch_signals(&watch, in_main_thread())
    with nogil:
        for row in range(n):
            i = particles[row]
            if interrupted(&watch, 4 * (offsets[row + 1] - offsets[row])):
                break
            for k in range(offsets[row], offsets[row + 1]):
                begin[i + 1] += is_near(positions, i, neighbors[k], scale, limit * limit)
        for k in range(n):
            begin[k + 1] += begin[k]
        for row in range(n):
            i = particles[row]
            if interrupted(&watch, 20 * (offsets[row + 1] - offsets[row])):
                break
            at = begin[i]
            for k in range(offsets[row], offsets[row + 1]):
                if is_near(positions, i, neighbors[k], scale, limit * limit):
                    near[at] = neighbors[k]
                    at += 1
            if at - begin[i] > 1:
                qsort(&near[begin[i]], at - begin[i], sizeof(int32_t), compare)
    raise_interruption(&watch)
    return np.asarray(begin), np.asarray(near)


cdef inline bint is_near(
    const double[:, ::1] positions, int32_t i, int32_t j, double scale, double square
) noexcept nogil:
    cdef double x = (positions[j, 0] - positions[i, 0]) * scale
    cdef double y = (positions[j, 1] - positions[i, 1]) * scale
    cdef double z = (positions[j, 2] - positions[i, 2]) * scale
    return x * x + y * y + z * z <= square


cdef int compare(const void *a, const void *b) noexcept nogil:
    return (<const int32_t *> a)[0] - (<const int32_t *> b)[0]


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
        SignalWatch watch
    watch_signals(&watch, in_main_thread())
    with nogil:
        for i in range(n):
            if interrupted(&watch, 4 * (offsets[i + 1] - offsets[i])):
                break
            for k in range(offsets[i], offsets[i + 1]):
                n_edges += stage[i] | stage[neighbors[k]]
                if stage[i]:
                    reached[neighbors[k]] = 1
    raise_interruption(&watch)
    edges = np.empty((2, n_edges), dtype=np.int64)
    n_edges = 0
    with nogil:
        for i in range(n):
            if interrupted(&watch, 4 * (offsets[i + 1] - offsets[i])):
                break
            for k in range(offsets[i], offsets[i + 1]):
                j = neighbors[k]
                if stage[i] | stage[j]:
                    edges[0, n_edges] = i
                    edges[1, n_edges] = j
                    n_edges += 1
    raise_interruption(&watch)
    return np.asarray(edges), np.asarray(reached)


def first_repetition(
    const int64_t[::1] offsets, const int32_t[::1] neighbors, int64_t n_particles
):
    """The first entry whose particle is in the same row before, or -1. Indices are in range."""
    cdef int64_t row, k, found = -1
    cdef int64_t[::1] seen_in = np.full(n_particles, -1, dtype=np.int64)
    with nogil:
        for row in range(offsets.shape[0] - 1):
            for k in range(offsets[row], offsets[row + 1]):
                if seen_in[neighbors[k]] == row:
                    found = k
                    break
                seen_in[neighbors[k]] = row
            if found >= 0:
                break
    return found
