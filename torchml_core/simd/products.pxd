"""Small dense products with their sums in registers. See the .pyx."""

from torchml_core.simd.vectors cimport vec


# Where factors and sums are: steps in a are in numbers, those in b and out in vectors.
cdef struct Product:
    Py_ssize_t n_outer, n_inner
    Py_ssize_t a_outer, a_inner, a_row
    Py_ssize_t b_outer, b_inner
    Py_ssize_t out_row, out_vector


cdef void product(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t n_rows,
    Py_ssize_t n_vectors, bint more,
) noexcept nogil
