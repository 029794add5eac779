"""Triple products of elements: the bispectrum and its derivatives. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.simd.vectors cimport vec


cdef enum:
    MOST_OUTPUTS = 5            # as in coupling.py


# Lists that one pair (j1, j2) needs for one (s, t), one after another: see coupling.py.
cdef struct ListHead:
    int32_t n_plain             # products of two elements
    int32_t n_conjugated        # then products of one and a conjugated one
    int32_t n_exchanged         # then the same, with the first factor from the second channel
    int32_t n_outputs
    int32_t[2 * MOST_OUTPUTS] targets  # of each output: place of the element, number of the triple


cdef struct ProductPlan:
    int n_channels
    Py_ssize_t n_triples
    Py_ssize_t n_elements
    Py_ssize_t n_lists
    const ListHead *heads
    const int32_t *factors      # (n_products, 2) places of elements, in bytes
    const double *coefficients
    const float *coefficients_single


# Values are (n_channels, n_channels, n_channels, n_triples) vectors: the channels of the smaller
# factor, of the larger one, and of the output.
cdef void triple_products(const ProductPlan *plan, const vec *elements, vec *values) noexcept nogil
cdef void triple_products_jvp(
    const ProductPlan *plan, const vec *elements, const vec *elements_dot, vec *values_dot
) noexcept nogil
cdef void triple_products_vjp(
    const ProductPlan *plan, const vec *elements, const vec *by_value, Py_ssize_t only,
    vec *gradient,
) noexcept nogil
