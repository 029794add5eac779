"""Rows of neighbor lists, written from points.

What limits a neighbor search is the memory that its lists fill, so this is where its time goes:
points are looked up once, and written by few instructions.
"""

from libc.math cimport sqrt

from torchml_core.cells.distances cimport (
    LEAST, MOST, is_in_cell, length, square, vector, vector_from_cell, vector_of_pair,
)
from torchml_core.cells.grid cimport Point
from torchml_core.simd.fours cimport load4d, load4i, store4d, store4i, vec4d, vec4i


cdef void write_row(
    const Grid *grid, int32_t home, const int32_t *row, int64_t first, int64_t n,
    int32_t atom_offset, const Lists *lists,
) noexcept nogil:
    """Write one atom's neighbors at ``first`` of those lists that are not NULL.

    Distances are left to write_lengths where there are vectors.
    """
    cdef int64_t k
    cdef const Point *points = grid.points
    cdef const Point *here = points + home
    if lists.i != NULL:
        for k in range(n):
            lists.i[first + k] = here.atom + atom_offset
    if lists.j != NULL and lists.S != NULL and lists.D != NULL:
        write_all(
            grid, here, row, n, atom_offset, lists.j + first, lists.S + 3 * first,
            lists.D + 3 * first,
        )
    else:
        if lists.j != NULL:
            for k in range(n):
                lists.j[first + k] = points[row[k]].atom + atom_offset
        if lists.S != NULL:
            write_shifts(points, here, row, n, lists.S + 3 * first)
        if lists.D != NULL:
            write_vectors(grid, here, row, n, lists.D + 3 * first)
    if lists.d != NULL and lists.D == NULL:
        write_distances(grid, here, row, n, lists.d + first)


cdef void write_lengths(const Lists *lists, int64_t first, int64_t end) noexcept nogil:
    """Write distances from vectors, of many rows at once.

    To be called some rows late: vectors that were just written are not yet back in the cache.
    """
    cdef int64_t k
    cdef const double *D = lists.D
    cdef double *d = lists.d
    cdef double s
    cdef int lacking = 0
    if D == NULL or d == NULL:
        return
    for k in range(first, end):
        s = square(D + 3 * k)
        lacking |= (s < LEAST) | (s > MOST)
        d[k] = sqrt(s)
    if lacking:
        for k in range(first, end):
            d[k] = length(D + 3 * k)


# Three numbers of a pair are written as four, the last of which the next pair overwrites; so the
# last pair of a row, after which another thread may have been, is written number by number.


cdef inline void write_all(
    const Grid *grid, const Point *here, const int32_t *row, int64_t n, int32_t atom_offset,
    int32_t *j, int32_t *S, double *D,
) noexcept nogil:
    """The next two and j in one go: each point is looked up once."""
    cdef int64_t k
    cdef const Point *points = grid.points
    cdef const Point *there
    cdef vec4d origin = load4d(&here.x)
    cdef vec4i home_shift = load4i(&here.a)
    cdef vec4d a = load4d(grid.cell[0])
    cdef vec4d b = load4d(grid.cell[1])
    cdef vec4d c = load4d(grid.cell[2])
    if is_in_cell(here):
        for k in range(n - 1):
            there = points + row[k]
            j[k] = there.atom + atom_offset
            store4i(S + 3 * k, load4i(&there.a))
            store4d(D + 3 * k, vector_from_cell(origin, there))
    else:
        for k in range(n - 1):
            there = points + row[k]
            j[k] = there.atom + atom_offset
            store4i(S + 3 * k, load4i(&there.a) - home_shift)
            store4d(D + 3 * k, vector(origin, home_shift, there, a, b, c))
    if n:
        j[n - 1] = points[row[n - 1]].atom + atom_offset
        write_shifts(points, here, row + n - 1, 1, S + 3 * (n - 1))
        write_vectors(grid, here, row + n - 1, 1, D + 3 * (n - 1))


cdef inline void write_shifts(
    const Point *points, const Point *here, const int32_t *row, int64_t n, int32_t *S
) noexcept nogil:
    cdef int64_t k
    cdef vec4i origin = load4i(&here.a)
    for k in range(n - 1):
        store4i(S + 3 * k, load4i(&points[row[k]].a) - origin)
    if n:
        k = n - 1
        S[3 * k] = points[row[k]].a - here.a
        S[3 * k + 1] = points[row[k]].b - here.b
        S[3 * k + 2] = points[row[k]].c - here.c


cdef inline void write_vectors(
    const Grid *grid, const Point *here, const int32_t *row, int64_t n, double *D
) noexcept nogil:
    cdef int64_t k
    cdef const Point *there
    cdef double[4] last
    for k in range(n - 1):
        store4d(D + 3 * k, vector_of_pair(grid, here, grid.points + row[k]))
    if n and is_in_cell(here):
        there = grid.points + row[n - 1]
        D[3 * n - 3] = (there.x - here.x) + there.dx
        D[3 * n - 2] = (there.y - here.y) + there.dy
        D[3 * n - 1] = (there.z - here.z) + there.dz
    elif n:
        store4d(last, vector_of_pair(grid, here, grid.points + row[n - 1]))
        for k in range(3):
            D[3 * (n - 1) + k] = last[k]


cdef inline void write_distances(
    const Grid *grid, const Point *here, const int32_t *row, int64_t n, double *d
) noexcept nogil:
    cdef int64_t k
    cdef double[4] D
    for k in range(n):
        store4d(D, vector_of_pair(grid, here, grid.points + row[k]))
        d[k] = length(D)
