"""Polynomials of third degree of many atoms at a time, and their derivatives. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.simd.vectors cimport vec


# What terms.py makes.
cdef struct ProductsPlan:
    Py_ssize_t width
    Py_ssize_t n_coefficients
    Py_ssize_t n_sums
    const int32_t *terms        # (width + 1,) where the terms of a value begin
    const int32_t *first        # (n_terms,)
    const int32_t *sums         # (n_terms,)
    const double *scales        # (n_terms,)
    const float *scales_single
    const int32_t *products     # (n_sums + 1,) where the products of a sum begin
    const int32_t *second       # (n_products,)
    const int32_t *third
    const double *factors
    const float *factors_single


cdef void products(const ProductsPlan *plan, const vec *c, vec *sums, vec *out) noexcept nogil
cdef void products_jvp(
    const ProductsPlan *plan, const vec *c, const vec *changes, vec *sums, vec *sum_changes,
    vec *out,
) noexcept nogil
cdef void products_vjp(
    const ProductsPlan *plan, const vec *c, const vec *by_value, vec *sums, vec *by_sum,
    vec *by_coefficient,
) noexcept nogil
