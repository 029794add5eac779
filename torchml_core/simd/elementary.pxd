"""Elementary functions of vectors, of one argument each, good to the last digit or two."""

from libc.math cimport pow, powf

from torchml_core.simd.vectors cimport (
    get, lanes_of, put, simd_round_d, simd_round_f, simd_scale_d, simd_scale_f, simd_split_d,
    simd_split_f, splat, vabs, vec, vfloat, vmax, vpick, vrsqrt, vstep,
)


cdef inline vec horner(vec sum, vec x, double coefficient) noexcept nogil:
    return sum * x + splat(coefficient, &x)


cdef inline vec exp_series(vec x, vec *rest, vec *shifted) noexcept nogil:
    """(exp(r) - 1)/r, where x = n ln 2 + r with |r| <= ln(2)/2; r and n, for simd_scale.

    A Chebyshev fit (relative error 3e-18, float32 2e-9). ln 2 comes in two parts, the first short
    enough that n times it is exact. Of x below -707 (float32: -86) r and n are those of that; NaN
    stays NaN.
    """
    cdef vec n, r, p
    if vec is vfloat:
        x = vmax(splat(-86.0, &x), x)
        n = simd_round_f(x * splat(1.4426950408889634, &x), shifted)
        r = x - n * splat(0.693359375, &x)
        r = r - n * splat(-2.12194440054690583e-4, &x)
        p = splat(0.0013941108434, &x)
        p = horner(p, r, 0.00837512639815)
        p = horner(p, r, 0.0416663528968)
        p = horner(p, r, 0.166664155147)
        p = horner(p, r, 0.500000004712)
        p = horner(p, r, 1.00000003772)
    else:
        x = vmax(splat(-707.0, &x), x)
        n = simd_round_d(x * splat(1.4426950408889634, &x), shifted)
        r = x - n * splat(0.6931471803691238, &x)
        r = r - n * splat(1.9082149292705877e-10, &x)
        p = splat(2.5110037605963777712e-8, &x)
        p = horner(p, r, 2.7632639639041029749e-7)
        p = horner(p, r, 2.7557240918578969823e-6)
        p = horner(p, r, 0.000024801485482328492419)
        p = horner(p, r, 0.00019841269890047113707)
        p = horner(p, r, 0.0013888888952314774652)
        p = horner(p, r, 0.0083333333333196006109)
        p = horner(p, r, 0.041666666666488095495)
        p = horner(p, r, 0.16666666666666680806)
        p = horner(p, r, 0.50000000000000183855)
        p = horner(p, r, 0.99999999999999999976)
    rest[0] = r
    return p


cdef inline vec vexp(vec x) noexcept nogil:
    """exp(x) for x < 700 (float32: 87); where it would be below 1e-307 (1e-37), about that."""
    cdef vec r, shifted
    cdef vec p = exp_series(x, &r, &shifted)
    if vec is vfloat:
        return simd_scale_f(horner(p, r, 1.0), shifted)
    else:
        return simd_scale_d(horner(p, r, 0.99999999999999999693), shifted)


cdef inline vec vexpm1(vec x) noexcept nogil:
    """exp(x) - 1 for x < 700 (float32: 87), good to the last digits near 0 too."""
    cdef vec r, shifted, power
    cdef vec p = exp_series(x, &r, &shifted)
    if vec is vfloat:
        power = simd_scale_f(splat(1, &x), shifted)
    else:
        power = simd_scale_d(splat(1, &x), shifted)
    return power * (p * r) + (power - 1)


cdef inline vec whole_power(vec x, int n) noexcept nogil:
    """x^n for n >= 0, by repeated squaring."""
    cdef vec result = splat(1, &x)
    if n & 1:
        result = x
    n >>= 1
    while n > 0:
        x = x * x
        if n & 1:
            result = result * x
        n >>= 1
    return result


cdef inline vec vlog(vec x) noexcept nogil:
    """ln(x) for normal x > 0; anything finite for 0.

    x = m 2^e, ln m = 2 artanh s with s = (m - 1)/(m + 1), |s| < 0.172: its series, to s^19.
    """
    cdef vec e, m, s, q, p
    if vec is vfloat:
        m = simd_split_f(x, &e)
    else:
        m = simd_split_d(x, &e)
    s = (m - 1) / (m + 1)
    q = s * s
    if vec is vfloat:
        p = splat(1 / 9.0, &x)
    else:
        p = splat(1 / 19.0, &x)
        p = horner(p, q, 1 / 17.0)
        p = horner(p, q, 1 / 15.0)
        p = horner(p, q, 1 / 13.0)
        p = horner(p, q, 1 / 11.0)
        p = horner(p, q, 1 / 9.0)
    p = horner(p, q, 1 / 7.0)
    p = horner(p, q, 1 / 5.0)
    p = horner(p, q, 1 / 3.0)
    p = 2 * s * q * p
    p = p + e * splat(1.9082149292705877e-10, &x)
    p = p + 2 * s
    return p + e * splat(0.6931471803691238, &x)


cdef inline vec any_power(vec x, double y) noexcept nogil:
    """x^y, 0 where x <= 0: lane by lane with the C library's pow, which knows of overflow."""
    cdef vec result = x
    cdef Py_ssize_t lane
    cdef double base
    for lane in range(lanes_of(&x)):
        base = get(&x, lane)
        if base <= 0:
            put(&result, lane, 0)
        elif vec is vfloat:
            put(&result, lane, powf(<float> base, <float> y))
        else:
            put(&result, lane, pow(base, y))
    return result


cdef inline vec cubic(vec z, vec z2, double a, double b, double c, double d) noexcept nogil:
    """a + b z + c z² + d z³; short chains of operations that wait for each other."""
    return (z * splat(b, &z) + splat(a, &z)) + z2 * (z * splat(d, &z) + splat(c, &z))


cdef inline vec varccos(vec cosine, vec *inverse_sine) noexcept nogil:
    """θ = arccos(cosine) and 1/sin θ, of numbers from -1 to 1 and a little beyond.

    With s = √((1 - |cosine|)/2), θ is 2 arcsin s or π minus that; arcsin(s)/s by a Chebyshev fit
    in z = s² (absolute error 2e-17, float32 3e-9). At and near θ = 0 and π, s is about the
    rounding error of the cosine, so that 1/sin θ is finite.
    """
    cdef vec z = (1 - vabs(cosine)) * 0.5
    cdef vec inverse, p, z2, z4
    z = vmax(z, splat(1e-14 if vec is vfloat else 1e-32, &cosine))
    inverse = vrsqrt(z)
    inverse_sine[0] = 0.5 * inverse * vrsqrt(1 - z)
    z2 = z * z
    z4 = z2 * z2
    if vec is vfloat:
        p = splat(0.123913494905, &z)
        p = p * z4 + cubic(
            z, z2, 0.035814239284, -0.00702057915229, 0.107400021302, -0.13591627124
        )
        p = p * z4 + cubic(
            z, z2, 1.00000000162, 0.166666142378,
            0.0750275731635, 0.0440916167337,
        )
    else:
        p = splat(0.88929043676386879885, &z) * z + splat(-3.2789331567398122711, &z)
        p = p * z + splat(5.7579408313146987445, &z)
        p = p * z4 + cubic(
            z, z2, 1.0082016650534187439, -2.4908808126226116979,
            4.6420689099888433638, -6.2292998753979857686,
        )
        p = p * z4 + cubic(
            z, z2, 0.013191002571753903599, -0.0026015378482996879209,
            0.078716113570021266284, -0.29687054306898242672,
        )
        p = p * z4 + cubic(
            z, z2, 0.030381963396751828528, 0.022371584779320352979,
            0.017364281439103528205, 0.013803445895891979809,
        )
        p = p * z4 + cubic(
            z, z2, 1.0000000000000000116, 0.16666666666664986917,
            0.075000000004018160935, 0.044642856762615003393,
        )
    p = 2 * z * inverse * p
    return vpick(cosine, p, splat(3.14159265358979323846, &cosine) - p)


cdef inline vec vsincos(vec x, vec *cosine) noexcept nogil:
    """sin(x) and cos(x) for |x| <= pi/2, with an absolute error of a few units in the last place.

    Taylor series: the first term that is left out is below 1e-17 of 1 (float32: 1e-8).
    """
    cdef vec q = x * x, s, c
    if vec is vfloat:
        s = splat(1 / 6227020800.0, &x)
        c = splat(1 / 479001600.0, &x)
    else:
        s = splat(-1 / 25852016738884976640000.0, &x)
        s = horner(s, q, 1 / 51090942171709440000.0)
        s = horner(s, q, -1 / 121645100408832000.0)
        s = horner(s, q, 1 / 355687428096000.0)
        s = horner(s, q, -1 / 1307674368000.0)
        s = horner(s, q, 1 / 6227020800.0)
        c = splat(1 / 620448401733239439360000.0, &x)
        c = horner(c, q, -1 / 1124000727777607680000.0)
        c = horner(c, q, 1 / 2432902008176640000.0)
        c = horner(c, q, -1 / 6402373705728000.0)
        c = horner(c, q, 1 / 20922789888000.0)
        c = horner(c, q, -1 / 87178291200.0)
        c = horner(c, q, 1 / 479001600.0)
    s = horner(s, q, -1 / 39916800.0)
    s = horner(s, q, 1 / 362880.0)
    s = horner(s, q, -1 / 5040.0)
    s = horner(s, q, 1 / 120.0)
    s = horner(s, q, -1 / 6.0)
    c = horner(c, q, -1 / 3628800.0)
    c = horner(c, q, 1 / 40320.0)
    c = horner(c, q, -1 / 720.0)
    c = horner(c, q, 1 / 24.0)
    c = horner(c, q, -0.5)
    cosine[0] = horner(c, q, 1)
    return s * q * x + x
