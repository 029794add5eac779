"""Small dense products with their sums in registers. See the .pyx."""

from torchml_core.simd.vectors cimport vec


# Where factors and sums are: steps in a and b are in numbers, those in out in vectors.
cdef struct Product:
    Py_ssize_t n_all            # how many k there are
    Py_ssize_t n_inner          # k = outer * n_inner + inner
    int repeat                  # 1, 2 or 4 numbers of a make a vector; with 2 and 4, b has one
    Py_ssize_t a_outer, a_inner, a_row
    Py_ssize_t b_outer, b_inner
    Py_ssize_t out_row, out_vector


cdef void product(
    const Product *p, const vec *a, const vec *b, vec *out, Py_ssize_t n_rows,
    Py_ssize_t n_vectors, bint more,
) noexcept nogil
