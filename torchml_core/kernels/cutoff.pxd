"""Cutoff functions: 1 at r = 0, 0 at r = rc and beyond, continuously differentiable."""

from libc.math cimport M_PI

from torchml_core.kernels.elementary cimport rcos, rsin
from torchml_core.kernels.environment cimport real


cdef enum CutoffFunction:
    COSINE        # (cos(πx) + 1)/2, with x = r/rc
    POLYNOMIAL_1  # 1 - 3x² + 2x³: the polynomial with n continuous derivatives at both ends
    POLYNOMIAL_2  # 1 - 10x³ + 15x⁴ - 6x⁵
    POLYNOMIAL_3  # 1 - 35x⁴ + 84x⁵ - 70x⁶ + 20x⁷


cdef inline real cutoff_function(
    CutoffFunction kind, real r, real rc, real *derivative
) noexcept nogil:
    """fc(r) and, in ``derivative``, dfc/dr. The derivative at r = 0 is 0 for every kind."""
    cdef real x = r / rc
    cdef real y = 1 - x
    if r >= rc:
        derivative[0] = 0
        return 0
    if kind == POLYNOMIAL_1:
        derivative[0] = -6 * x * y / rc
        return y * y * (1 + 2 * x)
    if kind == POLYNOMIAL_2:
        derivative[0] = -30 * x * x * y * y / rc
        return y * y * y * (1 + 3 * x + 6 * x * x)
    if kind == POLYNOMIAL_3:
        derivative[0] = -140 * x * x * x * y * y * y / rc
        return y * y * y * y * (1 + 4 * x + 10 * x * x + 20 * x * x * x)
    x *= <real> M_PI
    derivative[0] = -<real> M_PI * rsin(x) / (2 * rc)
    return (rcos(x) + 1) / 2
