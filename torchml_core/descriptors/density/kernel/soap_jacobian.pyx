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
from torchml_core.descriptors.density.kernel.radial_table cimport row_length, rows_and_slopes
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_gradients
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, fill, get, lanes_of, load_at, number_at, splat, store_at,
    transpose, vec, vectors_for,
)


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
    work.transposed = carve(free_bytes, 4 * n * of_l)
    work.padded = carve(free_bytes, (spectrum.n_max + MOST_LANES) * of_l)
    work.rows = carve(free_bytes, (spectrum.n_max + MOST_LANES) * of_l)
    work.slopes = carve(free_bytes, (spectrum.n_max + MOST_LANES) * of_l)
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
    write_rows(<const vec *> coefficients.values, 0, n_coefficients(expansion), row, 1, rows)
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
        &plan.table, &expansion.places, first, first + lanes, 1, <vec *> expansion.rows,
        <vec *> expansion.slopes, <vec *> expansion.rows,
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
    Py_ssize_t n, Py_ssize_t n_l, const vec *array, Py_ssize_t row, vec *out
) noexcept nogil:
    """From (l, n) to (n, l), both in whole vectors; ``row``: vectors from one l to the next."""
    cdef Py_ssize_t lanes = lanes_of(out), of_l = vectors_for(n_l, out), i, v
    for v in range(of_l):
        for i in range(vectors_for(n, out)):
            transpose(
                out + i * lanes * of_l + v, of_l, array + v * lanes * row + i, row
            )


cdef inline void transpose_row(
    const PowerSpectrumPlan *spectrum, const vec *row, SpectrumJacobian *work, vec *out
) noexcept nogil:
    """A row of the table of one entry, (l, n) without gaps, to (n, l)."""
    cdef Py_ssize_t lanes = lanes_of(row), n = vectors_for(spectrum.n_max, row), l, v
    cdef vec *padded = <vec *> work.padded
    for l in range(spectrum.l_max + 1):
        for v in range(n):
            padded[l * n + v] = load_at(row, l * spectrum.n_max + v * lanes)
    transpose_all(spectrum.n_max, spectrum.l_max + 1, padded, n, out)


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
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, const Expansion *expansion,
    Py_ssize_t b, Py_ssize_t lane, int species, SpectrumJacobian *work,
    const vec *type_tag,
) noexcept nogil:
    """Fill ``block`` with the derivatives with respect to one entry, in three rows of values.

    Entry ``lane`` of vector b of an atom, of which ``begin_entries`` was called.
    """
    cdef Py_ssize_t lanes = lanes_of(type_tag), length = row_length(&plan.table, type_tag)
    cdef Py_ssize_t n_l = spectrum.l_max + 1, of_l = vectors_for(n_l, type_tag)
    cdef Py_ssize_t n = spectrum.n_channels * spectrum.n_max, row, q, other, i, first, at, k
    cdef const int32_t *places
    cdef vec *transposed = <vec *> work.transposed
    cdef vec *f = <vec *> work.rows
    cdef vec *df = <vec *> work.slopes
    cdef vec x = splat(get(<const vec *> expansion.neighborhood.x, b * lanes + lane), type_tag)
    cdef vec y = splat(get(<const vec *> expansion.neighborhood.y, b * lanes + lane), type_tag)
    cdef vec z = splat(get(<const vec *> expansion.neighborhood.z, b * lanes + lane), type_tag)
    cdef double weight_i, weight_j
    cdef int axis
    row = vectors_for(n, type_tag) * lanes * of_l
    for k in range(4):
        transpose_all(
            n, n_l, <const vec *> work.sums + (k * lanes + lane) * vectors_for(n, type_tag),
            4 * lanes * vectors_for(n, type_tag), transposed + k * row,
        )
    transpose_row(spectrum, <const vec *> expansion.rows + lane * length, work, f)
    transpose_row(spectrum, <const vec *> expansion.slopes + lane * length, work, df)
    for q in range(spectrum.n_channels):
        weight_i = weight_in_channel(plan, species, q)
        for other in range(q, spectrum.n_channels):
            weight_j = weight_in_channel(plan, species, other)
            for i in range(spectrum.n_max):
                places = spectrum.places + other * spectrum.n_max
                places += (q * spectrum.n_max + i) * n
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
                        transposed + q * spectrum.n_max * of_l,
                        transposed + other * spectrum.n_max * of_l, x, y, z, work, at,
                    )
