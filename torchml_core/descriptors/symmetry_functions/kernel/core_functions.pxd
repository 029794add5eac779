"""Functions that are not 0 only in an interval, made of n2p2's core functions.

C(a) = f(|u|) with u = (a - center) / (half of the interval's length), and a core function f with
f(0) = 1 and f(x) = 0 from x = 1 on. Asymmetric: f((2 - |u|) |u|).
"""

from libc.stdint cimport int32_t

from torchml_core.simd.elementary cimport vexp
from torchml_core.simd.vectors cimport splat, vabs, vec, vfloat, vmax, vstep


# The numbers are those of packing.pyx.
cdef enum Core:
    CORE_POLYNOMIAL_1 = 1       # 1 - 3x² + 2x³: the polynomial with n continuous derivatives
    CORE_POLYNOMIAL_2 = 2
    CORE_POLYNOMIAL_3 = 3
    CORE_POLYNOMIAL_4 = 4
    CORE_EXPONENTIAL = 5        # exp(1 - 1/(1 - x²))


# Functions C; u = scale a + offset.
cdef struct Intervals:
    Py_ssize_t n
    const int32_t *core         # (n,)
    const int32_t *asymmetric   # (n,)
    const double *scale         # (n,)
    const double *offset        # (n,)


cdef inline vec core_function(int core, vec x, vec y, vec signed_x, vec *slope) noexcept nogil:
    """f(x), with y = 1 - x, which is 0 from x = 1 on; ``slope``: f'(x) with the sign of signed_x.

    ``signed_x`` is x or -x. Written in powers of y, so that nothing cancels where f is small.
    """
    cdef vec inverse, value
    if core == CORE_POLYNOMIAL_1:
        slope[0] = -(6 * signed_x * y)
        return y * y * (1 + 2 * x)
    if core == CORE_POLYNOMIAL_2:
        slope[0] = -(30 * signed_x * x * (y * y))
        return (y * y) * y * (1 + x * (3 + 6 * x))
    if core == CORE_POLYNOMIAL_3:
        slope[0] = -(140 * signed_x * (x * x) * (y * y * y))
        return (y * y) * (y * y) * (1 + x * (4 + x * (10 + 20 * x)))
    if core == CORE_POLYNOMIAL_4:
        slope[0] = -(630 * signed_x * (x * x * x) * ((y * y) * (y * y)))
        return (y * y) * (y * y) * y * (1 + x * (5 + x * (15 + x * (35 + 70 * x))))
    # From 1000 (float32: 100) on, the exponential is 0 for all that it is used for; and its
    # argument then is bounded, whatever x.
    inverse = 1 / vmax(y * (1 + x), splat(1e-2 if vec is vfloat else 1e-3, &x))
    value = vexp(1 - inverse) * vstep(y)
    slope[0] = -(2 * signed_x * inverse * inverse * value)
    return value


cdef inline vec compact_function(
    const Intervals *intervals, Py_ssize_t which, vec a, vec *slope
) noexcept nogil:
    """C(a) and, in ``slope``, dC/da."""
    cdef vec scale = splat(intervals.scale[which], &a), u = a * scale
    cdef vec x, y, value
    cdef int core = intervals.core[which]
    u = u + splat(intervals.offset[which], &a)
    x = vabs(u)
    y = vmax(1 - x, splat(0, &a))
    if not intervals.asymmetric[which]:
        value = core_function(core, x, y, u, slope)
        slope[0] = slope[0] * scale
        return value
    value = core_function(core, 1 - y * y, y * y, u * (2 - x), slope)
    slope[0] = slope[0] * (2 * y * scale)
    return value
