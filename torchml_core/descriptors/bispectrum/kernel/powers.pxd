"""Powers of a neighbor's ā and b̄, and Chebyshev polynomials, which elements are made of.

NOTATION  A power is two vectors, its real and its imaginary *part*. Numbers to the power 0 have one
part only. n_a and n_b are the numbers of parts of ā^s and b̄^t.
"""

from torchml_core.descriptors.bispectrum.kernel.expansion cimport Expansion, ExpansionPlan
from torchml_core.descriptors.bispectrum.kernel.rotations cimport Rotations
from torchml_core.simd.vectors cimport splat, vec, vfloat


cdef inline Py_ssize_t power_row(const ExpansionPlan *plan) noexcept nogil:
    """Vectors for the powers of one neighbor: of ā (with f), of b̄, and T_k."""
    return 4 * (plan.twojmax + 1) + plan.most_degrees


cdef inline int parts(int exponent) noexcept nogil:
    return 2 if exponent > 0 else 1


cdef inline void fill_powers(
    vec *powers, int twojmax, vec re, vec im, vec first
) noexcept nogil:
    """first, first z, first z², ... with z = re + i im."""
    cdef vec a = first, b = 0 * first, c
    cdef int k
    for k in range(twojmax + 1):
        powers[2 * k] = a
        powers[2 * k + 1] = b
        c = a * re - b * im
        b = a * im + b * re
        a = c


cdef inline void fill_chebyshev(vec *t, int n, vec x) noexcept nogil:
    """T_0(x) ... T_(n-1)(x)"""
    cdef int k
    t[0] = splat(1, &x)
    if n > 1:
        t[1] = x
    for k in range(2, n):
        t[k] = 2 * x * t[k - 1] - t[k - 2]


cdef inline void fill_slopes(vec *slopes, const vec *t, int n, vec x) noexcept nogil:
    """T'_k, from T_k."""
    cdef int k
    slopes[0] = splat(0, &x)
    if n > 1:
        slopes[1] = splat(1, &x)
    for k in range(2, n):
        slopes[k] = 2 * t[k - 1] + 2 * x * slopes[k - 1] - slopes[k - 2]


cdef inline void powers_of_neighbor(
    const Expansion *work, const ExpansionPlan *plan, Py_ssize_t v, vec *powers
) noexcept nogil:
    cdef const Rotations *rotations = &work.rotations
    cdef int n = 2 * (plan.twojmax + 1)
    cdef vec one = splat(1, powers)
    fill_powers(
        powers, plan.twojmax, (<vec *> rotations.a_re)[v], (<vec *> rotations.a_im)[v],
        (<vec *> rotations.f)[v],
    )
    fill_powers(
        powers + n, plan.twojmax, (<vec *> rotations.b_re)[v], (<vec *> rotations.b_im)[v], one
    )
    fill_chebyshev(powers + 2 * n, plan.most_degrees, (<vec *> rotations.cosine)[v])


cdef inline const vec *chebyshev_of(const ExpansionPlan *plan, const vec *type_tag) noexcept nogil:
    if vec is vfloat:
        return <const vec *> plan.chebyshev_single
    else:
        return <const vec *> plan.chebyshev


cdef inline void set_zero(vec *array, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        array[k] = splat(0, array)
