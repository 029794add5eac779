"""Lattices: periodic vectors made short and completed to a frame of three.

A very oblique cell has short, nearly orthogonal vectors too; with them the images within a cutoff
are few cells away. Directions without period get unit vectors orthogonal to all others, so that
everything after this can treat the three directions alike.
"""

from libc.math cimport rint, sqrt


cdef inline double dot(const double *a, const double *b) noexcept nogil:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


cdef void make_lattice(const double *cell, const int *periodic, Lattice *out) noexcept nogil:
    """Fill a Lattice from cell vectors in rows, linearly independent where periodic."""
    cdef int a, k
    for a in range(3):
        out.periodic[a] = periodic[a]
        for k in range(3):
            out.vectors[a][k] = cell[3 * a + k] if periodic[a] else 0.0
            out.transform[a][k] = a == k
    reduce_vectors(cell, out)
    complete(out)
    invert(out)
    out.orthogonal = True
    for a in range(3):
        out.heights[a] = 1 / sqrt(
            out.dual[0][a] ** 2 + out.dual[1][a] ** 2 + out.dual[2][a] ** 2
        )
        if out.heights[a] < (1 - 1e-12) * sqrt(dot(out.vectors[a], out.vectors[a])):
            out.orthogonal = False


cdef void reduce_vectors(const double *cell, Lattice *out) noexcept nogil:
    """Subtract vectors from each other as long as one gets shorter by it."""
    cdef int a, b, k
    cdef double square, times, candidate, x
    cdef bint changed = True
    while changed:
        changed = False
        for a in range(3):
            for b in range(3):
                square = dot(out.vectors[b], out.vectors[b])
                if a == b or square == 0:
                    continue
                times = rint(dot(out.vectors[a], out.vectors[b]) / square)
                candidate = 0
                for k in range(3):
                    x = out.vectors[a][k] - times * out.vectors[b][k]
                    candidate += x * x
                # A tie (a projection of exactly one half) would be undone in the next turn.
                if times == 0 or candidate >= (1 - 1e-9) * dot(out.vectors[a], out.vectors[a]):
                    continue
                for k in range(3):
                    out.transform[a][k] -= <int64_t>times * out.transform[b][k]
                for k in range(3):  # from the cell anew: no rounding adds up
                    out.vectors[a][k] = (
                        out.transform[a][0] * cell[k]
                        + out.transform[a][1] * cell[3 + k]
                        + out.transform[a][2] * cell[6 + k]
                    )
                changed = True


cdef void complete(Lattice *out) noexcept nogil:
    """Unit vectors for the directions without period, orthogonal to all others."""
    cdef double[9] basis = [0, 0, 0, 0, 0, 0, 0, 0, 0]  # orthonormal rows, span the vectors set so far
    cdef double[3] best = [0, 0, 0]
    cdef double[3] trial
    cdef double longest, length
    cdef int n = 0, a, axis, k
    for a in range(3):
        if out.periodic[a]:
            for k in range(3):
                trial[k] = out.vectors[a][k]
            length = remove_components(trial, basis, n)
            for k in range(3):
                basis[3 * n + k] = trial[k] / length
            n += 1
    for a in range(3):
        if out.periodic[a]:
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
            basis[3 * n + k] = out.vectors[a][k] = best[k]
        n += 1


cdef double remove_components(double *vector, const double *basis, int n) noexcept nogil:
    """Make a vector orthogonal to the first n of a basis; return its length then."""
    cdef int turn, b, k
    cdef double along
    for turn in range(2):  # the second removes what rounding left
        for b in range(n):
            along = dot(vector, basis + 3 * b)
            for k in range(3):
                vector[k] -= along * basis[3 * b + k]
    return sqrt(dot(vector, vector))


cdef void invert(Lattice *out) noexcept nogil:
    """dual = inverse of vectors, by cross products."""
    cdef double[3][3] cross
    cdef double volume
    cdef int a, b, c, k
    for a in range(3):
        b, c = (a + 1) % 3, (a + 2) % 3
        for k in range(3):
            cross[a][k] = (
                out.vectors[b][(k + 1) % 3] * out.vectors[c][(k + 2) % 3]
                - out.vectors[b][(k + 2) % 3] * out.vectors[c][(k + 1) % 3]
            )
    volume = dot(out.vectors[0], cross[0])
    for a in range(3):
        for k in range(3):
            out.dual[k][a] = cross[a][k] / volume
