"""Real solid harmonics of some neighbors side by side, in Cartesian form, and their gradients.

They are polynomials of x, y, z: no angle, no root, no pole. Normalised such that the recursion
and the gradients are as simple as can be, with P̃_lm the associated Legendre functions without
(-1)^m:

    R_lm = r^l P̃_lm(cosθ) e^(imφ) / (l+m)!,    m >= 0
    R_mm = (x + iy) R_(m-1,m-1) / 2m,    ((l+1)² - m²) R_(l+1,m) = (2l+1) z R_lm - r² R_(l-1,m)
    ∂R_lm/∂z = R_(l-1,m)
    ∂R_lm/∂x = ½ (R_(l-1,m-1) - R_(l-1,m+1)),    ∂R_lm/∂y = i/2 (R_(l-1,m-1) + R_(l-1,m+1))

with R_(l,-1) = -conj(R_l1), and R_lm = 0 for m > l. (E. W. Hobson, The theory of spherical and
ellipsoidal harmonics, 1931.) Here Re R_lm is element l² + l + m, Im R_lm element l² + l - m: the
order m = -l ... l. Real harmonics Y_lm are r^(-l) times these, times

    √((2l+1)/4π (l-m)! (l+m)!), and √2 for m ≠ 0.
"""

from torchml_core.kernels.simd cimport splat, splat_at, vec, vfloat

# Of R_(l,m) from those of l - 1 and l - 2: (2l-1)/(l²-m²) and 1/(l²-m²), at l² + l + m.
cdef double[(MOST_L + 1) * (MOST_L + 1)] z_factors
cdef double[(MOST_L + 1) * (MOST_L + 1)] square_factors
cdef float[(MOST_L + 1) * (MOST_L + 1)] z_factors_single
cdef float[(MOST_L + 1) * (MOST_L + 1)] square_factors_single


cdef void fill_factors() noexcept:
    cdef int l, m, at
    for l in range(1, MOST_L + 1):
        for m in range(l):
            at = l * l + l + m
            z_factors[at] = (2 * l - 1) / <double> (l * l - m * m)
            square_factors[at] = 1 / <double> (l * l - m * m)
            z_factors_single[at] = <float> z_factors[at]
            square_factors_single[at] = <float> square_factors[at]


fill_factors()


cdef void solid_harmonics(int l_max, vec x, vec y, vec z, vec *out) noexcept nogil:
    """``out`` ((l_max + 1)²,): of one vector of neighbors."""
    cdef const vec *by_z
    cdef const vec *by_square
    cdef int l, m
    cdef Py_ssize_t at, below, lowest
    cdef vec square = x * x + y * y + z * z, factor, z_factor
    if vec is vfloat:
        by_z = <const vec *> z_factors_single
        by_square = <const vec *> square_factors_single
    else:
        by_z = <const vec *> z_factors
        by_square = <const vec *> square_factors
    out[0] = splat(1, out)
    for l in range(1, l_max + 1):
        at = l * l + l
        below = l * l - l
        lowest = (l - 1) * (l - 2)
        for m in range(l - 1):
            z_factor = z * splat_at(by_z, at + m)
            factor = square * splat_at(by_square, at + m)
            out[at + m] = z_factor * out[below + m] - factor * out[lowest + m]
            if m > 0:
                out[at - m] = z_factor * out[below - m] - factor * out[lowest - m]
        m = l - 1
        z_factor = z * splat_at(by_z, at + m)
        out[at + m] = z_factor * out[below + m]
        factor = splat(0.5 / l, out)
        if m > 0:
            out[at - m] = z_factor * out[below - m]
            out[at + l] = factor * (x * out[below + m] - y * out[below - m])
            out[at - l] = factor * (x * out[below - m] + y * out[below + m])
        else:
            out[at + l] = factor * x
            out[at - l] = factor * y


cdef inline void gradient(
    int l, int m, const vec *below, vec *x, vec *y, vec *z
) noexcept nogil:
    """∂/∂x, ∂/∂y (both twice) and ∂/∂z of Re R_lm for m >= 0, of Im R_l|m| for m < 0.

    ``below``: the harmonics of l - 1, from m = 0.
    """
    cdef vec zero = splat(0, below), real_less, real_more, imaginary_less, imaginary_more
    cdef int k = -m if m < 0 else m
    real_more = below[k + 1] if k + 1 < l else zero
    imaginary_more = below[-k - 1] if k + 1 < l else zero
    if k == 0:
        x[0] = -(real_more + real_more)
        y[0] = -(imaginary_more + imaginary_more)
        z[0] = below[0]
        return
    real_less = below[k - 1]
    imaginary_less = below[1 - k] if k > 1 else zero
    if m > 0:
        x[0] = real_less - real_more
        y[0] = -imaginary_less - imaginary_more
        z[0] = below[k] if k < l else zero
    else:
        x[0] = imaginary_less - imaginary_more
        y[0] = real_less + real_more
        z[0] = below[-k] if k < l else zero


cdef void solid_harmonics_vjp(
    int l_max, const vec *harmonics, const vec *weights, vec *x, vec *y, vec *z
) noexcept nogil:
    """Set x, y, z to the gradient of Σ weights · harmonics, of one vector of neighbors."""
    cdef vec sum_x = splat(0, weights), sum_y = sum_x, sum_z = sum_x, by_x, by_y, by_z, weight
    cdef int l, m
    for l in range(1, l_max + 1):
        for m in range(-l, l + 1):
            gradient(l, m, harmonics + l * l - l, &by_x, &by_y, &by_z)
            weight = weights[l * l + l + m]
            sum_x = sum_x + weight * by_x
            sum_y = sum_y + weight * by_y
            sum_z = sum_z + weight * by_z
    x[0] = 0.5 * sum_x
    y[0] = 0.5 * sum_y
    z[0] = sum_z


cdef void solid_harmonics_gradients(
    int l_max, const vec *harmonics, vec *x, vec *y, vec *z
) noexcept nogil:
    """Fill x, y, z, each ((l_max + 1)²,), with the gradient of every harmonic."""
    cdef Py_ssize_t at
    cdef int l, m
    x[0] = y[0] = z[0] = splat(0, harmonics)
    for l in range(1, l_max + 1):
        for m in range(-l, l + 1):
            at = l * l + l + m
            gradient(l, m, harmonics + l * l - l, &x[at], &y[at], &z[at])
            x[at] = 0.5 * x[at]
            y[at] = 0.5 * y[at]
