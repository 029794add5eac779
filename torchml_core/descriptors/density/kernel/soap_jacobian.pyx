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

from torchml_core.descriptors.density.kernel.expansion cimport weight_in_channel
from torchml_core.descriptors.density.kernel.radial_table cimport row_length
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_gradients
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, fill, get, lanes_of, number_at, put, splat, store_at, vdouble,
    vec, vectors_for,
)


cdef void lay_out_jacobian(
    SpectrumJacobian *work, const ExpansionPlan *expansion, const PowerSpectrumPlan *spectrum,
    char **free_bytes,
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef const vdouble *type_tag = NULL
    cdef Py_ssize_t n_l = spectrum.l_max + 1, n = vectors_for(spectrum.n_max, type_tag)
    cdef Py_ssize_t most = (spectrum.n_max + MOST_LANES - 1) // MOST_LANES * MOST_LANES
    cdef Py_ssize_t of_l = vectors_for(n_l, type_tag) * SIMD_BYTES, axis
    work.gradients = carve(free_bytes, 4 * expansion.n_lm * SIMD_BYTES)
    work.sums = carve(free_bytes, n_l * 4 * spectrum.n_channels * n * SIMD_BYTES)
    work.transposed = carve(free_bytes, 4 * spectrum.n_channels * most * of_l)
    work.rows = carve(free_bytes, most * of_l)
    work.slopes = carve(free_bytes, most * of_l)
    for axis in range(3):
        work.block[axis] = carve(free_bytes, (spectrum.width + MOST_LANES) * sizeof(double))


cdef inline void clear(vec *array, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        array[k] = splat(0, array)


cdef void begin_jacobian(
    const PowerSpectrumPlan *spectrum, SpectrumJacobian *work, const vec *type_tag
) noexcept nogil:
    """Once per environment: l beyond l_max are never filled, but read."""
    cdef Py_ssize_t of_l = vectors_for(spectrum.l_max + 1, type_tag), n
    n = vectors_for(spectrum.n_max, type_tag) * lanes_of(type_tag)
    clear(<vec *> work.transposed, 4 * spectrum.n_channels * n * of_l)
    clear(<vec *> work.rows, n * of_l)
    clear(<vec *> work.slopes, n * of_l)


cdef void gradients_of_entries(
    const ExpansionPlan *plan, const Expansion *expanded, Py_ssize_t b, SpectrumJacobian *work,
    const vec *type_tag,
) noexcept nogil:
    """2 S and ∇S, both times the norms, of one vector of entries."""
    cdef const vec *harmonics = <const vec *> expanded.harmonics + b * plan.n_lm
    cdef vec *x = <vec *> expanded.gradients
    cdef vec *y = x + plan.n_lm
    cdef vec *z = y + plan.n_lm
    cdef vec *out = <vec *> work.gradients
    cdef vec norm
    cdef Py_ssize_t k
    solid_harmonics_gradients(plan.l_max, harmonics, x, y, z)
    for k in range(plan.n_lm):
        norm = splat(plan.norms[k] / plan.cutoff, type_tag)
        out[4 * k] = splat(2 * plan.norms[k], type_tag) * harmonics[k]
        out[4 * k + 1] = norm * x[k]
        out[4 * k + 2] = norm * y[k]
        out[4 * k + 3] = norm * z[k]


cdef inline void sum_over_m(
    const PowerSpectrumPlan *spectrum, const Expansion *expanded, Py_ssize_t lane,
    SpectrumJacobian *work, const vec *type_tag,
) noexcept nogil:
    """2 X and Y of one entry, for each l and (q, n)."""
    cdef const vec *coefficients = <const vec *> expanded.coefficients
    cdef const vec *gradients = <const vec *> work.gradients
    cdef vec *sums = <vec *> work.sums
    cdef Py_ssize_t lanes = lanes_of(type_tag)
    cdef Py_ssize_t row = spectrum.n_channels * vectors_for(spectrum.n_max, type_tag)
    cdef Product p
    cdef int l
    p.n_outer = 1
    p.a_outer = p.b_outer = 0
    p.a_inner = 4 * lanes
    p.a_row = lanes
    p.b_inner = p.out_row = row
    p.out_vector = 1
    for l in range(spectrum.l_max + 1):
        p.n_inner = 2 * l + 1
        product(
            &p, number_at(gradients, 4 * l * l * lanes + lane), coefficients + l * l * row,
            sums + 4 * l * row, 4, row, False,
        )


cdef inline void transpose_sums(
    const PowerSpectrumPlan *spectrum, const vec *rows, const vec *slopes,
    SpectrumJacobian *work,
) noexcept nogil:
    """Everything from (l, n) to (n, l)."""
    cdef Py_ssize_t lanes = lanes_of(rows), n = vectors_for(spectrum.n_max, rows) * lanes
    cdef Py_ssize_t of_l = vectors_for(spectrum.l_max + 1, rows) * lanes
    cdef Py_ssize_t row = spectrum.n_channels * n, i, k
    cdef const vec *sums = <const vec *> work.sums
    cdef vec *transposed = <vec *> work.transposed
    cdef vec *transposed_rows = <vec *> work.rows
    cdef vec *transposed_slopes = <vec *> work.slopes
    cdef int l
    for l in range(spectrum.l_max + 1):
        for i in range(spectrum.n_max):
            put(transposed_rows, i * of_l + l, get(rows, l * n + i))
            put(transposed_slopes, i * of_l + l, get(slopes, l * n + i))
        for k in range(4):
            for i in range(row):
                put(transposed, (k * row + i) * of_l + l, get(sums, (4 * l + k) * row + i))


cdef inline void block_of_row(
    Py_ssize_t of_l, Py_ssize_t n_l, Py_ssize_t row, const vec *f, const vec *df, double weight_i,
    double weight_j, Py_ssize_t i, Py_ssize_t j, Py_ssize_t end, const vec *sums_i,
    const vec *sums_j, vec x, vec y, vec z, SpectrumJacobian *work, Py_ssize_t at,
) noexcept nogil:
    """The values of (n, n'), for one n = i and n' = j ... end - 1, from ``at`` on.

    ``sums_i`` and ``sums_j``: those of the two channels, X and then Y, ``row`` apart.
    """
    cdef vec *to_x = <vec *> work.block[0]
    cdef vec *to_y = <vec *> work.block[1]
    cdef vec *to_z = <vec *> work.block[2]
    cdef vec wi = splat(weight_i, f), wj = splat(weight_j, f), fi, dfi, fj, along
    cdef Py_ssize_t v, k, m
    while j < end:
        for v in range(of_l):
            k = i * of_l + v
            m = j * of_l + v
            fi = wi * f[k]
            dfi = wi * df[k]
            fj = wj * f[m]
            along = dfi * sums_j[m] + wj * df[m] * sums_i[k]
            store_at(
                to_x, at + v * lanes_of(f),
                x * along + fi * sums_j[row + m] + fj * sums_i[row + k],
            )
            store_at(
                to_y, at + v * lanes_of(f),
                y * along + fi * sums_j[2 * row + m] + fj * sums_i[2 * row + k],
            )
            store_at(
                to_z, at + v * lanes_of(f),
                z * along + fi * sums_j[3 * row + m] + fj * sums_i[3 * row + k],
            )
        at += n_l
        j += 1


cdef void jacobian_of_entry(
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, const Expansion *expanded,
    Py_ssize_t entry, int species, SpectrumJacobian *work, const vec *type_tag,
) noexcept nogil:
    """Fill work.block: of one entry of the neighborhood, whose species is given.

    ``expanded`` is as expand left it, with GRADIENTS; entries come in their order.
    """
    cdef Py_ssize_t lanes = lanes_of(type_tag), length = row_length(&plan.table, type_tag)
    cdef Py_ssize_t of_l = vectors_for(spectrum.l_max + 1, type_tag), n_l = spectrum.l_max + 1
    cdef Py_ssize_t of_channel = vectors_for(spectrum.n_max, type_tag) * lanes * of_l
    cdef Py_ssize_t row = spectrum.n_channels * of_channel, q, other, i, first, at
    cdef const int32_t *places
    cdef const vec *transposed = <const vec *> work.transposed
    cdef const vec *f = <const vec *> work.rows
    cdef const vec *df = <const vec *> work.slopes
    cdef vec x = splat(get(<const vec *> expanded.neighborhood.x, entry), type_tag)
    cdef vec y = splat(get(<const vec *> expanded.neighborhood.y, entry), type_tag)
    cdef vec z = splat(get(<const vec *> expanded.neighborhood.z, entry), type_tag)
    cdef double weight_i, weight_j
    cdef int axis
    if entry == 0:
        begin_jacobian(spectrum, work, type_tag)
    if entry % lanes == 0:
        gradients_of_entries(plan, expanded, entry // lanes, work, type_tag)
    sum_over_m(spectrum, expanded, entry % lanes, work, type_tag)
    transpose_sums(
        spectrum, <const vec *> expanded.rows + entry * length,
        <const vec *> expanded.slopes + entry * length, work,
    )
    for q in range(spectrum.n_channels):
        weight_i = weight_in_channel(plan, species, q)
        for other in range(q, spectrum.n_channels):
            weight_j = weight_in_channel(plan, species, other)
            for i in range(spectrum.n_max):
                places = spectrum.places + other * spectrum.n_max
                places += (q * spectrum.n_max + i) * spectrum.n_channels * spectrum.n_max
                first = i if q == other or places[0] < 0 else 0
                at = places[first]
                if weight_i == 0 and weight_j == 0:
                    for axis in range(3):
                        fill(
                            <vec *> work.block[axis], at, at + (spectrum.n_max - first) * n_l,
                            splat(0, type_tag),
                        )
                else:
                    block_of_row(
                        of_l, n_l, row, f, df, weight_i, weight_j, i, first, spectrum.n_max,
                        transposed + q * of_channel, transposed + other * of_channel, x, y, z,
                        work, at,
                    )
