"""Vectors and distances of pairs, computed in one way wherever they are needed."""

from libc.math cimport fabs, frexp, ldexp, sqrt

from torchml_core.cells.grid cimport Grid, Point
from torchml_core.simd.fours cimport combined4, load4d, load4i, vec4d, vec4i


# What is computed here is positions[j] - positions[i] + S @ cell. Seen from the other end it is the
# same with the other sign to the last bit, since rounding is symmetric, so both ends agree on what
# is near. That needs every sum and product rounded by itself: cells/ is compiled without
# contraction (setup.py). All vectors have a fourth number that means nothing.


cdef inline bint is_in_cell(const Point *point) noexcept nogil:
    """Whether a point is where its atom is."""
    return not (point.a | point.b | point.c)


cdef inline vec4d vector_from_cell(vec4d origin, const Point *there) noexcept nogil:
    """The vector from an atom that is in the cell, at the origin."""
    return (load4d(&there.x) - origin) + load4d(&there.dx)


cdef inline vec4d vector(
    vec4d origin, vec4i shift, const Point *there, vec4d a, vec4d b, vec4d c
) noexcept nogil:
    """The vector from any atom, whose point is shifted; a, b, c are the cell's vectors."""
    return (load4d(&there.x) - origin) + combined4(load4i(&there.a) - shift, a, b, c)


cdef inline vec4d vector_of_pair(
    const Grid *grid, const Point *here, const Point *there
) noexcept nogil:
    if is_in_cell(here):
        return vector_from_cell(load4d(&here.x), there)
    return vector(
        load4d(&here.x),
        load4i(&here.a),
        there,
        load4d(grid.cell[0]),
        load4d(grid.cell[1]),
        load4d(grid.cell[2]),
    )


cdef inline double square(const double *D) noexcept nogil:
    return D[0] * D[0] + D[1] * D[1] + D[2] * D[2]


cdef extern from *:
    """
    /* Between these a sum of squares neither lost digits near zero nor is infinite. */
    #define LEAST 1e-290
    #define MOST 1e308
    """
    const double LEAST, MOST


cdef inline double length(const double *D) noexcept nogil:
    """The length of a vector, whatever its magnitude."""
    cdef double s = square(D)
    return sqrt(s) if LEAST <= s <= MOST else scaled_length(D)


cdef inline double scaled_length(const double *D) noexcept nogil:
    cdef double largest = max(fabs(D[0]), fabs(D[1]), fabs(D[2]))
    cdef double[3] scaled
    cdef int exponent, k
    if not 0 < largest <= 1e308:
        return largest
    frexp(largest, &exponent)
    for k in range(3):
        scaled[k] = ldexp(D[k], -exponent)
    return ldexp(sqrt(square(scaled)), exponent)
