"""Sums over neighbors of the elements of their rotations, without a recursion for the elements.

With Q in Chebyshev polynomials, coupling.py, elements are sums of products

    f ā^s · b̄^t · T_k(x)

and so are their sums over neighbors. For each block, s and t, and each degree k, the four real
products {Re, Im}(f ā^s) · {Re, Im}(b̄^t) · T_k are summed: a multiply-add each. (One or two where
s or t is 0: numbers to the power 0 have no imaginary part.) Each sum is turned into elements once,
not for each neighbor: element (s, t) from Re Re - Im Im and so on, and degree n from all k <= n.

The product of part p of ā^s and part q of b̄^t has number p n_b + q, see powers.pxd.
"""

from torchml_core.descriptors.bispectrum.kernel.powers cimport (
    chebyshev_of, fill_slopes, parts, power_row, powers_of_neighbor, set_zero,
)
from torchml_core.descriptors.bispectrum.kernel.rotations cimport lay_out_rotations
from torchml_core.simd.vectors cimport SIMD_BYTES, carve, put, splat, splat_at, vec

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


# ---- from sums to elements


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
