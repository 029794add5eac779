"""Power spectrum of one environment:  p_(q n, q' n') l = Σ_m c_qnlm c_q'n'lm, and its derivatives.

For each l all of it is one symmetric matrix, C^T C with C of shape (m, (q, n)); values are its upper
triangle. For an energy with dE/dp put into a symmetric matrix V (twice on the diagonal, 0 where
there is no value),  dE/dC = C V.

Order of the values: q, q' >= q, n, n' (all; n' >= n where q' = q, or in all blocks unless they
are full), l.
"""

from torchml_core.kernels.products cimport Product, product
from torchml_core.kernels.radial_table cimport vectors_for
from torchml_core.kernels.simd cimport (
    MOST_LANES, SIMD_BYTES, get, lanes_of, number_at, put, splat, take, vdouble, vec,
)


cdef void lay_out_power_spectrum(
    PowerSpectrum *work, const PowerSpectrumPlan *plan, char **free_bytes
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef const vdouble *like = NULL
    cdef Py_ssize_t n = vectors_for(plan.n_max, like), n_l = plan.l_max + 1
    cdef Py_ssize_t of_row = n_l * plan.n_channels * n * SIMD_BYTES
    cdef Py_ssize_t padded = (plan.n_max + MOST_LANES - 1) // MOST_LANES * MOST_LANES
    work.products = take(free_bytes, plan.n_max * of_row)
    work.weights = take(free_bytes, plan.n_channels * padded * of_row)


cdef inline Py_ssize_t first_column(
    const PowerSpectrumPlan *plan, Py_ssize_t q, Py_ssize_t other, Py_ssize_t row
) noexcept nogil:
    """The first n' of a row n of the block of two channels."""
    return row if q == other or not plan.full else 0


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


cdef inline void sort_out(
    const PowerSpectrumPlan *plan, Py_ssize_t q, const vec *products, Py_ssize_t at, vec *out
) noexcept nogil:
    """Put the values of channel q and those above it to their places, which begin at ``at``."""
    cdef Py_ssize_t n = vectors_for(plan.n_max, out) * lanes_of(out)
    cdef Py_ssize_t row = plan.n_channels * n, other, i, j
    cdef Py_ssize_t of_l = plan.n_max * row
    cdef const vec *block
    cdef int l
    for other in range(q, plan.n_channels):
        for i in range(plan.n_max):
            block = number_at(products, i * row + other * n)
            for j in range(first_column(plan, q, other, i), plan.n_max):
                for l in range(plan.l_max + 1):
                    put(out, at, get(block, l * of_l + j))
                    at += 1


cdef inline Py_ssize_t values_before(
    const PowerSpectrumPlan *plan, Py_ssize_t q
) noexcept nogil:
    """How many values the blocks of channels below q have."""
    cdef Py_ssize_t n = plan.n_max, triangle = n * (n + 1) // 2
    cdef Py_ssize_t cross = n * n if plan.full else triangle
    cdef Py_ssize_t n_cross = q * (2 * plan.n_channels - q - 1) // 2
    return (q * triangle + n_cross * cross) * (plan.l_max + 1)


cdef void power_spectrum(
    const PowerSpectrumPlan *plan, const vec *coefficients, PowerSpectrum *work, vec *out
) noexcept nogil:
    """``out`` (width,): the values."""
    cdef vec *products = <vec *> work.products
    cdef Py_ssize_t q
    for q in range(plan.n_channels):
        products_of(plan, q, coefficients, coefficients, False, products)
        sort_out(plan, q, products, values_before(plan, q), out)


cdef void power_spectrum_jvp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *changes,
    PowerSpectrum *work, vec *out,
) noexcept nogil:
    """``out`` (width,): the change of the values for a change of the coefficients."""
    cdef vec *products = <vec *> work.products
    cdef Py_ssize_t q
    for q in range(plan.n_channels):
        products_of(plan, q, coefficients, changes, False, products)
        products_of(plan, q, changes, coefficients, True, products)
        sort_out(plan, q, products, values_before(plan, q), out)


cdef inline void fill_weights(
    const PowerSpectrumPlan *plan, const vec *by_value, vec *weights
) noexcept nogil:
    """The symmetric matrix V of each l."""
    cdef Py_ssize_t n = vectors_for(plan.n_max, by_value) * lanes_of(by_value)
    cdef Py_ssize_t row = plan.n_channels * n, of_l = row * row
    cdef Py_ssize_t q, other, i, j, upper, lower, at = 0, v
    cdef double weight
    cdef int l
    for v in range((plan.l_max + 1) * of_l // lanes_of(by_value)):
        weights[v] = splat(0, by_value)
    for q in range(plan.n_channels):
        for other in range(q, plan.n_channels):
            for i in range(plan.n_max):
                for j in range(first_column(plan, q, other, i), plan.n_max):
                    upper = (q * n + i) * row + other * n + j
                    lower = (other * n + j) * row + q * n + i
                    for l in range(plan.l_max + 1):
                        weight = get(by_value, at)
                        if upper == lower:
                            weight *= 2
                        put(weights, l * of_l + upper, weight)
                        put(weights, l * of_l + lower, weight)
                        at += 1


cdef void power_spectrum_vjp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *by_value,
    PowerSpectrum *work, vec *by_coefficient,
) noexcept nogil:
    """Set the energy's gradient by the coefficients, of its gradient by the values."""
    cdef Py_ssize_t lanes = lanes_of(by_value)
    cdef Py_ssize_t row = plan.n_channels * vectors_for(plan.n_max, by_value)
    cdef vec *weights = <vec *> work.weights
    cdef Product p
    cdef int l
    fill_weights(plan, by_value, weights)
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
