"""Radial functions of each neighbor, all (l, n) side by side, looked up in a table.

A quintic Hermite spline: between two nodes the functions are a sum of value, first and second
derivative at either node, six consecutive rows of numbers, times six weights that depend only on
the place between the nodes. So an entry costs six multiply-adds per vector of functions, and as
many more for the slopes, whatever the functions are. Each l has whole vectors if that does not
make rows much longer. Where a vector has room for the functions of an l of two or four entries
(``repeat``), rows of so many are interleaved, number by number: each l has a half or a fourth of a
vector then, and whole ones once interleaved.

The cutoff function is put into the weights: with w the weights of a value and a dot for d/d(R²),
those of fc f are fc w, and those of its slope fc w' t. + fc. w.
"""

from libc.stdint cimport int32_t

from torchml_core.kernels.neighborhood cimport taken
from torchml_core.simd.vectors cimport (
    carve, interleave, lanes_of, load_at, simd_whole, splat, splat_at, store_at, vdouble, vec, vmax,
    vrsqrt,
)

# Loops over a constant number of vectors are unrolled only in functions that are inlined: compilers
# must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """


cdef void lay_out_places(RadialPlaces *places, Py_ssize_t most, char **free_bytes) noexcept nogil:
    """Cut the arrays for so many entries off the scratch buffer, for either precision."""
    places.interval = <int32_t *> carve(free_bytes, most * sizeof(int32_t))
    places.whole = <int32_t *> carve(free_bytes, most * sizeof(int32_t))
    places.fraction = <double *> carve(free_bytes, most * sizeof(double))
    places.by_square = <double *> carve(free_bytes, most * sizeof(double))
    places.t = carve(free_bytes, most * sizeof(double))
    places.slope = carve(free_bytes, most * sizeof(double))
    places.weights = carve(free_bytes, most * N_WEIGHTS * sizeof(double))


cdef inline void locate(
    const RadialTable *table, const Neighborhood *neighborhood, const double *r, Py_ssize_t n,
    RadialPlaces *places, const vec *type_tag,
) noexcept nogil:
    """Fill all but the weights: in float64 in either precision, since intervals are short.

    Distances that are NaN are in the last interval: what is made of them is NaN, too.
    """
    cdef const vdouble *double_tag = NULL
    cdef vdouble softening = splat(table.softening, double_tag), square = softening * softening
    cdef vdouble per_interval = splat(table.per_interval, double_tag), s, inverse
    cdef vdouble beyond = splat(table.n_intervals - 0.5, double_tag)
    cdef Py_ssize_t at = 0, v, i, lanes = lanes_of(type_tag)
    cdef vec *t = <vec *> places.t
    cdef vec *slope = <vec *> places.slope
    while at < n:
        s = load_at(<const vdouble *> r, at)
        s = s * s + square
        inverse = vrsqrt(s)
        s = (s * inverse - softening) * per_interval
        s = s - simd_whole(-vmax(-s, -beyond), places.whole + at)
        store_at(<vdouble *> places.fraction, at, s)
        store_at(<vdouble *> places.by_square, at, 0.5 * per_interval * inverse)
        at += lanes_of(double_tag)
    for i in range(neighborhood.n):
        places.interval[i] = places.whole[max(0, neighborhood.source[i])]
    for v in range(neighborhood.n // lanes):
        t[v] = taken(neighborhood, places.fraction, n, v, 0, type_tag)
        slope[v] = taken(neighborhood, places.by_square, n, v, 0, type_tag)


cdef void look_up(
    const RadialTable *table, const Neighborhood *neighborhood, const double *r, Py_ssize_t n,
    RadialPlaces *places, const vec *type_tag,
) noexcept nogil:
    """Fill ``places`` for n neighbors at distances r; ``neighborhood`` has their fc and slope."""
    cdef const vec *fc = <const vec *> neighborhood.fc
    cdef const vec *fc_slope = <const vec *> neighborhood.slope
    cdef const vec *ts = <const vec *> places.t
    cdef const vec *slopes = <const vec *> places.slope
    cdef vec *w = <vec *> places.weights
    cdef vec t, cube, slope, dfc
    cdef Py_ssize_t b, i
    locate(table, neighborhood, r, n, places, type_tag)
    for b in range(neighborhood.n // lanes_of(type_tag)):
        t = ts[b]
        cube = t * t * t
        w[5] = cube * (10 + t * (6 * t - 15))
        w[4] = cube * (t * (7 - 3 * t) - 4)
        w[3] = 0.5 * cube * (1 + t * (t - 2))
        w[2] = 0.5 * t * t * (1 + t * (t * (3 - t) - 3))
        w[1] = t - cube * (6 + t * (3 * t - 8))
        w[0] = 1 - w[5]
        slope = fc[b] * slopes[b]
        w[11] = slope * 30 * t * t * (1 + t * (t - 2))
        w[10] = slope * t * t * (t * (28 - 15 * t) - 12)
        w[9] = slope * 0.5 * t * t * (3 + t * (5 * t - 8))
        w[8] = slope * t * (1 + t * (t * (6 - 2.5 * t) - 4.5))
        w[7] = slope * (1 - t * t * (18 + t * (15 * t - 32)))
        w[6] = -w[11]
        dfc = fc_slope[b]
        for i in range(6):
            w[6 + i] = w[6 + i] + dfc * w[i]
            w[i] = fc[b] * w[i]
        w += N_WEIGHTS


cdef void multiply_slopes(
    RadialPlaces *places, Py_ssize_t n_blocks, const vec *change
) noexcept nogil:
    """Multiply slopes with the change of R² of each entry."""
    cdef vec *w = <vec *> places.weights
    cdef Py_ssize_t b, i
    for b in range(n_blocks):
        for i in range(6, 12):
            w[i] = w[i] * change[b]
        w += N_WEIGHTS


cdef inline void fill_group(
    const RadialTable *table, const RadialPlaces *places, Py_ssize_t first, int repeat,
    bint with_rows, bint with_slopes, vec *rows, vec *slopes,
) noexcept nogil:
    """Of ``repeat`` entries, from ``first`` on; inlined with constants."""
    cdef const vec *weights = <const vec *> places.weights
    cdef const vec *nodes[4]
    cdef const vec *node
    cdef vec w[24]
    cdef vec dw[24]
    cdef vec values[4]
    cdef vec changes[4]
    cdef vec x
    cdef Py_ssize_t length = row_length(table, rows), lanes = lanes_of(rows), at, v
    cdef int i, k, step
    for i in range(repeat):
        nodes[i] = nodes_of(table, places.interval[first + i], rows)
        at = (first + i) // lanes * N_WEIGHTS * lanes + (first + i) % lanes
        for k in range(6):
            if with_rows:
                w[6 * i + k] = splat_at(weights, at + k * lanes)
            if with_slopes:
                dw[6 * i + k] = splat_at(weights, at + (6 + k) * lanes)
    for v in range(length):
        for i in range(repeat):
            node = nodes[i] + v
            values[i] = changes[i] = splat(0, rows)
            for step in range(6):
                # Values at either node first, whose parts of a slope nearly cancel: then their
                # rounding errors are those of products only. Row 3 has weight 5, see look_up.
                k = step // 2 if step % 2 == 0 else 5 - step // 2
                x = node[(k if k < 3 else 8 - k) * length]
                if with_rows:
                    values[i] = values[i] + w[6 * i + k] * x
                if with_slopes:
                    changes[i] = changes[i] + dw[6 * i + k] * x
        interleave(values, repeat)
        interleave(changes, repeat)
        for i in range(repeat):
            if with_rows:
                rows[repeat * v + i] = values[i]
            if with_slopes:
                slopes[repeat * v + i] = changes[i]


cdef inline void fill_one_part(
    const RadialTable *table, const RadialPlaces *places, Part part, Py_ssize_t first, int repeat,
    vec *rows,
) noexcept nogil:
    """``repeat`` is a constant."""
    if part == ROWS:
        fill_group(table, places, first, repeat, True, False, rows, rows)
    else:
        fill_group(table, places, first, repeat, False, True, rows, rows)


cdef void radial_rows(
    const RadialTable *table, const RadialPlaces *places, Part part, Py_ssize_t begin,
    Py_ssize_t end, int repeat, vec *rows,
) noexcept nogil:
    """``rows`` (n / repeat, row_length, repeat): fc f / (R/rc)^l of entries begin ... end - 1, or
    its derivative with respect to R²; and a vector of zeros.

    ``begin`` is a multiple of ``repeat``; entries up to the next one after ``end`` are filled, too.
    """
    cdef Py_ssize_t i = begin
    while i < end:
        if repeat == 1:
            fill_one_part(table, places, part, i, 1, rows)
        elif repeat == 2:
            fill_one_part(table, places, part, i, 2, rows)
        else:
            fill_one_part(table, places, part, i, 4, rows)
        rows += repeat * row_length(table, rows)
        i += repeat
    rows[0] = splat(0, rows)


cdef void rows_and_slopes(
    const RadialTable *table, const RadialPlaces *places, Py_ssize_t begin, Py_ssize_t end,
    vec *rows, vec *slopes,
) noexcept nogil:
    """Both parts (n, row_length) of entries begin ... end - 1."""
    cdef Py_ssize_t i
    for i in range(begin, end):
        fill_group(table, places, i, 1, True, True, rows, slopes)
        rows += row_length(table, rows)
        slopes += row_length(table, rows)
