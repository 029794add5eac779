"""Real solid harmonics of a vector of neighbors, in Cartesian form, and their gradients.

They are polynomials of x, y, z: no angle, no root, no pole. Normalized such that the recursion
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

from torchml_core.simd.vectors cimport splat, splat_at, vec, vfloat

# For R_lm from those of l - 1 and l - 2: (2l-1)/(l²-m²) 1/(l²-m²), at l² + l + m; 1/2l if m = l.
cdef double[(MOST_L + 1) * (MOST_L + 1)] z_factors
cdef double[(MOST_L + 1) * (MOST_L + 1)] square_factors
cdef float[(MOST_L + 1) * (MOST_L + 1)] z_factors_single
cdef float[(MOST_L + 1) * (MOST_L + 1)] square_factors_single


cdef void fill_factors() noexcept:
    cdef int l, m, at
    for l in range(1, MOST_L + 1):
        for m in range(l + 1):
            at = l * l + l + m
            if m < l:
                z_factors[at] = (2 * l - 1) / <double> (l * l - m * m)
                square_factors[at] = 1 / <double> (l * l - m * m)
            else:
                z_factors[at] = 0.5 / l
            z_factors_single[at] = <float> z_factors[at]
            square_factors_single[at] = <float> square_factors[at]


fill_factors()


cdef void solid_harmonics(int l_max, vec x, vec y, vec z, vec *out) noexcept nogil:
    """``out`` ((l_max + 1)²,): of one vector of neighbors."""
    cdef const vec *by_z
    cdef const vec *by_square
    cdef int l, m
    cdef Py_ssize_t at
    cdef vec square = x * x + y * y + z * z, z_factor, factor
    cdef vec real, imaginary, real_next, imaginary_next, real_before, imaginary_before
    cdef vec real_first = splat(1, out), imaginary_first = splat(0, out)
    if vec is vfloat:
        by_z = <const vec *> z_factors_single
        by_square = <const vec *> square_factors_single
    else:
        by_z = <const vec *> z_factors
        by_square = <const vec *> square_factors
    for m in range(l_max + 1):
        if m > 0:
            factor = splat_at(by_z, m * m + 2 * m)
            real = factor * (x * real_first - y * imaginary_first)
            imaginary_first = factor * (x * imaginary_first + y * real_first)
            real_first = real
        real = real_first
        imaginary = imaginary_first
        real_before = imaginary_before = splat(0, out)
        out[m * m] = imaginary
        out[m * m + 2 * m] = real
        for l in range(m + 1, l_max + 1):
            at = l * l + l
            z_factor = z * splat_at(by_z, at + m)
            factor = square * splat_at(by_square, at + m)
            real_next = z_factor * real - factor * real_before
            imaginary_next = z_factor * imaginary - factor * imaginary_before
            real_before = real
            imaginary_before = imaginary
            real = real_next
            imaginary = imaginary_next
            out[at - m] = imaginary
            out[at + m] = real  # where m = 0 this one stays


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
    """Set x, y, z to the gradient of Σ weights · harmonics, of one vector of neighbors.

    Sorted by the harmonics that the gradients are made of, C + iD = R_(l-1,m). With a and b the
    weights of Re R_lm and Im R_lm, b_0 = 0 and a_0 taken twice for ∂x and ∂y:

        2 ∂x: C_m (a_(m+1) - a_(m-1)) + D_m (b_(m+1) - b_(m-1))
        2 ∂y: C_m (b_(m+1) + b_(m-1)) - D_m (a_(m+1) + a_(m-1))
    """
    cdef vec zero = splat(0, weights), real_x = zero, real_y = zero, real_z = zero
    cdef vec imaginary_x = zero, imaginary_y = zero, imaginary_z = zero
    cdef vec real, imaginary, a, a_less, a_more, b, b_less, b_more
    cdef const vec *below = harmonics
    cdef const vec *weight = weights
    cdef int l, m
    for l in range(1, l_max + 1):
        below = harmonics + l * (l - 1)
        weight = weights + l * (l + 1)
        real = below[0]
        a_less = weight[0]
        real_z = real_z + real * a_less
        a_less = a_less + a_less
        b_less = zero
        a = weight[1]
        b = (weight - 1)[0]
        real_x = real_x + real * a
        real_y = real_y + real * b
        for m in range(1, l):
            real = below[m]
            imaginary = below[-m]
            a_more = weight[m + 1]
            b_more = weight[-m - 1]
            real_x = real_x + real * (a_more - a_less)
            imaginary_x = imaginary_x + imaginary * (b_more - b_less)
            real_y = real_y + real * (b_more + b_less)
            imaginary_y = imaginary_y - imaginary * (a_more + a_less)
            real_z = real_z + real * a
            imaginary_z = imaginary_z + imaginary * b
            a_less = a
            b_less = b
            a = a_more
            b = b_more
    x[0] = 0.5 * (real_x + imaginary_x)
    y[0] = 0.5 * (real_y + imaginary_y)
    z[0] = real_z + imaginary_z


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
