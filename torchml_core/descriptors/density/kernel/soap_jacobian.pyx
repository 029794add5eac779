"""Derivatives of every value of a power spectrum with respect to a neighbor, in few operations.

For a neighbor of weight W_q in channel q, at r, with f = fc g (radial_table.pyx):

    dp_(q n, q' n') l / dr = W_q (2 r f'_nl X_q'n'l + f_nl Y_q'n'l)
                             + W_q' (the same, q n and q' n' swapped)
    X_qnl = Σ_m S_lm c_qnlm,    Y_qnl = Σ_m ∇S_lm c_qnlm

with the norms of the coefficients in X and Y, which are computed once for the neighbor: after that
a value's derivative takes about four multiply-adds, none of which depends on m. There a vector
holds consecutive l, as the output does: the last of a pair (n, n') reaches into the next pair,
which is written later.
"""

from libc.stdint cimport int32_t

from torchml_core.descriptors.density.kernel.coefficients cimport n_coefficients, write_rows
from torchml_core.descriptors.density.kernel.expansion cimport weight_in_channel
from torchml_core.descriptors.density.kernel.radial_table cimport (
    RadialTable, first_of_l, row_length, rows_and_slopes,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_gradients
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, fill, get, lanes_of, load_at, number_at, splat, store_at,
    transpose, vec, vectors_for,
)

# Of one (q, n) and one entry, for each l.
cdef enum Factor:
    F                           # W_q f
    SLOPE                       # W_q f'
    X                           # 2 X
    Y                           # and in the next two vectors
    FACTORS = 6


cdef inline Py_ssize_t row_of_atom(
    const ExpansionPlan *plan, const vec *type_tag
) noexcept nogil:
    """Numbers: the coefficients of an atom, and a vector that is read, but not used."""
    return (vectors_for(n_coefficients(plan), type_tag) + 1) * lanes_of(type_tag)


cdef void lay_out_jacobian(
    SpectrumJacobian *work, const ExpansionPlan *expansion, const PowerSpectrumPlan *spectrum,
    char **free_bytes,
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n = spectrum.n_channels * spectrum.n_max + MOST_LANES  # and padding
    cdef Py_ssize_t of_l = (spectrum.l_max + 1 + MOST_LANES) * sizeof(double), axis
    work.coefficients = carve(
        free_bytes, (n_coefficients(expansion) + 2 * MOST_LANES) * MOST_LANES * sizeof(double)
    )
    work.gradients = carve(free_bytes, 4 * expansion.n_lm * SIMD_BYTES)
    work.sums = carve(free_bytes, 4 * n * of_l * MOST_LANES)
    work.rows = carve(free_bytes, (spectrum.n_max + MOST_LANES) * of_l)
    work.slopes = carve(free_bytes, (spectrum.n_max + MOST_LANES) * of_l)
    work.padded = carve(free_bytes, (spectrum.n_max + MOST_LANES) * of_l)
    work.factors = carve(free_bytes, FACTORS * n * of_l)
    for axis in range(3):
        work.block[axis] = carve(free_bytes, (spectrum.width + MOST_LANES) * sizeof(double))


cdef inline void clear(vec *array, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        array[k] = splat(0, array)


cdef void begin_jacobian(
    const ExpansionPlan *expansion, const PowerSpectrumPlan *spectrum,
    const Coefficients *coefficients, SpectrumJacobian *work, const vec *type_tag,
) noexcept nogil:
    """Once per atom, the first of a group: its coefficients in a row; zeros for l beyond l_max."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), row = row_of_atom(expansion, type_tag)
    cdef Py_ssize_t of_l = vectors_for(spectrum.l_max + 1, type_tag) * lanes
    cdef vec *rows = <vec *> work.coefficients
    clear(rows, row // lanes)
    write_rows(
        <const vec *> coefficients.values, 0, n_coefficients(expansion), row, 1, rows, <vec *> NULL
    )
    clear(
        <vec *> work.sums,
        4 * lanes * of_l * vectors_for(spectrum.n_channels * spectrum.n_max, type_tag),
    )
    clear(<vec *> work.padded, of_l * vectors_for(spectrum.n_max, type_tag))


cdef inline void sum_over_m(
    const PowerSpectrumPlan *spectrum, SpectrumJacobian *work, const vec *type_tag
) noexcept nogil:
    """2 X and Y of a vector of entries, for each l and (q, n); ``gradients`` has their factors."""
    cdef const vec *gradients = <const vec *> work.gradients
    cdef const vec *coefficients = <const vec *> work.coefficients
    cdef vec *sums = <vec *> work.sums
    cdef Py_ssize_t lanes = lanes_of(type_tag), row = spectrum.n_channels * spectrum.n_max
    cdef Py_ssize_t n = vectors_for(row, type_tag)
    cdef Product p
    cdef int l
    p.repeat = 1
    p.a_outer = p.b_outer = 0
    p.a_inner = 4 * lanes
    p.a_row = 1
    p.b_inner = row
    p.out_row = n
    p.out_vector = 1
    for l in range(spectrum.l_max + 1):
        p.n_all = p.n_inner = 2 * l + 1
        product(
            &p, gradients + 4 * l * l, number_at(coefficients, l * l * row),
            sums + 4 * lanes * l * n, 4 * lanes, n, False,
        )


cdef void begin_entries(
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, Expansion *expansion,
    Py_ssize_t b, SpectrumJacobian *work, const vec *type_tag,
) noexcept nogil:
    """Once per vector of entries: rows, slopes, and ``sums``; so there are enough sums at once."""
    cdef const vec *harmonics = <const vec *> expansion.harmonics + b * plan.n_lm
    cdef vec *x = <vec *> expansion.gradients
    cdef vec *y = x + plan.n_lm
    cdef vec *z = y + plan.n_lm
    cdef vec *out = <vec *> work.gradients
    cdef vec norm
    cdef Py_ssize_t lanes = lanes_of(type_tag), first = b * lanes, k
    rows_and_slopes(
        &plan.table, &expansion.places, first, first + lanes, <vec *> expansion.rows,
        <vec *> expansion.slopes,
    )
    solid_harmonics_gradients(plan.l_max, harmonics, x, y, z)
    for k in range(plan.n_lm):
        norm = splat(plan.norms[k] / plan.cutoff, type_tag)
        out[4 * k] = splat(2 * plan.norms[k], type_tag) * harmonics[k]
        out[4 * k + 1] = norm * x[k]
        out[4 * k + 2] = norm * y[k]
        out[4 * k + 3] = norm * z[k]
    sum_over_m(spectrum, work, type_tag)


cdef inline void transpose_all(
    Py_ssize_t n, Py_ssize_t n_l, const vec *array, Py_ssize_t row, vec *out, Py_ssize_t out_row
) noexcept nogil:
    """From (l, n) to (n, l), both in whole vectors; ``row``: vectors from one l to the next."""
    cdef Py_ssize_t lanes = lanes_of(out), of_l = vectors_for(n_l, out), i, v
    for v in range(of_l):
        for i in range(vectors_for(n, out)):
            transpose(
                out + i * lanes * out_row + v, out_row, array + v * lanes * row + i, row
            )


cdef inline void transpose_row(
    const RadialTable *table, const PowerSpectrumPlan *spectrum, const vec *row,
    SpectrumJacobian *work, vec *out,
) noexcept nogil:
    """A row of the table of one entry, (l, n), to (n, l)."""
    cdef Py_ssize_t lanes = lanes_of(row), n = vectors_for(spectrum.n_max, row), l, v
    cdef vec *padded = <vec *> work.padded
    for l in range(spectrum.l_max + 1):
        for v in range(n):
            padded[l * n + v] = load_at(row, first_of_l(table, l, row) + v * lanes)
    transpose_all(
        spectrum.n_max, spectrum.l_max + 1, padded, n, out,
        vectors_for(spectrum.l_max + 1, row),
    )


cdef inline void weigh_rows(
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, int species, Py_ssize_t of_l,
    SpectrumJacobian *work, vec *factors,
) noexcept nogil:
    """W_q f and W_q f' of one entry, of all channels."""
    cdef const vec *f = <const vec *> work.rows
    cdef const vec *df = <const vec *> work.slopes
    cdef vec weight
    cdef Py_ssize_t q, k, v
    for q in range(spectrum.n_channels):
        weight = splat(weight_in_channel(plan, species, q), f)
        for k in range(spectrum.n_max):
            for v in range(of_l):
                factors[F * of_l + v] = weight * f[k * of_l + v]
                factors[SLOPE * of_l + v] = weight * df[k * of_l + v]
            factors += FACTORS * of_l


cdef inline void block_of_row(
    Py_ssize_t of_l, Py_ssize_t n_l, const vec *left, const vec *right, Py_ssize_t n, vec x,
    vec y, vec z, vec *to_x, vec *to_y, vec *to_z,
) noexcept nogil:
    """The values of (n, n') of one n, whose factors are ``left``, and n n' from ``right`` on.

    Vectors of the largest l come first: what of them reaches into the next pair is overwritten.
    """
    cdef Py_ssize_t v = of_l, lanes = lanes_of(left), at
    cdef const vec *a
    cdef const vec *b
    cdef vec f, df, sum_, sum_x, sum_y, sum_z, along
    while v > 0:
        v -= 1
        a = left + v
        b = right + v
        f, df = a[F * of_l], a[SLOPE * of_l]
        sum_, sum_x, sum_y, sum_z = a[X * of_l], a[Y * of_l], a[(Y + 1) * of_l], a[(Y + 2) * of_l]
        at = v * lanes
        for _ in range(n):
            along = df * b[X * of_l] + b[SLOPE * of_l] * sum_
            store_at(to_x, at, x * along + f * b[Y * of_l] + b[F * of_l] * sum_x)
            store_at(to_y, at, y * along + f * b[(Y + 1) * of_l] + b[F * of_l] * sum_y)
            store_at(to_z, at, z * along + f * b[(Y + 2) * of_l] + b[F * of_l] * sum_z)
            at += n_l
            b += FACTORS * of_l


cdef void jacobian_of_entry(
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, const Expansion *expansion,
    Py_ssize_t b, Py_ssize_t lane, int species, SpectrumJacobian *work,
    const vec *type_tag,
) noexcept nogil:
    """Fill ``block`` with the derivatives with respect to one entry, in three rows of values.

    Entry ``lane`` of vector b of an atom, of which ``begin_entries`` was called.
    """
    cdef Py_ssize_t lanes = lanes_of(type_tag), length = row_length(&plan.table, type_tag)
    cdef Py_ssize_t n_max = spectrum.n_max, n = spectrum.n_channels * n_max
    cdef Py_ssize_t n_l = spectrum.l_max + 1
    cdef Py_ssize_t of_l = vectors_for(n_l, type_tag), of_n = vectors_for(n, type_tag)
    cdef Py_ssize_t q, other, i, first, at, k
    cdef const int32_t *places = spectrum.places
    cdef vec *factors = <vec *> work.factors
    cdef vec x = splat(get(<const vec *> expansion.neighborhood.x, b * lanes + lane), type_tag)
    cdef vec y = splat(get(<const vec *> expansion.neighborhood.y, b * lanes + lane), type_tag)
    cdef vec z = splat(get(<const vec *> expansion.neighborhood.z, b * lanes + lane), type_tag)
    cdef int axis
    for k in range(4):
        transpose_all(
            n, n_l, <const vec *> work.sums + (k * lanes + lane) * of_n, 4 * lanes * of_n,
            factors + (X + k) * of_l, FACTORS * of_l,
        )
    transpose_row(
        &plan.table, spectrum, <const vec *> expansion.rows + lane * length, work,
        <vec *> work.rows,
    )
    transpose_row(
        &plan.table, spectrum, <const vec *> expansion.slopes + lane * length, work,
        <vec *> work.slopes,
    )
    weigh_rows(plan, spectrum, species, of_l, work, factors)
    for q in range(spectrum.n_channels):
        for other in range(q, spectrum.n_channels):
            for i in range(q * n_max, (q + 1) * n_max):
                first = other * n_max
                if q == other or places[i * n + first] < 0:
                    first += i - q * n_max
                at = places[i * n + first]
                k = (other + 1) * n_max - first
                if weight_in_channel(plan, species, q) or weight_in_channel(plan, species, other):
                    block_of_row(
                        of_l, n_l, factors + i * FACTORS * of_l, factors + first * FACTORS * of_l,
                        k, x, y, z, number_at(<vec *> work.block[0], at),
                        number_at(<vec *> work.block[1], at), number_at(<vec *> work.block[2], at),
                    )
                else:
                    for axis in range(3):
                        fill(<vec *> work.block[axis], at, at + k * n_l, splat(0, type_tag))
