"""Elementary functions in the precision of their argument."""

from libc.math cimport cos, cosf, exp, expf, pow, powf, sin, sinf

from torchml_core.kernels.environment cimport real


cdef inline real rexp(real x) noexcept nogil:
    if real is float:
        return expf(x)
    else:
        return exp(x)


cdef inline real rcos(real x) noexcept nogil:
    if real is float:
        return cosf(x)
    else:
        return cos(x)


cdef inline real rsin(real x) noexcept nogil:
    if real is float:
        return sinf(x)
    else:
        return sin(x)


cdef inline real rpow(real x, real y) noexcept nogil:
    if real is float:
        return powf(x, y)
    else:
        return pow(x, y)


cdef inline real whole_power(real x, int n) noexcept nogil:
    """x^n for n >= 0, by repeated squaring."""
    cdef real result = 1
    while n > 0:
        if n & 1:
            result *= x
        x *= x
        n >>= 1
    return result
