"""Angular terms, 2^(1-ζ) (1 + λ cosθ)^ζ, of many triplets."""

from torchml_core.simd.elementary cimport any_power, power_below_one, whole_power
from torchml_core.simd.vectors cimport lanes_of, splat, vec, vmax, vstep


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


cdef inline void fill_term(
    double zeta, int whole_zeta, double lam, bint with_slopes, const vec *cosine, Py_ssize_t n,
    vec *values, vec *slopes,
) noexcept nogil:
    """One term of n vectors of triplets."""
    cdef Py_ssize_t v
    cdef vec slope
    if with_slopes:
        for v in range(n):
            values[v] = angular_term(zeta, whole_zeta, lam, cosine[v], &slope)
            slopes[v] = slope
    else:
        for v in range(n):
            values[v] = angular_term(zeta, whole_zeta, lam, cosine[v], &slope)


cdef void fill_terms(
    const AngularBlock *block, AngularScratch *work, bint with_slopes, const vec *type_tag
) noexcept nogil:
    """Fill values (and slopes): the angular terms of all triplets.

    For the usual ζ the compiler knows the number, and makes plain products of their powers.
    """
    cdef const vec *cosine = <const vec *> work.triplets.cosine
    cdef vec *values
    cdef vec *slopes
    cdef Py_ssize_t t, n = work.triplets.n // lanes_of(type_tag)
    cdef double zeta, lam
    cdef int whole
    for t in range(block.n_terms):
        values = <vec *> work.values + t * stride_of(type_tag)
        slopes = <vec *> work.slopes + t * stride_of(type_tag)
        zeta = block.zeta[t]
        lam = block.lam[t]
        whole = block.whole_zeta[t]
        if whole == 1:
            fill_term(zeta, 1, lam, with_slopes, cosine, n, values, slopes)
        elif whole == 2:
            fill_term(zeta, 2, lam, with_slopes, cosine, n, values, slopes)
        elif whole == 4:
            fill_term(zeta, 4, lam, with_slopes, cosine, n, values, slopes)
        elif whole == 8:
            fill_term(zeta, 8, lam, with_slopes, cosine, n, values, slopes)
        elif whole == 16:
            fill_term(zeta, 16, lam, with_slopes, cosine, n, values, slopes)
        else:
            fill_term(zeta, whole, lam, with_slopes, cosine, n, values, slopes)
