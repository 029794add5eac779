"""Sums over neighbors of the elements of their rotations, without a recursion for the elements.

With Q in Chebyshev polynomials, coupling.py, elements are sums of products

    f ā^s · b̄^t · T_k(x)

and so are their sums over neighbors. For each block, s and t, and each degree k, the four real
products {Re, Im}(f ā^s) · {Re, Im}(b̄^t) · T_k are summed: a multiply-add each. (One or two where
s or t is 0: numbers to the power 0 have no imaginary part.) Each sum is turned into elements once,
not for each neighbor: element (s, t) from Re Re - Im Im and so on, and degree n from all k <= n.

The derivatives go the same way back. Of all sums' gradients G, for each neighbor and block

    D = Σ_k G_k T_k(x)   and   D' = Σ_k G_k T'_k(x)

are what four products are multiplied with in dE; from them follow dE with respect to ā^s, b̄^t and
x, and at the end to ā, b̄ and f, by Horner's scheme.

NOTATION  A power is two vectors, its real and its imaginary part. The product of part p of ā^s and
part q of b̄^t has number p n_b + q, where n_a and n_b are the numbers of parts, 1 or 2.
"""

from torchml_core.descriptors.bispectrum.kernel.rotations cimport lay_out_rotations
from torchml_core.simd.vectors cimport (
    SIMD_BYTES, carve, get, lanes_of, put, splat, splat_at, vec, vfloat,
)

# Loops over a constant number of sums are unrolled only in functions that are inlined: compilers
# must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """

cdef enum:
    NEIGHBORS_AT_ONCE = 8       # whose powers are in the first-level cache
    DEGREES_AT_ONCE = 4         # whose sums are in registers
    MOST_SUMS = 16


cdef inline Py_ssize_t power_row(const ExpansionPlan *plan) noexcept nogil:
    """Vectors for the powers of one neighbor: of ā (with f), of b̄, and T_k."""
    return 4 * (plan.twojmax + 1) + plan.most_degrees


cdef void lay_out_expansion(
    Expansion *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil:
    """Cut all arrays off the scratch buffer, for environments of up to n neighbors."""
    cdef Py_ssize_t n_bytes = plan.rotation.n_channels * plan.n_elements * 2 * SIMD_BYTES
    lay_out_rotations(&work.rotations, &plan.rotation, n, free_bytes)
    work.powers = carve(free_bytes, NEIGHBORS_AT_ONCE * power_row(plan) * SIMD_BYTES)
    work.sums = carve(free_bytes, plan.n_sums * SIMD_BYTES)
    work.sums_dot = carve(free_bytes, plan.n_sums * SIMD_BYTES)
    work.elements = carve(free_bytes, n_bytes)
    work.elements_dot = carve(free_bytes, n_bytes)
    work.gradient = carve(free_bytes, n_bytes)
    work.by_power = carve(free_bytes, 4 * (plan.twojmax + 1) * SIMD_BYTES)


cdef inline const vec *chebyshev_of(const ExpansionPlan *plan, const vec *type_tag) noexcept nogil:
    if vec is vfloat:
        return <const vec *> plan.chebyshev_single
    else:
        return <const vec *> plan.chebyshev


cdef inline int parts(int exponent) noexcept nogil:
    return 2 if exponent > 0 else 1


# ---- powers


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


# ---- sums


cdef inline void add_to_block(
    int n_a, int n_b, int n_degrees, const vec *a, const vec *b, const vec *t, Py_ssize_t row,
    Py_ssize_t n_neighbors, vec *sums,
) noexcept nogil:
    """Add the products of some neighbors to some degrees of a block; inlined with constants."""
    cdef vec total[MOST_SUMS]
    cdef vec product[4]
    cdef int n = n_a * n_b, k, p, q
    cdef Py_ssize_t _
    for k in range(n_degrees * n):
        total[k] = sums[k]
    for _ in range(n_neighbors):
        for p in range(n_a):
            for q in range(n_b):
                product[p * n_b + q] = a[p] * b[q]
        for k in range(n_degrees):
            for p in range(n):
                total[k * n + p] = total[k * n + p] + product[p] * t[k]
        a += row
        b += row
        t += row
    for k in range(n_degrees * n):
        sums[k] = total[k]


cdef inline void add_to_degrees(
    int n_a, int n_b, int n_degrees, const vec *a, const vec *b, const vec *t, Py_ssize_t row,
    Py_ssize_t n_neighbors, vec *sums,
) noexcept nogil:
    """Call the instance for this number of degrees."""
    if n_degrees == 4:
        add_to_block(n_a, n_b, 4, a, b, t, row, n_neighbors, sums)
    elif n_degrees == 3:
        add_to_block(n_a, n_b, 3, a, b, t, row, n_neighbors, sums)
    elif n_degrees == 2:
        add_to_block(n_a, n_b, 2, a, b, t, row, n_neighbors, sums)
    else:
        add_to_block(n_a, n_b, 1, a, b, t, row, n_neighbors, sums)


cdef inline void add_neighbors(
    const ExpansionPlan *plan, const vec *powers, Py_ssize_t n_neighbors, vec *sums
) noexcept nogil:
    """Add some neighbors to the sums of all blocks."""
    cdef Py_ssize_t row = power_row(plan), k
    cdef const vec *b_powers = powers + 2 * (plan.twojmax + 1)
    cdef const vec *chebyshev = powers + 4 * (plan.twojmax + 1)
    cdef const vec *a
    cdef const vec *b
    cdef const Block *block
    cdef int degree, n
    for k in range(plan.n_blocks):
        block = &plan.blocks[k]
        a = powers + 2 * block.s
        b = b_powers + 2 * block.t
        degree = 0
        while degree < block.n_degrees:
            n = min(DEGREES_AT_ONCE, block.n_degrees - degree)
            if block.s > 0 and block.t > 0:
                add_to_degrees(2, 2, n, a, b, chebyshev + degree, row, n_neighbors, sums)
            elif block.s > 0:
                add_to_degrees(2, 1, n, a, b, chebyshev + degree, row, n_neighbors, sums)
            elif block.t > 0:
                add_to_degrees(1, 2, n, a, b, chebyshev + degree, row, n_neighbors, sums)
            else:
                add_to_degrees(1, 1, n, a, b, chebyshev + degree, row, n_neighbors, sums)
            sums += n * parts(block.s) * parts(block.t)
            degree += n


cdef inline void set_zero(vec *array, Py_ssize_t n) noexcept nogil:
    cdef Py_ssize_t k
    for k in range(n):
        array[k] = splat(0, array)


cdef void expand(
    Expansion *work, const ExpansionPlan *plan, const Environment *group,
    Py_ssize_t n_environments, const vec *type_tag,
) noexcept nogil:
    """Fill the elements, from the rotations, with the center's own part."""
    cdef vec *powers = <vec *> work.powers
    cdef vec *elements = <vec *> work.elements
    cdef vec *sums = <vec *> work.sums
    cdef vec center
    cdef Py_ssize_t v = 0, n, k, lane
    cdef int channel
    for channel in range(plan.rotation.n_channels):
        set_zero(sums, plan.n_sums)
        while v < work.rotations.end[channel]:
            n = min(<Py_ssize_t> NEIGHBORS_AT_ONCE, work.rotations.end[channel] - v)
            for k in range(n):
                powers_of_neighbor(work, plan, v + k, powers + k * power_row(plan))
            add_neighbors(plan, powers, n, sums)
            v += n
        sums_to_elements(plan, sums, elements)
        center = splat(1, type_tag)
        if plan.rotation.n_channels > 1 and not plan.self_in_all:
            center = splat(0, type_tag)
            for lane in range(n_environments):
                if plan.rotation.channels[group[lane].species] == channel:
                    put(&center, lane, 1)
        for k in range(plan.n_blocks):
            if plan.blocks[k].t == 0:
                for n in range(plan.blocks[k].n_degrees):
                    elements[2 * (plan.blocks[k].plus + n)] += center
        elements += 2 * plan.n_elements


# ---- from sums to elements, and back


cdef inline void sums_to_elements(
    const ExpansionPlan *plan, const vec *sums, vec *elements
) noexcept nogil:
    """See Block of coupling.py: of each degree n the elements with t and -t."""
    cdef const vec *chebyshev = chebyshev_of(plan, elements)
    cdef const Block *block
    cdef vec[4] part
    cdef vec factor, sign, zero = splat(0, elements)
    cdef vec *plus
    cdef vec *minus
    cdef Py_ssize_t b, at = 0
    cdef int n_a, n_b, n, k, p
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        n_a, n_b = parts(block.s), parts(block.t)
        sign = splat(-1 if block.t % 2 else 1, elements)
        for n in range(block.n_degrees):
            for p in range(4):
                part[p] = zero
            for k in range(n + 1):
                factor = splat_at(chebyshev, at + n * block.n_degrees + k)
                for p in range(n_a * n_b):
                    part[p] = part[p] + factor * sums[k * n_a * n_b + p]
            plus = elements + 2 * (block.plus + n)
            minus = elements + 2 * (block.minus + n)
            if n_b == 1:  # (Re, Im)
                plus[0] = part[0]
                plus[1] = part[1]
            elif n_a == 1:
                plus[0] = sign * part[0]
                plus[1] = sign * part[1]
                minus[0] = part[0]
                minus[1] = -part[1]
            else:  # (Re Re, Re Im, Im Re, Im Im)
                plus[0] = sign * (part[0] - part[3])
                plus[1] = sign * (part[2] + part[1])
                minus[0] = part[0] + part[3]
                minus[1] = part[2] - part[1]
        sums += block.n_degrees * n_a * n_b
        at += block.n_degrees * block.n_degrees


cdef inline void elements_to_sums(
    const ExpansionPlan *plan, const vec *gradient, vec *sums
) noexcept nogil:
    """Its transpose: from dE with respect to elements to dE with respect to sums."""
    cdef const vec *chebyshev = chebyshev_of(plan, sums)
    cdef const Block *block
    cdef vec[4] part
    cdef vec factor, sign
    cdef const vec *plus
    cdef const vec *minus
    cdef Py_ssize_t b, at = 0
    cdef int n_a, n_b, n, k, p
    set_zero(sums, plan.n_sums)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        n_a, n_b = parts(block.s), parts(block.t)
        sign = splat(-1 if block.t % 2 else 1, sums)
        for n in range(block.n_degrees):
            plus = gradient + 2 * (block.plus + n)
            minus = gradient + 2 * (block.minus + n)
            if n_b == 1:
                part[0] = plus[0]
                part[1] = plus[1]
            elif n_a == 1:
                part[0] = sign * plus[0] + minus[0]
                part[1] = sign * plus[1] - minus[1]
            else:
                part[0] = sign * plus[0] + minus[0]
                part[1] = sign * plus[1] - minus[1]
                part[2] = sign * plus[1] + minus[1]
                part[3] = minus[0] - sign * plus[0]
            for k in range(n + 1):
                factor = splat_at(chebyshev, at + n * block.n_degrees + k)
                for p in range(n_a * n_b):
                    sums[k * n_a * n_b + p] += factor * part[p]
        sums += block.n_degrees * n_a * n_b
        at += block.n_degrees * block.n_degrees


# ---- tangents


cdef inline void tangent_powers(
    vec *powers, int twojmax, vec re, vec im, vec first, vec re_dot, vec im_dot, vec first_dot
) noexcept nogil:
    """The changes of what fill_powers gives, after it."""
    cdef vec a = first, b = 0 * first, c, a_dot = first_dot, b_dot = 0 * first, c_dot
    cdef int k
    for k in range(twojmax + 1):
        powers[2 * k] = a_dot
        powers[2 * k + 1] = b_dot
        c_dot = a_dot * re - b_dot * im + a * re_dot - b * im_dot
        b_dot = a_dot * im + b_dot * re + a * im_dot + b * re_dot
        a_dot = c_dot
        c = a * re - b * im
        b = a * im + b * re
        a = c


cdef void expand_tangents(
    Expansion *work, const ExpansionPlan *plan, const vec *type_tag
) noexcept nogil:
    """Fill the changes of the elements."""
    cdef const Rotations *rotations = &work.rotations
    cdef vec *powers = <vec *> work.powers
    cdef vec *dots = powers + power_row(plan)
    cdef vec *sums = <vec *> work.sums_dot
    cdef vec *elements = <vec *> work.elements_dot
    cdef int n = 2 * (plan.twojmax + 1), channel, k
    cdef vec one = splat(1, type_tag), zero = splat(0, type_tag)
    cdef Py_ssize_t v = 0
    for channel in range(plan.rotation.n_channels):
        set_zero(sums, plan.n_sums)
        while v < rotations.end[channel]:
            powers_of_neighbor(work, plan, v, powers)
            tangent_powers(
                dots, plan.twojmax, (<vec *> rotations.a_re)[v], (<vec *> rotations.a_im)[v],
                (<vec *> rotations.f)[v], (<vec *> rotations.a_re_dot)[v],
                (<vec *> rotations.a_im_dot)[v], (<vec *> rotations.f_dot)[v],
            )
            tangent_powers(
                dots + n, plan.twojmax, (<vec *> rotations.b_re)[v], (<vec *> rotations.b_im)[v],
                one, (<vec *> rotations.b_re_dot)[v], (<vec *> rotations.b_im_dot)[v], zero,
            )
            fill_slopes(
                dots + 2 * n, powers + 2 * n, plan.most_degrees, (<vec *> rotations.cosine)[v]
            )
            for k in range(plan.most_degrees):
                dots[2 * n + k] = dots[2 * n + k] * (<vec *> rotations.cosine_dot)[v]
            add_tangents(plan, powers, dots, sums)
            v += 1
        sums_to_elements(plan, sums, elements)
        elements += 2 * plan.n_elements


cdef inline void add_tangents(
    const ExpansionPlan *plan, const vec *powers, const vec *dots, vec *sums
) noexcept nogil:
    """Add the changes of one neighbor's products to the sums."""
    cdef const Block *block
    cdef Py_ssize_t i, a, b, t = 4 * (plan.twojmax + 1)
    cdef vec product, product_dot
    cdef int p, q, k, n
    for i in range(plan.n_blocks):
        block = &plan.blocks[i]
        n = parts(block.s) * parts(block.t)
        for p in range(parts(block.s)):
            for q in range(parts(block.t)):
                a = 2 * block.s + p
                b = 2 * (plan.twojmax + 1) + 2 * block.t + q
                product = powers[a] * powers[b]
                product_dot = dots[a] * powers[b] + powers[a] * dots[b]
                for k in range(block.n_degrees):
                    sums[k * n + p * parts(block.t) + q] += (
                        product_dot * powers[t + k] + product * dots[t + k]
                    )
        sums += block.n_degrees * n


# ---- vjp


cdef inline void block_gradient(
    int n_a, int n_b, int n_degrees, const vec *gradient, const vec *t, const vec *slopes,
    vec a_re, vec a_im, const vec *b, vec *by_a, vec *by_b, vec *by_x,
) noexcept nogil:
    """Add what a block adds to dE with respect to ā^s, b̄^t, and (times f ā^s) x.

    Inlined with constants. D[p * n_b + q] is that of part p of ā^s and part q of b̄^t.
    """
    cdef vec value[4]
    cdef vec slope[4]
    cdef vec a[2]
    cdef int n = n_a * n_b, k, p, q
    a[0] = a_re
    a[1] = a_im
    for p in range(n):
        value[p] = gradient[p]
        slope[p] = splat(0, t)
    if n_degrees > 1:
        for p in range(n):
            value[p] = value[p] + gradient[n + p] * t[1]
            slope[p] = gradient[n + p]
        for k in range(2, n_degrees):
            for p in range(n):
                value[p] = value[p] + gradient[k * n + p] * t[k]
                slope[p] = slope[p] + gradient[k * n + p] * slopes[k]
    for p in range(n_a):
        for q in range(n_b):
            by_a[p] = by_a[p] + value[p * n_b + q] * b[q]
            by_b[q] = by_b[q] + value[p * n_b + q] * a[p]
            if n_degrees > 1:
                by_x[p] = by_x[p] + slope[p * n_b + q] * b[q]


cdef inline void block_gradient_of_degrees(
    int n_a, int n_b, int n_degrees, const vec *gradient, const vec *t, const vec *slopes,
    vec a_re, vec a_im, const vec *b, vec *by_a, vec *by_b, vec *by_x,
) noexcept nogil:
    """Call the instance for this number of degrees."""
    if n_degrees == 1:
        block_gradient(n_a, n_b, 1, gradient, t, slopes, a_re, a_im, b, by_a, by_b, by_x)
    elif n_degrees == 2:
        block_gradient(n_a, n_b, 2, gradient, t, slopes, a_re, a_im, b, by_a, by_b, by_x)
    elif n_degrees == 3:
        block_gradient(n_a, n_b, 3, gradient, t, slopes, a_re, a_im, b, by_a, by_b, by_x)
    elif n_degrees == 4:
        block_gradient(n_a, n_b, 4, gradient, t, slopes, a_re, a_im, b, by_a, by_b, by_x)
    else:
        block_gradient(n_a, n_b, n_degrees, gradient, t, slopes, a_re, a_im, b, by_a, by_b, by_x)


cdef inline vec gradient_of_powers(
    const ExpansionPlan *plan, const vec *sums, const vec *powers, const vec *slopes, vec *by_power
) noexcept nogil:
    """Fill dE with respect to the powers of ā (without f) and of b̄; return that for x."""
    cdef int n = 2 * (plan.twojmax + 1), s = 0, k, n_degrees
    cdef const vec *t = powers + 2 * n
    cdef const vec *b
    cdef const Block *block = plan.blocks
    cdef const Block *last = plan.blocks + plan.n_blocks
    cdef vec zero = splat(0, by_power), by_x = zero, a_re, a_im
    cdef vec[2] by_a
    cdef vec[2] along
    cdef vec *by_b
    for k in range(n):
        by_power[n + k] = zero
    for s in range(plan.twojmax + 1):
        a_re, a_im = powers[2 * s], powers[2 * s + 1]
        by_a[0] = by_a[1] = along[0] = along[1] = zero
        while block < last and block.s == s:
            b = powers + n + 2 * block.t
            by_b = by_power + n + 2 * block.t
            n_degrees = block.n_degrees
            if s > 0 and block.t > 0:
                block_gradient_of_degrees(
                    2, 2, n_degrees, sums, t, slopes, a_re, a_im, b, by_a, by_b, along
                )
            elif s > 0:
                block_gradient_of_degrees(
                    2, 1, n_degrees, sums, t, slopes, a_re, a_im, b, by_a, by_b, along
                )
            elif block.t > 0:
                block_gradient_of_degrees(
                    1, 2, n_degrees, sums, t, slopes, a_re, a_im, b, by_a, by_b, along
                )
            else:
                block_gradient_of_degrees(
                    1, 1, n_degrees, sums, t, slopes, a_re, a_im, b, by_a, by_b, along
                )
            sums += n_degrees * parts(s) * parts(block.t)
            block += 1
        by_power[2 * s], by_power[2 * s + 1] = by_a[0], by_a[1]
        by_x = by_x + a_re * along[0] + a_im * along[1]
    return by_x


cdef inline void gradient_of_neighbor(
    const Expansion *work, const ExpansionPlan *plan, Py_ssize_t v, vec by_x, vec *dE_dr
) noexcept nogil:
    """Fill dE_dr, three vectors, from by_power and the derivative with respect to x."""
    cdef const Rotations *rotations = &work.rotations
    cdef const vec *by_power = <const vec *> work.by_power
    cdef vec zero = splat(0, dE_dr), a_re, a_im, b_re, b_im, f, along, ratio, x, y, z
    cdef vec h_re = zero, h_im = zero, d_re = zero, d_im = zero, swap
    cdef int n = 2 * (plan.twojmax + 1), k
    a_re, a_im = (<vec *> rotations.a_re)[v], (<vec *> rotations.a_im)[v]
    b_re, b_im = (<vec *> rotations.b_re)[v], (<vec *> rotations.b_im)[v]
    # dE = Re(h df) + Re(f h'(ā) dā) with h(ā) = Σ_s conj(by_power_s) ā^s; d is h'
    for k in range(plan.twojmax, -1, -1):
        swap = d_re * a_re - d_im * a_im + h_re
        d_im = d_re * a_im + d_im * a_re + h_im
        d_re = swap
        swap = h_re * a_re - h_im * a_im + by_power[2 * k]
        h_im = h_re * a_im + h_im * a_re - by_power[2 * k + 1]
        h_re = swap
    f = (<vec *> rotations.f)[v]
    d_re = d_re * f
    d_im = -d_im * f
    along = h_re * (<vec *> rotations.f_slope)[v] + d_re * (<vec *> rotations.a_slope)[v]
    # the same for b̄: h becomes the derivative
    h_re = h_im = zero
    for k in range(plan.twojmax, 0, -1):
        swap = h_re * b_re - h_im * b_im + splat(k, dE_dr) * by_power[n + 2 * k]
        h_im = h_re * b_im + h_im * b_re - splat(k, dE_dr) * by_power[n + 2 * k + 1]
        h_re = swap
    h_re = h_re - 4 * by_x * b_re
    h_im = -h_im - 4 * by_x * b_im
    x, y, z = (<vec *> rotations.x)[v], (<vec *> rotations.y)[v], (<vec *> rotations.z)[v]
    along = along + (<vec *> rotations.ratio_slope)[v] * (d_im * z + h_re * y + h_im * x)
    along = along / (<vec *> rotations.r)[v]
    ratio = (<vec *> rotations.ratio)[v]
    dE_dr[0] = ratio * h_im + along * x
    dE_dr[1] = ratio * h_re + along * y
    dE_dr[2] = ratio * d_im + along * z


cdef void expand_vjp(
    Expansion *work, const ExpansionPlan *plan, const Environment *group, Py_ssize_t stride,
    Py_ssize_t component, vec *out,
) noexcept nogil:
    """Write dE/dr_j of all neighbors, from ``work.gradient``, which belongs to all elements.

    Three numbers of each neighbor go to component, component + stride and component + 2 stride of
    its entry, which has 3 stride numbers.
    """
    cdef vec *powers = <vec *> work.powers
    cdef vec *slopes = powers + power_row(plan)
    cdef vec *sums = <vec *> work.sums
    cdef const vec *gradient = <const vec *> work.gradient
    cdef vec by_x
    cdef vec[3] dE_dr
    cdef Py_ssize_t v = 0, lane, j, at, lanes = lanes_of(out)
    cdef int channel, axis, n = 4 * (plan.twojmax + 1)
    for channel in range(plan.rotation.n_channels):
        elements_to_sums(plan, gradient, sums)
        while v < work.rotations.end[channel]:
            powers_of_neighbor(work, plan, v, powers)
            fill_slopes(slopes, powers + n, plan.most_degrees, (<vec *> work.rotations.cosine)[v])
            by_x = gradient_of_powers(plan, sums, powers, slopes, <vec *> work.by_power)
            gradient_of_neighbor(work, plan, v, by_x, dE_dr)
            for lane in range(lanes):
                j = work.rotations.source[v * lanes + lane]
                if j >= 0:
                    at = 3 * stride * group[lane].slot[j] + component
                    for axis in range(3):
                        put(out, at + axis * stride, get(&dE_dr[axis], lane))
            v += 1
        gradient += 2 * plan.n_elements
