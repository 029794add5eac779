"""Angular terms, 2^(1-ζ) (1 + λ cosθ)^ζ, of many triplets."""

from libc.math cimport NAN

from torchml_core.simd.elementary cimport any_power, vexp, vlog, whole_power
from torchml_core.simd.vectors cimport lanes_of, splat, vec, vmax, vstep


cdef inline vec doubled_base(double lam, vec cosine) noexcept nogil:
    """2 b = 1 + λ cosθ, or 0 if that is negative."""
    return vmax(1 + splat(lam, &cosine) * cosine, splat(0, &cosine))


cdef inline void fill_term(
    double zeta, int whole_zeta, double lam, bint with_slopes, const vec *cosine, Py_ssize_t n,
    vec *values, vec *slopes,
) noexcept nogil:
    """One term of n vectors of triplets.

    a(cosθ) is written as 2 b^ζ with b = (1 + λ cosθ)/2, so that a large ζ overflows nothing. Both a
    and da/dcosθ are 0 where b <= 0. Always inlined with constants for whole_zeta and with_slopes.
    """
    cdef vec factor = splat(zeta * lam, cosine), base, b, power
    cdef Py_ssize_t v
    for v in range(n):
        base = doubled_base(lam, cosine[v])
        b = 0.5 * base
        if whole_zeta == 1:
            power = vstep(base)
        elif whole_zeta > 1:
            power = whole_power(b, whole_zeta - 1)
        else:
            power = any_power(b, zeta - 1)
        values[v] = base if whole_zeta == 1 else power * base
        if with_slopes:
            slopes[v] = factor * power


cdef inline void fill_logarithms(
    double lam, const vec *cosine, Py_ssize_t n, vec *logarithms
) noexcept nogil:
    cdef vec b
    cdef Py_ssize_t v
    for v in range(n):
        b = 0.5 * doubled_base(lam, cosine[v])
        logarithms[v] = vlog(b)


cdef inline void fill_exponential_term(
    double zeta, double lam, bint with_slopes, const vec *cosine, const vec *logarithms,
    Py_ssize_t n, vec *values, vec *slopes,
) noexcept nogil:
    """One term with any ζ and -1 <= λ <= 1, so that b <= 1: b^(ζ - 1) = exp((ζ - 1) ln b)."""
    cdef vec factor = splat(zeta * lam, cosine), exponent = splat(zeta - 1, cosine), base, power
    cdef Py_ssize_t v
    for v in range(n):
        base = doubled_base(lam, cosine[v])
        power = vexp(exponent * logarithms[v]) * vstep(base)
        values[v] = power * base
        if with_slopes:
            slopes[v] = factor * power


cdef inline void fill_all(
    const AngularBlock *block, AngularScratch *work, bint with_slopes, const vec *type_tag
) noexcept nogil:
    """Always inlined with a constant ``with_slopes``."""
    cdef const vec *cosine = <const vec *> work.triplets.cosine
    cdef vec *logarithms = <vec *> work.logarithms
    cdef vec *values
    cdef vec *slopes
    cdef Py_ssize_t t, n = work.triplets.n // lanes_of(type_tag)
    cdef double zeta, lam, lam_of_logarithms = NAN
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
        elif whole or lam < -1 or lam > 1:
            fill_term(zeta, whole, lam, with_slopes, cosine, n, values, slopes)
        else:
            if lam != lam_of_logarithms:  # planning.py puts terms of one λ next to each other
                fill_logarithms(lam, cosine, n, logarithms)
                lam_of_logarithms = lam
            fill_exponential_term(
                zeta, lam, with_slopes, cosine, logarithms, n, values, slopes
            )


cdef void fill_terms(
    const AngularBlock *block, AngularScratch *work, bint with_slopes, const vec *type_tag
) noexcept nogil:
    """Fill values (and slopes): the angular terms of all triplets.

    For the usual ζ the compiler knows the number, and makes plain products of their powers.
    """
    if with_slopes:
        fill_all(block, work, True, type_tag)
    else:
        fill_all(block, work, False, type_tag)
