"""Functions that are not 0 only in an interval, made of n2p2's core functions. See the .pxd.

Which core function it is is decided once for many arguments: each has its own loop.
"""

from torchml_core.simd.elementary cimport vexp
from torchml_core.simd.vectors cimport splat, vabs, vec, vfloat, vmax, vstep


cdef inline vec core_function(
    int core, vec x, vec y, vec signed_x, vec times, vec *slope
) noexcept nogil:
    """f(x), with y = 1 - x, which is 0 from x = 1 on; ``slope``: times f'(x), signed as signed_x.

    ``signed_x`` is x or -x. Written in powers of y, so that nothing cancels where f is small.
    """
    cdef vec inverse, value, square = y * y
    if core == CORE_POLYNOMIAL_1:
        slope[0] = (-(6 * times)) * signed_x * y
        return square * (1 + 2 * x)
    if core == CORE_POLYNOMIAL_2:
        slope[0] = (-(30 * times)) * signed_x * (x * square)
        return square * y * (1 + x * (3 + 6 * x))
    if core == CORE_POLYNOMIAL_3:
        slope[0] = (-(140 * times)) * signed_x * ((x * x) * (square * y))
        return square * square * (1 + x * (4 + x * (10 + 20 * x)))
    if core == CORE_POLYNOMIAL_4:
        slope[0] = (-(630 * times)) * signed_x * ((x * x * x) * (square * square))
        return square * square * y * (1 + x * (5 + x * (15 + x * (35 + 70 * x))))
    # From 1000 (float32: 100) on, the exponential is 0 for all that it is used for; and its
    # argument then is bounded, whatever x.
    inverse = 1 / vmax(y * (1 + x), splat(1e-2 if vec is vfloat else 1e-3, &x))
    value = vexp(1 - inverse) * vstep(y)
    slope[0] = (-(2 * times)) * signed_x * (inverse * inverse * value)
    return value


cdef inline void evaluate(
    const Intervals *intervals, Py_ssize_t which, int core, bint asymmetric, bint with_slopes,
    const vec *a, Py_ssize_t n, vec *values, vec *slopes, Py_ssize_t step,
) noexcept nogil:
    """Always inlined with constants for core, asymmetric and with_slopes."""
    cdef vec scale = splat(intervals.scale[which], a), offset = splat(intervals.offset[which], a)
    cdef vec zero = splat(0, a), u, x, y, slope
    cdef Py_ssize_t v
    for v in range(n):
        u = a[v] * scale + offset
        x = vabs(u)
        y = vmax(1 - x, zero)
        if asymmetric:
            values[v * step] = core_function(
                core, 1 - y * y, y * y, u * (2 - x), scale * (2 * y), &slope
            )
        else:
            values[v * step] = core_function(core, x, y, u, scale, &slope)
        if with_slopes:
            slopes[v * step] = slope


cdef inline void evaluate_core(
    const Intervals *intervals, Py_ssize_t which, int core, bint with_slopes,
    const vec *a, Py_ssize_t n, vec *values, vec *slopes, Py_ssize_t step,
) noexcept nogil:
    """Always inlined with a constant core."""
    if intervals.asymmetric[which]:
        if with_slopes:
            evaluate(intervals, which, core, True, True, a, n, values, slopes, step)
        else:
            evaluate(intervals, which, core, True, False, a, n, values, slopes, step)
    elif with_slopes:
        evaluate(intervals, which, core, False, True, a, n, values, slopes, step)
    else:
        evaluate(intervals, which, core, False, False, a, n, values, slopes, step)


cdef void compact_function(
    const Intervals *intervals, Py_ssize_t which, const vec *a, Py_ssize_t n, bint with_slopes,
    vec *values, vec *slopes, Py_ssize_t step,
) noexcept nogil:
    """C and, if wanted, dC/da of n vectors; results are ``step`` vectors apart."""
    cdef int core = intervals.core[which]
    if core == CORE_POLYNOMIAL_1:
        evaluate_core(intervals, which, CORE_POLYNOMIAL_1, with_slopes, a, n, values, slopes, step)
    elif core == CORE_POLYNOMIAL_2:
        evaluate_core(intervals, which, CORE_POLYNOMIAL_2, with_slopes, a, n, values, slopes, step)
    elif core == CORE_POLYNOMIAL_3:
        evaluate_core(intervals, which, CORE_POLYNOMIAL_3, with_slopes, a, n, values, slopes, step)
    elif core == CORE_POLYNOMIAL_4:
        evaluate_core(intervals, which, CORE_POLYNOMIAL_4, with_slopes, a, n, values, slopes, step)
    else:
        evaluate_core(intervals, which, CORE_EXPONENTIAL, with_slopes, a, n, values, slopes, step)
