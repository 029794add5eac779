"""Grids: atoms sorted into cells, with the images around them that can be their neighbors."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.faults cimport Fault
from torchml_core.cells.places cimport Place, Span
from torchml_core.signals cimport SignalWatch


# 64 bytes in all, one line of the cache; each group of numbers is loaded at once, as four.
cdef struct Point:
    double x, y, z            # where the atom is, in Å
    double dx, dy, dz         # from there to the point: (a, b, c) @ cell
    int32_t a, b, c           # by how many of the user's cells that is
    int32_t atom              # the atom that it is, or is an image of


cdef enum:
    PAST_THE_END = 16         # so many numbers may be read or written after an array's last


cdef struct Grid:
    double most_points        # with images; to be set before
    double most_pairs         # about
    # Cells, x fastest: home cells with the atoms, and `reach` more on all sides for images. All of
    # them are there, or if there are `keys`, only those with points.
    int64_t[3] home, reach, shape
    int64_t n_cells           # that are there
    int64_t *keys             # (n_cells + 1,) which of all cells each is, ascending; or NULL
    int64_t *starts           # (n_cells + 1,) the first point of each
    int64_t n_occupied
    int64_t *occupied         # home cells with atoms, ascending
    # in the unit of the search
    double[3] width           # of a cell between its faces
    double limit              # neighbors are nearer
    double slack              # no neighbor is farther, roundings included
    double rounding           # by which no two ways to compute a vector differ
    bint beyond               # some atoms are too far away to be told from each other
    bint wrapped              # some atoms are outside of the cell
    bint orthogonal
    # points, sorted by cell
    int64_t n_points
    Point *points
    # where they are, from the middle, without wide gaps, in float32 and the unit of the test
    float *x
    float *y
    float *z
    double span               # no x, y or z is larger
    float near, far           # squares: all pairs below one, and none above the other are neighbors
    double[3][4] cell         # the user's vectors in Å and a zero each; zeros where not periodic
    # memory that is used again
    void *points_block        # that the points are in
    Span[3] spans
    Place *places             # (n_atoms,)
    int64_t *cell_of          # (n_atoms,)
    int64_t *counts           # (n_cells,)
    int64_t[4] capacity       # of points, cells, atoms, occupied cells


cdef Fault make_grid(
    const double *positions, int64_t n_atoms, const double *cell, const int *periodic,
    double limit, int32_t *home_of, Grid *out, int n_threads, SignalWatch *watch,
) noexcept nogil
