"""Small dense products with their sums in registers: most of what a density expansion costs.

    out[r, v] = Σ_k a[k, r] b[k, v]        k = (outer, inner)

a: single numbers, taken to every lane; b and out: vectors. A tile of up to 6 rows and 2 vectors is
summed over all k before it is stored, so that a multiply-add takes half a load, and there are as
many independent sums as the processor's pipeline is deep.
"""

from torchml_core.kernels.simd cimport number_at, splat, splat_at, vec


# Where factors and sums stand: steps in a count numbers, those in b and out vectors.
cdef struct Product:
    Py_ssize_t n_outer, n_inner
    Py_ssize_t a_outer, a_inner, a_row
    Py_ssize_t b_outer, b_inner
    Py_ssize_t out_row, out_vector


cdef enum:
    TILE_ROWS = 6


cdef inline void tile(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t rows, bint two, bint more
) noexcept nogil:
    """One tile; always inlined with constant ``rows`` and ``two`` (vectors, or one)."""
    cdef vec first[TILE_ROWS]
    cdef vec second[TILE_ROWS]
    cdef vec b0, b1, factor
    cdef Product q = p[0]
    cdef Py_ssize_t outer, inner, r, at, to
    b1 = splat(0, b)
    for r in range(rows):
        first[r] = splat(0, b)
        second[r] = splat(0, b)
    for outer in range(q.n_outer):
        at = outer * q.a_outer
        to = outer * q.b_outer
        for inner in range(q.n_inner):
            b0 = b[to]
            if two:
                b1 = b[to + 1]
            for r in range(rows):
                factor = splat_at(a, at + r * q.a_row)
                first[r] = first[r] + factor * b0
                if two:
                    second[r] = second[r] + factor * b1
            at += q.a_inner
            to += q.b_inner
    for r in range(rows):
        if more:
            first[r] = first[r] + out[r * q.out_row]
        out[r * q.out_row] = first[r]
        if two:
            if more:
                second[r] = second[r] + out[r * q.out_row + q.out_vector]
            out[r * q.out_row + q.out_vector] = second[r]


cdef inline void tile_of(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t rows, bint two, bint more
) noexcept nogil:
    if rows == 6:
        tile(p, a, b, out, 6, two, more)
    elif rows == 5:
        tile(p, a, b, out, 5, two, more)
    elif rows == 4:
        tile(p, a, b, out, 4, two, more)
    elif rows == 3:
        tile(p, a, b, out, 3, two, more)
    elif rows == 2:
        tile(p, a, b, out, 2, two, more)
    else:
        tile(p, a, b, out, 1, two, more)


cdef inline Py_ssize_t tile_rows(Py_ssize_t left) noexcept nogil:
    """Such that tiles are of about the same size, without a division."""
    if left <= TILE_ROWS:
        return left
    return (left + 1) // 2 if left <= 2 * TILE_ROWS else TILE_ROWS - 1


cdef inline void product(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t n_rows,
    Py_ssize_t n_vectors, bint more,
) noexcept nogil:
    """Set out to the product, or add it where ``more``."""
    cdef Py_ssize_t v, r = 0, rows
    while r < n_rows:
        rows = tile_rows(n_rows - r)
        v = 0
        while v + 2 <= n_vectors:
            tile_of(
                p, number_at(a, r * p.a_row), b + v,
                out + r * p.out_row + v * p.out_vector, rows, True, more
            )
            v += 2
        if v < n_vectors:
            tile_of(
                p, number_at(a, r * p.a_row), b + v,
                out + r * p.out_row + v * p.out_vector, rows, False, more
            )
        r += rows
