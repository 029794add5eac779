"""Power spectrum of one environment:  p_(q n, q' n') l = Σ_m c_qnlm c_q'n'lm, and its derivatives.

For each l this is one symmetric matrix, C^T C with C of shape (m, (q, n)); values are its upper
triangle. For an energy with dE/dp put into a symmetric matrix V (twice on the diagonal, 0 where
there is no value),  dE/dC = C V.

Matrices have n in the lanes, while in the output l is fastest: a square of as many n' and l as
there are lanes is transposed in registers. Vectors of l reach beyond l_max, so values are stored in
their order, each pair overwriting the excess of the one before.
"""

from libc.stdint cimport int32_t
from libc.string cimport memcpy

from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, get, lanes_of, load_at, put, splat, store_at, transpose,
    vdouble, vec, vectors_for, vfloat,
)


cdef inline Py_ssize_t padded_l(const PowerSpectrumPlan *plan, const vec *type_tag) noexcept nogil:
    """How many l fill whole vectors."""
    return vectors_for(plan.l_max + 1, type_tag) * lanes_of(type_tag)


cdef inline Py_ssize_t row_bytes(const PowerSpectrumPlan *plan, const vec *type_tag) noexcept nogil:
    """Of a row of matrices, for all l."""
    cdef Py_ssize_t row = plan.n_channels * vectors_for(plan.n_max, type_tag)
    return padded_l(plan, type_tag) * row * SIMD_BYTES


cdef inline Py_ssize_t weight_bytes(
    const PowerSpectrumPlan *plan, const vec *type_tag
) noexcept nogil:
    cdef Py_ssize_t n = vectors_for(plan.n_max, type_tag) * lanes_of(type_tag)
    return plan.n_channels * n * row_bytes(plan, type_tag)


cdef void lay_out_power_spectrum(
    PowerSpectrum *work, const PowerSpectrumPlan *plan, char **free_bytes
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef const vdouble *type_tag = NULL
    cdef const vfloat *single_tag = NULL
    cdef Py_ssize_t row = max(row_bytes(plan, type_tag), row_bytes(plan, single_tag))
    cdef Py_ssize_t all_rows = max(weight_bytes(plan, type_tag), weight_bytes(plan, single_tag))
    cdef Py_ssize_t of_pair = (plan.l_max + MOST_LANES) * sizeof(double)
    work.products = carve(free_bytes, plan.n_max * row)
    work.weights = carve(free_bytes, all_rows)
    work.by_value = carve(free_bytes, plan.width * sizeof(double) + of_pair)
    work.transposed = carve(free_bytes, MOST_LANES * of_pair)


# ---- values and changes


cdef inline void products_of(
    const PowerSpectrumPlan *plan, Py_ssize_t q, const vec *left, const vec *right, bint more,
    vec *out,
) noexcept nogil:
    """Σ_m left right of channel q with channels q and up: the columns below q are left alone."""
    cdef Py_ssize_t n = vectors_for(plan.n_max, out), row = plan.n_channels * n
    cdef Product p
    cdef int l
    p.n_outer = 1
    p.a_outer = p.b_outer = 0
    p.a_inner = row * lanes_of(out)
    p.a_row = 1
    p.b_inner = row
    p.out_row = row
    p.out_vector = 1
    for l in range(plan.l_max + 1):
        p.n_inner = 2 * l + 1
        product(
            &p, left + l * l * row + q * n, right + l * l * row + q * n,
            out + l * plan.n_max * row + q * n, plan.n_max, row - q * n, more,
        )


cdef inline void pad_products(const PowerSpectrumPlan *plan, vec *products) noexcept nogil:
    """Fill l beyond l_max, up to a whole vector of l, with zeros."""
    cdef Py_ssize_t of_l = plan.n_max * plan.n_channels * vectors_for(plan.n_max, products), k
    for k in range((plan.l_max + 1) * of_l, padded_l(plan, products) * of_l):
        products[k] = splat(0, products)


cdef inline void store_pair(
    const PowerSpectrumPlan *plan, const vec *values, Py_ssize_t at, vec *out
) noexcept nogil:
    """Store the values of one pair, in whole vectors where those are inside ``out``."""
    cdef Py_ssize_t lanes = lanes_of(out), of_l = vectors_for(plan.l_max + 1, out), v
    if at + of_l * lanes <= plan.width:
        for v in range(of_l):
            store_at(out, at + v * lanes, values[v])
    else:
        for v in range(plan.l_max + 1):
            put(out, at + v, get(values, v))


cdef inline void sort_out(
    const PowerSpectrumPlan *plan, Py_ssize_t q, const vec *products, vec *transposed, vec *out
) noexcept nogil:
    """Put the values of channel q with itself and those above to their places, in their order."""
    cdef Py_ssize_t lanes = lanes_of(out), n = vectors_for(plan.n_max, out)
    cdef Py_ssize_t row = plan.n_channels * n, of_l = vectors_for(plan.l_max + 1, out)
    cdef Py_ssize_t other, i, block, v, j
    cdef const int32_t *places
    for other in range(q, plan.n_channels):
        for i in range(plan.n_max):
            places = plan.places + (q * plan.n_max + i) * plan.n_channels * plan.n_max
            places += other * plan.n_max
            for block in range(i // lanes if q == other else 0, n):
                for v in range(of_l):
                    transpose(
                        transposed + v, of_l,
                        products + (v * lanes * plan.n_max + i) * row + other * n + block,
                        plan.n_max * row,
                    )
                j = block * lanes
                if q == other and j < i:
                    j = i
                for j in range(j, min((block + 1) * lanes, plan.n_max)):
                    if places[j] >= 0:
                        store_pair(plan, transposed + (j - block * lanes) * of_l, places[j], out)


cdef void power_spectrum(
    const PowerSpectrumPlan *plan, const vec *coefficients, PowerSpectrum *work, vec *out
) noexcept nogil:
    """``out`` (width,): the values."""
    cdef vec *products = <vec *> work.products
    cdef Py_ssize_t q
    pad_products(plan, products)
    for q in range(plan.n_channels):
        products_of(plan, q, coefficients, coefficients, False, products)
        sort_out(plan, q, products, <vec *> work.transposed, out)


cdef void power_spectrum_jvp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *changes,
    PowerSpectrum *work, vec *out,
) noexcept nogil:
    """``out`` (width,): the change of the values for a change of the coefficients."""
    cdef vec *products = <vec *> work.products
    cdef Py_ssize_t q
    pad_products(plan, products)
    for q in range(plan.n_channels):
        products_of(plan, q, coefficients, changes, False, products)
        products_of(plan, q, changes, coefficients, True, products)
        sort_out(plan, q, products, <vec *> work.transposed, out)


# ---- vjp


cdef inline void fill_weights(
    const PowerSpectrumPlan *plan, const vec *by_value, vec *transposed, vec *weights
) noexcept nogil:
    """The symmetric matrix V of each l. Vectors of by_value are read beyond its end."""
    cdef Py_ssize_t lanes = lanes_of(by_value), n = vectors_for(plan.n_max, by_value)
    cdef Py_ssize_t row = plan.n_channels * n, of_l = vectors_for(plan.l_max + 1, by_value)
    cdef Py_ssize_t matrix = row * lanes * row, q, i, other, block, lane, j, v, at
    cdef const int32_t *places
    cdef vec x, zero = splat(0, by_value)
    for q in range(plan.n_channels):
        for i in range(n * lanes):
            at = (q * n * lanes + i) * row
            if i >= plan.n_max:
                for v in range((plan.l_max + 1) * row):
                    weights[v // row * matrix + at + v % row] = zero
                continue
            places = plan.places + (q * plan.n_max + i) * plan.n_channels * plan.n_max
            for other in range(plan.n_channels):
                for block in range(n):
                    for lane in range(lanes):
                        j = block * lanes + lane
                        for v in range(of_l):
                            x = zero
                            if j < plan.n_max and places[j] >= 0:
                                x = load_at(by_value, places[j] + v * lanes)
                            if q == other and i == j:
                                x = x + x
                            transposed[lane * of_l + v] = x
                    for v in range(of_l):
                        transpose(
                            weights + v * lanes * matrix + at + other * n + block, matrix,
                            transposed + v, of_l,
                        )
                places += plan.n_max


cdef void power_spectrum_vjp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *by_value,
    PowerSpectrum *work, vec *by_coefficient,
) noexcept nogil:
    """Set by_coefficient, dE/dc, from by_value, dE/dp."""
    cdef Py_ssize_t lanes = lanes_of(by_value), k
    cdef Py_ssize_t row = plan.n_channels * vectors_for(plan.n_max, by_value)
    cdef vec *weights = <vec *> work.weights
    cdef vec *copy = <vec *> work.by_value
    cdef Product p
    cdef int l
    if vec is vfloat:
        memcpy(copy, by_value, plan.width * sizeof(float))
    else:
        memcpy(copy, by_value, plan.width * sizeof(double))
    for k in range(vectors_for(plan.l_max + 1, by_value)):
        store_at(copy, plan.width + k * lanes, splat(0, by_value))
    fill_weights(plan, copy, <vec *> work.transposed, weights)
    p.n_outer = 1
    p.n_inner = row * lanes
    p.a_outer = p.b_outer = 0
    p.a_inner = 1
    p.a_row = row * lanes
    p.b_inner = row
    p.out_row = row
    p.out_vector = 1
    for l in range(plan.l_max + 1):
        product(
            &p, coefficients + l * l * row, weights + l * row * row * lanes,
            by_coefficient + l * l * row, 2 * l + 1, row, False,
        )
