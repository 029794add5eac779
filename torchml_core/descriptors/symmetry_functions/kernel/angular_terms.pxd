"""Angular terms, 2^(1-ζ) (1 + λ cosθ)^ζ; and what a block of g4 or g5 consists of."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.triplets cimport (
    TRIPLETS_AT_ONCE, Selection, Triplets,
)
from torchml_core.simd.elementary cimport any_power, power_below_one, whole_power
from torchml_core.simd.vectors cimport MOST_LANES, lanes_of, splat, vec, vmax, vstep


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
    void *first                 # (stride,) what is summed, or V
    void *second                # (stride,) the same, or V'
    void *by_cosine             # (stride,) dE/dcosθ, dE/dS, dE/dC; or changes of the three
    void *by_square
    void *by_cutoff
    void *alpha                 # (stride,) in the same memory as by_square, by_cutoff, by_cosine
    void *beta
    void *gamma
    void *factors               # (9, stride) for the Jacobian


cdef inline Py_ssize_t stride_of(const vec *type_tag) noexcept nogil:
    """Vectors from one array over triplets to the next."""
    return (TRIPLETS_AT_ONCE + MOST_LANES) // lanes_of(type_tag)


cdef inline vec angular_term(
    double zeta, int whole_zeta, double lam, vec cosine, vec *derivative
) noexcept nogil:
    """a(cosθ), written as 2 b^ζ with b = (1 + λ cosθ)/2, so that a large ζ overflows nothing.

    Both a and da/dcosθ are 0 where b <= 0.
    """
    cdef vec b = (1 + splat(lam, &cosine) * cosine) * 0.5
    cdef vec power
    b = vmax(b, splat(0, &cosine))
    if whole_zeta == 1:
        power = vstep(b)
    elif whole_zeta > 1:
        power = whole_power(b, whole_zeta - 1)
    elif -1 <= lam <= 1:
        power = power_below_one(b, zeta - 1)
    else:
        power = any_power(b, zeta - 1)
    derivative[0] = splat(zeta * lam, &cosine) * power
    return 2 * power * b


cdef inline void fill_terms(
    const AngularBlock *block, AngularScratch *work, bint with_slopes, const vec *type_tag
) noexcept nogil:
    """Fill values (and slopes): the angular terms of all triplets."""
    cdef const vec *cosine = <const vec *> work.triplets.cosine
    cdef vec *values
    cdef vec *slopes
    cdef vec slope
    cdef Py_ssize_t t, v, n = work.triplets.n // lanes_of(type_tag)
    cdef double zeta, lam
    cdef int whole_zeta
    for t in range(block.n_terms):
        values = <vec *> work.values + t * stride_of(type_tag)
        slopes = <vec *> work.slopes + t * stride_of(type_tag)
        zeta = block.zeta[t]
        lam = block.lam[t]
        whole_zeta = block.whole_zeta[t]
        if with_slopes:
            for v in range(n):
                values[v] = angular_term(zeta, whole_zeta, lam, cosine[v], &slope)
                slopes[v] = slope
        else:
            for v in range(n):
                values[v] = angular_term(zeta, whole_zeta, lam, cosine[v], &slope)


cdef inline const vec *term_of(
    const AngularBlock *block, const void *term_values, Py_ssize_t row, const vec *type_tag
) noexcept nogil:
    return <const vec *> term_values + block.term[row] * stride_of(type_tag)
