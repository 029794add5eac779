"""Polynomials of third degree in the coefficients c, a lane for each atom.

    s_k = Σ factor c_second c_third,    value = Σ scale c_first s_k

There are no sums across lanes, so the values of an atom do not depend on the others. The lists are
read from front to back, once for as many atoms as a vector has lanes.
"""

from torchml_core.simd.vectors cimport splat, splat_at, vec, vfloat


cdef inline const vec *factors_of(const ProductsPlan *plan, const vec *type_tag) noexcept nogil:
    if vec is vfloat:
        return <const vec *> plan.factors_single
    else:
        return <const vec *> plan.factors


cdef inline const vec *scales_of(const ProductsPlan *plan, const vec *type_tag) noexcept nogil:
    if vec is vfloat:
        return <const vec *> plan.scales_single
    else:
        return <const vec *> plan.scales


cdef inline void fill_sums(const ProductsPlan *plan, const vec *c, vec *sums) noexcept nogil:
    """``sums`` (n_sums,) of ``c`` (n_coefficients,)."""
    cdef const vec *factors = factors_of(plan, c)
    cdef Py_ssize_t i, k
    cdef vec sum
    for i in range(plan.n_sums):
        sum = splat(0, c)
        for k in range(plan.products[i], plan.products[i + 1]):
            sum = sum + splat_at(factors, k) * c[plan.second[k]] * c[plan.third[k]]
        sums[i] = sum


cdef void products(const ProductsPlan *plan, const vec *c, vec *sums, vec *out) noexcept nogil:
    """Set ``out`` (width,), and ``sums`` on the way."""
    cdef const vec *scales = scales_of(plan, c)
    cdef Py_ssize_t value, k
    cdef vec sum
    fill_sums(plan, c, sums)
    for value in range(plan.width):
        sum = splat(0, c)
        for k in range(plan.terms[value], plan.terms[value + 1]):
            sum = sum + splat_at(scales, k) * c[plan.first[k]] * sums[plan.sums[k]]
        out[value] = sum


cdef void products_jvp(
    const ProductsPlan *plan, const vec *c, const vec *changes, vec *sums, vec *sum_changes,
    vec *out,
) noexcept nogil:
    """Set ``out`` (width,) to the changes of the values with those of the coefficients."""
    cdef const vec *factors = factors_of(plan, c)
    cdef const vec *scales = scales_of(plan, c)
    cdef Py_ssize_t value, i, k
    cdef int32_t a, b
    cdef vec sum
    fill_sums(plan, c, sums)
    for i in range(plan.n_sums):
        sum = splat(0, c)
        for k in range(plan.products[i], plan.products[i + 1]):
            a = plan.second[k]
            b = plan.third[k]
            sum = sum + splat_at(factors, k) * (c[a] * changes[b] + changes[a] * c[b])
        sum_changes[i] = sum
    for value in range(plan.width):
        sum = splat(0, c)
        for k in range(plan.terms[value], plan.terms[value + 1]):
            a = plan.first[k]
            b = plan.sums[k]
            sum = sum + splat_at(scales, k) * (c[a] * sum_changes[b] + changes[a] * sums[b])
        out[value] = sum


cdef void products_vjp(
    const ProductsPlan *plan, const vec *c, const vec *by_value, vec *sums, vec *by_sum,
    vec *by_coefficient,
) noexcept nogil:
    """Set ``by_coefficient`` (n_coefficients,) to dE/dc, from dE/dvalues."""
    cdef const vec *factors = factors_of(plan, c)
    cdef const vec *scales = scales_of(plan, c)
    cdef Py_ssize_t value, i, k
    cdef int32_t a, b
    cdef vec factor
    fill_sums(plan, c, sums)
    for i in range(plan.n_sums):
        by_sum[i] = splat(0, c)
    for i in range(plan.n_coefficients):
        by_coefficient[i] = splat(0, c)
    for value in range(plan.width):
        for k in range(plan.terms[value], plan.terms[value + 1]):
            a = plan.first[k]
            b = plan.sums[k]
            factor = splat_at(scales, k) * by_value[value]
            by_sum[b] = by_sum[b] + factor * c[a]
            by_coefficient[a] = by_coefficient[a] + factor * sums[b]
    for i in range(plan.n_sums):
        for k in range(plan.products[i], plan.products[i + 1]):
            a = plan.second[k]
            b = plan.third[k]
            factor = splat_at(factors, k) * by_sum[i]
            by_coefficient[a] = by_coefficient[a] + factor * c[b]
            by_coefficient[b] = by_coefficient[b] + factor * c[a]
