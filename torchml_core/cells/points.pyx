"""Points of a grid: atoms and images where they belong.

A point knows where its atom is and by how many cells it is shifted, from which a pair's vector is
computed in the end; and where it is itself, in single precision, for the search.
"""

from torchml_core._parallel cimport share
from torchml_core.cells.grid cimport Point
from torchml_core.cells.places cimport Place
from torchml_core.simd.fours cimport (
    combined4, four4i, load4d, load4i, store4d, store4i, vec4d, vec4i,
)


cdef enum:
    ATOMS_AT_ONCE = 1024


# What threads that put atoms share.
cdef struct Atoms:
    const double *positions
    const Lattice *lattice
    const int32_t *home_of
    Grid *grid


cdef void put_atoms(
    const double *positions, int64_t n_atoms, const Lattice *lattice, const int32_t *home_of,
    Grid *grid, int n_threads, SignalWatch *watch,
) noexcept nogil:
    cdef Atoms atoms = [positions, lattice, home_of, grid]
    share(n_threads, n_atoms, ATOMS_AT_ONCE, put_some_atoms, &atoms, watch)


cdef void put_some_atoms(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Atoms *atoms = <const Atoms *> context
    cdef Grid *grid = atoms.grid
    cdef int64_t i
    for i in range(first, end):
        put_atom(
            atoms.positions + 3 * i, &grid.places[i], atoms.lattice, i, atoms.home_of[i], grid
        )


cdef inline void put_atom(
    const double *x, const Place *place, const Lattice *lattice, int64_t i, int64_t at, Grid *grid
) noexcept nogil:
    cdef Point *p = &grid.points[at]
    cdef int64_t[3] whole = [place.added[0], place.added[1], place.added[2]]
    cdef double a = place.t[0] - grid.spans[0].lowest - grid.spans[0].extent / 2
    cdef double b = place.t[1] - grid.spans[1].lowest - grid.spans[1].extent / 2
    cdef double c = place.t[2] - grid.spans[2].lowest - grid.spans[2].extent / 2
    p.x, p.y, p.z = x[0], x[1], x[2]
    p.dx = p.dy = p.dz = 0
    p.a = p.b = p.c = 0
    p.atom = <int32_t> i
    if whole[0] or whole[1] or whole[2]:
        put_shift(p, in_cells(lattice, whole, p.atom), grid)
    grid.x[at] = <float> along(lattice, a, b, c, 0)
    grid.y[at] = <float> along(lattice, a, b, c, 1)
    grid.z[at] = <float> along(lattice, a, b, c, 2)


cdef inline void put_shift(Point *point, vec4i shift, const Grid *grid) noexcept nogil:
    """shift : a, b, c, and the atom"""
    store4d(&point.dx, moved_by(shift, grid))  # and on into a, b
    store4i(&point.a, shift)


cdef inline vec4d moved_by(vec4i shift, const Grid *grid) noexcept nogil:
    """How far a shift by so many of the user's cells is."""
    return combined4(shift, load4d(grid.cell[0]), load4d(grid.cell[1]), load4d(grid.cell[2]))


cdef inline double along(
    const Lattice *lattice, double a, double b, double c, int axis
) noexcept nogil:
    """A coordinate of what is at a, b, c along the directions."""
    return a * lattice.along[0][axis] + b * lattice.along[1][axis] + c * lattice.along[2][axis]


cdef inline vec4i in_cells(const Lattice *lattice, const int64_t *s, int32_t atom) noexcept nogil:
    """A shift along the reduced vectors counted in the user's cells, and a fourth number."""
    cdef int32_t[3] total
    cdef int k
    for k in range(3):
        total[k] = <int32_t> (
            s[0] * lattice.transform[0][k]
            + s[1] * lattice.transform[1][k]
            + s[2] * lattice.transform[2][k]
        )
    return four4i(total[0], total[1], total[2], atom)


cdef void put_image(
    const Lattice *lattice, Grid *grid, int64_t from_, int64_t to, int64_t n, const int64_t *shift
) noexcept nogil:
    """Copy the points of n cells that follow each other, shifted by reduced lattice vectors."""
    cdef int64_t first = grid.starts[from_], at = grid.starts[to], p
    cdef const Point *original = grid.points + first
    cdef Point *image = grid.points + at
    cdef double u = shift[0] * grid.spans[0].extent
    cdef double v = shift[1] * grid.spans[1].extent
    cdef double w = shift[2] * grid.spans[2].extent
    cdef double dx = along(lattice, u, v, w, 0)
    cdef double dy = along(lattice, u, v, w, 1)
    cdef double dz = along(lattice, u, v, w, 2)
    cdef vec4i more = in_cells(lattice, shift, 0), cells
    cdef vec4d d = moved_by(more, grid)  # of all atoms that are in the cell
    for p in range(grid.starts[to + n] - at):
        cells = load4i(&original[p].a) + more
        if grid.wrapped:
            d = moved_by(cells, grid)
        store4d(&image[p].x, load4d(&original[p].x))
        store4d(&image[p].dx, d)  # and on into a, b
        store4i(&image[p].a, cells)
        grid.x[at + p] = <float> (grid.x[first + p] + dx)
        grid.y[at + p] = <float> (grid.y[first + p] + dy)
        grid.z[at + p] = <float> (grid.z[first + p] + dz)
