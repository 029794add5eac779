# Grids: atoms sorted into cells, with the images around them that can be their neighbors.

from libc.stdint cimport int32_t, int64_t

from torchml_core.signals cimport SignalWatch


# Laid out so that position and shift are each loaded as four numbers at once.
cdef struct Point:
    double x, y, z, zero      # Å; zero is 0
    int32_t a, b, c           # by how many cells, in the user's lattice, it stands off its atom
    int32_t atom              # the atom that it is, or is an image of
    int32_t[4] unused         # 64 bytes in all, one line of the cache


cdef enum:
    PAST_THE_END = 16         # so many numbers may be read or written after an array's last


cdef struct Grid:
    # Cells, x fastest: home cells with the atoms, and `reach` more on all sides for images.
    int64_t[3] home, reach, shape
    double[3] width           # of a cell between its faces, Å
    bint orthogonal
    int64_t n_points
    Point *points             # sorted by cell
    float *x                  # the same positions from the middle, in single precision
    float *y
    float *z
    double[3] middle          # Å
    double span               # no x, y or z is larger, Å
    int64_t *starts           # first point of each cell; one more at the end
    # memory that is used again
    double *wrapped           # (n_atoms, 6) coordinates along the vectors, whole cells added
    int64_t *cell_of          # (n_atoms,)
    int64_t *counts           # (n_cells,)
    int64_t[3] capacity       # of points, cells, atoms


cdef enum Fault:
    FINE = 0
    NO_MEMORY = 1
    TOO_MANY_IMAGES = 2
    TOO_FAR = 3               # atoms outside of the cell by too many cells
    INTERRUPTED = 4           # by a signal handler that raised


cdef Fault make_grid(
    const double *positions, int64_t n_atoms, const double *cell, const int *periodic,
    double cutoff, double most_points, int32_t *home_of, Grid *out, int n_threads,
    SignalWatch *watch,
) noexcept nogil
cdef void free_grid(Grid *grid) noexcept nogil
