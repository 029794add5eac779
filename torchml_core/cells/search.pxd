"""The search of one cell: which points are within a distance of its atoms."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.grid cimport Grid
from torchml_core.signals cimport SignalWatch


cdef struct Criterion:
    double limit              # pairs with a distance below it count, in Å
    bint half                 # of each pair and its reverse, one
    bint selves               # an atom is its own neighbor too
    bint ordered              # rows sorted by atom, then shift
    # no structure may need more points with its images, or have more pairs (roughly)
    double most_points, most_pairs


# The rows of cells around one: `offset` cells away, each from -reach to reach along x.
cdef struct Surroundings:
    int64_t n_rows, capacity
    int64_t *offset
    int64_t *reach


# A run of points side by side. The cells that it is from are kept where they must be looked for.
cdef struct Run:
    int64_t first, n
    int64_t first_cell, end_cell


# One thread's own: hits of many atoms, one row after another.
cdef struct Hits:
    int64_t n, capacity
    int32_t *point
    Run *runs                 # of points around a cell
    int64_t n_runs, used_runs, longest_run, points_around
    int64_t work              # points tested since it was last asked whether to stop
    int64_t last_cell         # that they were found for


cdef bint find_surroundings(const Grid *grid, Surroundings *out) noexcept nogil
cdef double candidates(const Grid *grid, const Surroundings *around) noexcept nogil
cdef void free_hits(Hits *hits) noexcept nogil
cdef void free_surroundings(Surroundings *surroundings) noexcept nogil
cdef bint search_cell(
    const Grid *grid, const Surroundings *around, const Criterion *criterion, int64_t cell,
    Hits *hits, int64_t *first_hit, int64_t *n_hits, SignalWatch *watch,
) noexcept nogil
