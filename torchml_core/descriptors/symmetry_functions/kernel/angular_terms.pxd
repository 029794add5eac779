"""Angular terms, and what a block of g4 or g5 consists of."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.triplets cimport (
    TRIPLETS_AT_ONCE, Selection, Triplets,
)
from torchml_core.simd.vectors cimport MOST_LANES, lanes_of, vec


# Functions that share all but zeta, lambda and eta. An *angular term* is one (zeta, lambda), a
# *group* the rows of one eta; each group has a multiple of four rows, the last of them padding.
# Sum number channel * n_rows + row.
cdef struct AngularBlock:
    Selection which
    Py_ssize_t n_rows
    Py_ssize_t n_terms
    const double *zeta          # (n_terms,)
    const int32_t *whole_zeta   # (n_terms,) zeta where it is a whole number, else 0
    const double *lam           # (n_terms,)
    Py_ssize_t n_groups
    const double *eta           # (n_groups,)
    const int32_t *group        # (n_groups + 1,) first row of each
    const int32_t *term         # (n_rows,)


# Arrays over triplets.
cdef struct AngularScratch:
    Triplets triplets
    void *values                # (n_terms, stride) of the angular terms
    void *slopes                # (n_terms, stride) their derivatives with respect to cosθ
    void *logarithms            # (stride,) ln of (1 + λ cosθ)/2, of one λ
    void *first                 # (stride,) what is summed, or V
    void *second                # (stride,) the same, or V'
    void *by_cosine             # (stride,) dE/dcosθ, dE/dS, dE/dC; or changes of the three
    void *by_square
    void *by_cutoff
    void *alpha                 # (stride,) in the same memory as by_square, by_cutoff, by_cosine
    void *beta
    void *gamma
    void *factors               # (9, stride) for the Jacobian
    void *places                # (n, 4) of each neighbor 1, x, y, z, for gradients
    void *gradient              # (4, n, 4) the factor of r_j, and x, y, z: sum over the first axis


cdef inline Py_ssize_t stride_of(const vec *type_tag) noexcept nogil:
    """Vectors from one array over triplets to the next."""
    return (TRIPLETS_AT_ONCE + MOST_LANES) // lanes_of(type_tag)


cdef void fill_terms(
    const AngularBlock *block, AngularScratch *work, bint with_slopes, const vec *type_tag
) noexcept nogil


cdef inline const vec *term_of(
    const AngularBlock *block, const void *term_values, Py_ssize_t row, const vec *type_tag
) noexcept nogil:
    return <const vec *> term_values + block.term[row] * stride_of(type_tag)
