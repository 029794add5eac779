"""The gradient of an energy with respect to neighbors, from that with respect to elements.

It goes the way of expansion.pyx back. Of all sums' gradients G, for each neighbor and block

    D = Σ_k G_k T_k(x)   and   D' = Σ_k G_k T'_k(x)

are what products of powers are multiplied with in dE; from them follow dE with respect to ā^s, b̄^t
and x, and at the end to ā, b̄ and f, by Horner's scheme. (See powers.pxd for the notation.)
"""

from torchml_core.descriptors.bispectrum.kernel.expansion cimport Block, Expansion, ExpansionPlan
from torchml_core.descriptors.bispectrum.kernel.powers cimport (
    chebyshev_of, fill_slopes, parts, power_row, powers_of_neighbor, set_zero,
)
from torchml_core.descriptors.bispectrum.kernel.rotations cimport Rotations
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport get, lanes_of, put, splat, splat_at, vec

# Loops over a constant number of sums are unrolled only in functions that are inlined: compilers
# must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """


# ---- from elements to sums


cdef inline void elements_to_sums(
    const ExpansionPlan *plan, const vec *gradient, vec *sums
) noexcept nogil:
    """The transpose of sums_to_elements, for dE with respect to both."""
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


# ---- one neighbor


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
