"""Functions that are not 0 only in an interval, made of n2p2's core functions. See the .pyx.

C(a) = f(|u|) with u = (a - center) / (half of the interval's length), and a core function f with
f(0) = 1 and f(x) = 0 from x = 1 on. Asymmetric: f((2 - |u|) |u|).
"""

from libc.stdint cimport int32_t

from torchml_core.simd.vectors cimport vec


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


cdef void compact_function(
    const Intervals *intervals, Py_ssize_t which, const vec *a, Py_ssize_t n, bint with_slopes,
    vec *values, vec *slopes, Py_ssize_t step,
) noexcept nogil
