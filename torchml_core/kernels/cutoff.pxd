"""Cutoff functions: 0 at r = rc and beyond, continuously differentiable; 1 at r = 0, except tanh³.
(STEP and HARD jump at rc, for those who ask for it.)

They are functions of q = (r/rc)², and derivatives are with respect to q: neither a square root nor
a division is needed for the cosine, and the chain rule through squares of distances is linear in
the vectors between particles.
"""

from libc.math cimport NAN

from torchml_core.simd.elementary cimport horner, vexp
from torchml_core.simd.vectors cimport splat, vec, vfloat, vmax, vsqrt, vstep


# Each has a branch in cutoff_of_square and a name in cutoff.pyx.
cdef enum CutoffFunction:
    COSINE        # (cos(πx) + 1)/2, with x = r/rc
    POLYNOMIAL_1  # 1 - 3x² + 2x³: the polynomial with n continuous derivatives at both ends
    POLYNOMIAL_2  # 1 - 10x³ + 15x⁴ - 6x⁵
    POLYNOMIAL_3  # 1 - 35x⁴ + 84x⁵ - 70x⁶ + 20x⁷
    POLYNOMIAL_4  # 1 - 126x⁵ + 420x⁶ - 540x⁷ + 315x⁸ - 70x⁹
    TANH_CUBED    # tanh³(1 - x)
    TANH_CUBED_NORMALIZED  # tanh³(1 - x) / tanh³(1)
    EXPONENTIAL   # exp(1 - 1/(1 - x²))
    HARD          # 1 below rc, 0 from there on; its derivative is 0, also at the jump
    STEP          # 1 up to rc and a little further: neighbors beyond never get here


# The cutoff function of each pair of classes of neighbors, and what neighbors weigh.
cdef struct PairCutoff:
    CutoffFunction function
    double inner               # see cutoff_of_square
    const double *cutoffs      # (n_classes, n_classes)
    const double *weights      # (n_classes,), of a neighbor


cdef CutoffFunction cutoff_function(name) except *
cdef inline vec cutoff_of_square(
    CutoffFunction kind, double inner, vec q, vec *derivative
) noexcept nogil:
    """fc and, in ``derivative``, dfc/dq; both 0 from q = 1 on.

    ``inner``: fc is 1 up to inner * rc, and x runs from there to rc (n2p2's alpha).
    """
    cdef vec root, x, y, dx_dq, value
    if kind == STEP:
        derivative[0] = splat(0, &q)
        return vstep(splat(1.5, &q) - q)
    if kind == HARD:  # a neighbor at rc must not count because q was rounded
        derivative[0] = splat(0, &q)
        return vstep(splat(1 - (5e-7 if vec is vfloat else 1e-15), &q) - q)
    if inner == 0 and kind == COSINE:
        return _cosine(q, derivative)
    root = vsqrt(q)
    x = (root - splat(inner, &q)) * splat(1 / (1 - inner), &q)
    x = vmax(x, splat(0, &q))
    dx_dq = splat(0.5 / (1 - inner), &q) / vmax(root, splat(1e-30, &q))
    if kind == COSINE:
        value = _cosine(x * x, derivative)
        derivative[0] = derivative[0] * 2 * x * dx_dq
        return value
    y = 1 - x
    y = vmax(y, splat(0, &q))
    if kind == POLYNOMIAL_1:
        derivative[0] = -(6 * x * y * dx_dq)
        return y * y * (1 + 2 * x)
    if kind == POLYNOMIAL_2:
        derivative[0] = -(30 * x * x * y * y * dx_dq)
        return y * y * y * (1 + 3 * x + 6 * x * x)
    if kind == TANH_CUBED:
        return _tanh_cubed(y, dx_dq, 1, derivative)
    if kind == TANH_CUBED_NORMALIZED:
        return _tanh_cubed(y, dx_dq, 2.2637537952253507954, derivative)  # tanh(1)^-3
    if kind == EXPONENTIAL:
        return _exponential(x, y, dx_dq, derivative)
    if kind == POLYNOMIAL_4:
        derivative[0] = -(630 * (x * x * x * x) * (y * y * y * y) * dx_dq)
        return (y * y * y * y * y) * (1 + x * (5 + x * (15 + x * (35 + x * 70))))
    if kind == POLYNOMIAL_3:
        derivative[0] = -(140 * x * x * x * y * y * y * dx_dq)
        return y * y * y * y * (1 + 4 * x + 10 * x * x + 20 * x * x * x)
    derivative[0] = splat(NAN, &q)  # no branch: cutoff.pyx refuses it
    return splat(NAN, &q)


cdef inline vec _tanh_cubed(vec y, vec dx_dq, double factor, vec *derivative) noexcept nogil:
    """factor tanh³(y) with y = 1 - x."""
    y = vexp(y * splat(-2, &y))
    y = (1 - y) / (1 + y)
    derivative[0] = -(splat(3 * factor, &y) * y * y * (1 - y * y) * dx_dq)
    return splat(factor, &y) * y * y * y


cdef inline vec _exponential(vec x, vec y, vec dx_dq, vec *derivative) noexcept nogil:
    """exp(1 - 1/(1 - x²)), with y = 1 - x at least 0: 1 - x² = y (1 + x)."""
    # From 1000 (float32: 100) on, the exponential is 0 for all that it is used for.
    cdef vec inverse = 1 / vmax(y * (1 + x), splat(1e-2 if vec is vfloat else 1e-3, &x))
    cdef vec value = vexp(1 - inverse) * vstep(y)
    derivative[0] = -(2 * x * inverse * inverse * value * dx_dq)
    return value


cdef inline vec _cosine(vec q, vec *derivative) noexcept nogil:
    """(cos(π√q) + 1)/2 = (1 - q)² g(q).

    It is a whole function of q with a double zero at q = 1. g is a Chebyshev fit on 0 ... 1,
    good to 1e-18 (float32: 7e-12); g and its derivative by one Horner scheme.
    """
    cdef vec y = 1 - q
    cdef vec g, slope
    y = vmax(y, splat(0, &q))
    q = 1 - y  # beyond 1, as at 1
    if vec is vfloat:
        g = splat(2.0179961941226784193e-6, &q)
        slope = splat(0, &q)
    else:
        g = splat(-3.3960168637014786331e-11, &q)
        slope = g
        g = horner(g, q, 1.7206865588003030696e-9)
        slope = slope * q + g
        g = horner(g, q, -6.5895018628896008472e-8)
        slope = slope * q + g
        g = horner(g, q, 2.0179961941226784193e-6)
    slope = slope * q + g
    g = horner(g, q, -0.000048217143729992473657)
    slope = slope * q + g
    g = horner(g, q, 0.00086633486000108801637)
    slope = slope * q + g
    g = horner(g, q, -0.0111225588274456525)
    slope = slope * q + g
    g = horner(g, q, 0.094553862663697005314)
    slope = slope * q + g
    g = horner(g, q, -0.46740110027233941861)
    slope = slope * q + g
    g = horner(g, q, 1.0)
    derivative[0] = y * (y * slope - 2 * g)
    return y * y * g
