"""Lattices: periodic vectors made short and completed to a frame of three.

A very oblique cell has short, nearly orthogonal vectors too; with them the images within a cutoff
are few cells away. Directions without period get unit vectors orthogonal to all others, so that
everything after this can treat the three directions alike.

Lengths may be of any magnitude, and of several in one cell: each vector is kept as a mantissa
near 1 and a power of two.
"""

from libc.math cimport fabs, frexp, ldexp, rint, sqrt
from libc.stdlib cimport llabs

from torchml_core.cells.faults cimport FINE, TOO_LARGE, TOO_MANY_IMAGES

cdef enum:
    MOST_TIMES = 1 << 27      # cell vectors in a reduced one
    MOST_TURNS = 1000         # of a reduction; a few dozen are many
    MOST_UNIT = 1000          # its exponent: what one divides by it is not infinite
    MOST_POWER = 330          # periods from 1e-99 to 1e99 cutoffs


# Mantissas in rows, the largest number of each from 1/2 to 1; zero where not periodic.
cdef struct Vectors:
    double[3][3] mantissa
    int[3] exponent


cdef inline double dot(const double *a, const double *b) noexcept nogil:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


cdef Fault make_lattice(
    const double *cell, const int *periodic, double limit, Lattice *out
) noexcept nogil:
    """Fill a Lattice from cell vectors in rows, linearly independent where periodic.

    limit : of distances, in Å
    """
    cdef int a, k, of_limit, of_unit
    cdef Vectors vectors, reduced
    out.limit_of_test = frexp(limit, &of_limit)
    of_unit = min(max(of_limit, -MOST_UNIT), MOST_UNIT)
    out.limit = ldexp(limit, -of_unit)
    for a in range(3):
        out.periodic[a] = periodic[a]
        vectors.exponent[a] = 0
        for k in range(3):
            vectors.mantissa[a][k] = cell[3 * a + k] if periodic[a] else 0.0
            out.transform[a][k] = a == k
        normalize(&vectors, a)
    reduced = vectors
    reduce_vectors(&vectors, &reduced, out)
    complete(&reduced, out)
    return measure(&vectors, &reduced, of_unit, of_limit, out)


cdef void normalize(Vectors *vectors, int a) noexcept nogil:
    """Move a power of two from the mantissa of a vector to its exponent."""
    cdef double largest = 0
    cdef int k, exponent
    for k in range(3):
        largest = max(largest, fabs(vectors.mantissa[a][k]))
    frexp(largest, &exponent)
    for k in range(3):
        vectors.mantissa[a][k] = ldexp(vectors.mantissa[a][k], -exponent)
    vectors.exponent[a] += exponent


cdef void reduce_vectors(const Vectors *cell, Vectors *reduced, Lattice *out) noexcept nogil:
    """Subtract vectors from each other as long as one gets shorter by it."""
    cdef int a, b, _
    cdef bint changed
    out.too_oblique = False
    for _ in range(MOST_TURNS):
        changed = False
        for a in range(3):
            for b in range(3):
                if a == b or not (out.periodic[a] and out.periodic[b]):
                    continue
                changed |= shorten(cell, reduced, out, a, b)
        if not changed:
            return


cdef bint shorten(
    const Vectors *cell, Vectors *reduced, Lattice *out, int a, int b
) noexcept nogil:
    """Take from vector a what it has of vector b; whether it has changed by that."""
    cdef double *one = reduced.mantissa[a]
    cdef const double *other = reduced.mantissa[b]
    cdef int higher = reduced.exponent[b] - reduced.exponent[a]
    cdef double times = rint(ldexp(dot(one, other) / dot(other, other), -higher))
    cdef double left = 0, x
    cdef int c, k
    for k in range(3):
        x = one[k] - times * ldexp(other[k], higher)
        left += x * x
    # A tie (a projection of exactly one half) would be undone the next time.
    if times == 0 or left >= (1 - 1e-9) * dot(one, one):
        return False
    for c in range(3):
        if not fabs(out.transform[a][c] - times * out.transform[b][c]) <= MOST_TIMES:
            out.too_oblique = True
            return False
    for c in range(3):
        out.transform[a][c] -= <int64_t> times * out.transform[b][c]
    for k in range(3):  # from the cell anew: no rounding adds up
        one[k] = 0
        for c in range(3):
            if out.transform[a][c]:
                one[k] += out.transform[a][c] * ldexp(
                    cell.mantissa[c][k], cell.exponent[c] - reduced.exponent[a]
                )
    normalize(reduced, a)
    return True


cdef void complete(Vectors *reduced, const Lattice *lattice) noexcept nogil:
    """Unit vectors for the directions without period, orthogonal to all others."""
    cdef double[9] basis = [0, 0, 0, 0, 0, 0, 0, 0, 0]  # orthonormal rows, of the vectors so far
    cdef double[3] best = [0, 0, 0]
    cdef double[3] trial
    cdef double longest, length
    cdef int n = 0, a, axis, k
    for a in range(3):
        if lattice.periodic[a]:
            for k in range(3):
                trial[k] = reduced.mantissa[a][k]
            length = remove_components(trial, basis, n)
            for k in range(3):
                basis[3 * n + k] = trial[k] / length
            n += 1
    for a in range(3):
        if lattice.periodic[a]:
            continue
        longest = 0
        for axis in range(3):
            for k in range(3):
                trial[k] = k == axis
            length = remove_components(trial, basis, n)
            if length > longest + 1e-6:
                longest = length
                for k in range(3):
                    best[k] = trial[k] / length
        for k in range(3):
            basis[3 * n + k] = reduced.mantissa[a][k] = best[k]
        n += 1


cdef double remove_components(double *vector, const double *basis, int n) noexcept nogil:
    """Make a vector orthogonal to the first n of a basis; return its length then."""
    cdef int _, b, k
    cdef double along
    for _ in range(2):  # the second removes what rounding left
        for b in range(n):
            along = dot(vector, basis + 3 * b)
            for k in range(3):
                vector[k] -= along * basis[3 * b + k]
    return sqrt(dot(vector, vector))


cdef Fault measure(
    const Vectors *cell, const Vectors *reduced, int of_unit, int of_limit, Lattice *out
) noexcept nogil:
    """Normals, periods and what else follows from the vectors.

    of_unit, of_limit : exponents, of the unit of the search and of the limit, in Å
    """
    cdef double[3][3] normals
    cdef double *normal
    cdef double height, length
    cdef int a, k
    for a in range(3):
        normal = normals[a]
        cross(reduced.mantissa[(a + 1) % 3], reduced.mantissa[(a + 2) % 3], normal)
        length = sqrt(dot(normal, normal))
        height = dot(normal, reduced.mantissa[a]) / length
        if height < 0:  # a left-handed frame
            height = -height
            length = -length
        out.exact[a] = not out.periodic[a]
        for k in range(3):
            normal[k] /= length
            out.exact[a] = out.exact[a] and normal[k] in (0, 1)
            out.normals[k][a] = ldexp(normal[k], -of_unit)
            out.along[a][k] = reduced.mantissa[a][k] / height
        out.stretch[a] = sqrt(dot(out.along[a], out.along[a]))
        for k in range(3):
            out.along[a][k] = ldexp(out.along[a][k], of_unit - of_limit)
        out.period[a] = out.per_period[a] = out.rounding[a] = 0
        if not out.periodic[a]:
            continue
        if reduced.exponent[a] - of_limit > MOST_POWER:
            return TOO_LARGE
        if reduced.exponent[a] - of_limit < -MOST_POWER:
            return TOO_MANY_IMAGES
        out.period[a] = ldexp(height, reduced.exponent[a] - of_unit)
        out.per_period[a] = 1 / out.period[a]
        for k in range(3):
            if out.transform[a][k]:
                out.rounding[a] += ROUNDING * llabs(out.transform[a][k]) * ldexp(
                    1, cell.exponent[k] - of_unit
                )
    # A cosine shortens the diagonal of two gaps by up to half of it: this one, by less than the
    # slack of a grid.
    out.orthogonal = True
    for a in range(3):
        out.orthogonal = (
            out.orthogonal and fabs(dot(normals[a], normals[(a + 1) % 3])) <= 1e-10
        )
    return FINE


cdef void cross(const double *a, const double *b, double *out) noexcept nogil:
    cdef int k
    for k in range(3):
        out[k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3]
