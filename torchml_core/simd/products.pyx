"""Small dense products with their sums in registers: most of what a density expansion costs.

    out[r, v] = Σ_k a[k, r] b[k, v]        k = (outer, inner)

a: single numbers, copied to every lane; b and out: vectors. (Or a few numbers in turn in all lanes,
where b has as many short rows interleaved: ``repeat`` products are summed side by side.) A tile of
up to 6 rows and 2 vectors, or 13 rows and one, is summed over all k before it is stored: a
multiply-add takes half a load, and there are as many independent sums as the processor's pipeline
is deep.
"""

from torchml_core.simd.vectors cimport (
    held, lanes_of, load_at, number_at, repeat_at, splat, vec,
)

# A tile that is not inlined has neither its rows nor its sums in registers, and is three times as
# slow: compilers must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """

cdef enum:
    TILE_ROWS = 6               # of two vectors: 16 registers have room for no more
    LONG_TILE_ROWS = 13         # of one


cdef inline void tile(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t rows, bint two, int repeat,
    bint more,
) noexcept nogil:
    """One tile; always inlined, with constant ``rows``, ``two`` (vectors, or one) and ``repeat``,
    and into a loop: gcc then has the loops over rows unrolled before it decides what is kept in
    registers."""
    cdef vec first[LONG_TILE_ROWS]
    cdef vec second[TILE_ROWS]
    cdef vec b0, b1, factor
    cdef Product q = p[0]
    cdef Py_ssize_t left = q.n_all, from_a = 0, from_b = 0, _, r, at, to
    b1 = splat(0, b)
    for r in range(rows):
        first[r] = splat(0, b)
        if two:
            second[r] = splat(0, b)
    while left > 0:
        at = from_a
        to = from_b
        for _ in range(min(left, q.n_inner)):
            b0 = held(load_at(b, to))
            if two:
                b1 = held(load_at(b, to + lanes_of(b)))
            for r in range(rows):
                factor = repeat_at(a, at + r * q.a_row, repeat)
                first[r] = first[r] + factor * b0
                if two:
                    second[r] = second[r] + factor * b1
            at += q.a_inner
            to += q.b_inner
        left -= q.n_inner
        from_a += q.a_outer
        from_b += q.b_outer
    for r in range(rows):
        if more:
            first[r] = first[r] + out[r * q.out_row]
        out[r * q.out_row] = first[r]
        if two:
            if more:
                second[r] = second[r] + out[r * q.out_row + q.out_vector]
            out[r * q.out_row + q.out_vector] = second[r]


cdef inline void tiles_of_two(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t rows,
    Py_ssize_t n_vectors, bint more,
) noexcept nogil:
    """Tiles side by side, for all pairs of vectors."""
    cdef Py_ssize_t _
    for _ in range(n_vectors // 2):
        if rows == 6:
            tile(p, a, b, out, 6, True, 1, more)
        elif rows == 5:
            tile(p, a, b, out, 5, True, 1, more)
        elif rows == 4:
            tile(p, a, b, out, 4, True, 1, more)
        elif rows == 3:
            tile(p, a, b, out, 3, True, 1, more)
        elif rows == 2:
            tile(p, a, b, out, 2, True, 1, more)
        else:
            tile(p, a, b, out, 1, True, 1, more)
        b = number_at(b, 2 * lanes_of(b))
        out += 2 * p.out_vector


cdef inline void tile_of_one(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t rows, int repeat, bint more
) noexcept nogil:
    """``repeat`` is a constant."""
    if rows == 13:
        tile(p, a, b, out, 13, False, repeat, more)
    elif rows == 11:
        tile(p, a, b, out, 11, False, repeat, more)
    elif rows == 9:
        tile(p, a, b, out, 9, False, repeat, more)
    elif rows == 8:
        tile(p, a, b, out, 8, False, repeat, more)
    elif rows == 7:
        tile(p, a, b, out, 7, False, repeat, more)
    elif rows == 5:
        tile(p, a, b, out, 5, False, repeat, more)
    elif rows == 4:
        tile(p, a, b, out, 4, False, repeat, more)
    elif rows == 3:
        tile(p, a, b, out, 3, False, repeat, more)
    elif rows == 2:
        tile(p, a, b, out, 2, False, repeat, more)
    else:
        tile(p, a, b, out, 1, False, repeat, more)


cdef inline Py_ssize_t long_tile_rows(Py_ssize_t left) noexcept nogil:
    """Of the next tile of one vector: those there are, of 2 l + 1 rows every one."""
    if left % 8 == 0:
        return 8
    if left >= LONG_TILE_ROWS:
        return LONG_TILE_ROWS
    return left if left % 2 or left <= 4 else 5


cdef inline Py_ssize_t tile_rows(Py_ssize_t left) noexcept nogil:
    """Of the next tile of two: without a division, and the last ones of about the same size."""
    if left <= TILE_ROWS:
        return left
    return (left + 1) // 2 if left <= 2 * TILE_ROWS else TILE_ROWS - 1


cdef void product(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t n_rows,
    Py_ssize_t n_vectors, bint more,
) noexcept nogil:
    """Set out to the product, or add it where ``more``."""
    cdef Py_ssize_t r = 0, rows
    if n_vectors > 1:
        while r < n_rows:
            rows = tile_rows(n_rows - r)
            tiles_of_two(
                p, number_at(a, r * p.a_row), b, out + r * p.out_row, rows, n_vectors, more
            )
            r += rows
    if n_vectors % 2 == 0:
        return
    r = 0
    b = number_at(b, (n_vectors - 1) * lanes_of(b))
    out += (n_vectors - 1) * p.out_vector
    while r < n_rows:
        rows = long_tile_rows(n_rows - r)
        if p.repeat == 1:
            tile_of_one(p, number_at(a, r * p.a_row), b, out + r * p.out_row, rows, 1, more)
        elif p.repeat == 2:
            tile_of_one(p, number_at(a, r * p.a_row), b, out + r * p.out_row, rows, 2, more)
        else:
            tile_of_one(p, number_at(a, r * p.a_row), b, out + r * p.out_row, rows, 4, more)
        r += rows
