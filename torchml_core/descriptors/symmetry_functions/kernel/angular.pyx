"""g4 and g5 of one environment: sums over triplets, and their derivatives.

NOTATION  as in triplets.pyx: a triplet is cosθ, S and C. An *angular term*
a_s is one (ζ, λ), a group g the functions of one η:

    D_gs = Σ_t a_s(cosθ_t) e_g(t) C_t,    a_s = 2^(1-ζ) (1 + λ cosθ)^ζ,    e_g = exp(-η_g S)

What is shared is computed once per triplet: angular terms, whatever the number of η, and an
exponential for each η, whatever the number of angular terms. What is left for one function is one
multiply-add per triplet. For values it is the sum over triplets of a_s times (e_g C): four
functions at a time share one load of e_g C and have independent sums, as many as the processor's
pipeline is deep. For an energy it is the sum over the angular terms of one η,

    V_g = Σ_s (dE/dD_gs) a_s,   V'_g = Σ_s (dE/dD_gs) a'_s

from which follow  dE/dC = Σ_g e_g V_g,   dE/dcosθ = C Σ_g e_g V'_g,   dE/dS = -C Σ_g η_g e_g V_g:
three numbers per triplet, whatever the number of functions, are all that the gradient needs.

Gradients go through the squares of the three distances, u = R_j², v = R_k², w = R_jk²:
dE/dr_j = 2 E_u r_j + 2 E_w (r_j - r_k). So dE/dr_j is α r_j + γ r_k, and dE/dr_k is β r_k + γ r_j,
with

    γ = -2 E_w,    α = 2 E_u + 2 E_w,    β = 2 E_v + 2 E_w.

α and β are single numbers, added up for each neighbor and multiplied with its vector at the end.
With γ times the other's vector they are four numbers side by side, (α, γ x, γ y, γ z), added up
with one load and one store (quads.h).
"""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport fill_terms, term_of
from torchml_core.descriptors.symmetry_functions.kernel.triplets cimport (
    TRIPLETS_AT_ONCE, Cursor, Segment, Triplets, evaluate_cutoffs, lay_out_triplets,
    next_triplets,
)
from torchml_core.kernels.verbs cimport GRADIENTS, TANGENTS, VALUES
from torchml_core.simd.elementary cimport vexp
from torchml_core.simd.vectors cimport (
    MOST_LANES, carve, get, lanes_of, put, splat, splat_at, vec, vfloat, vmax, vsqrt,
)

cdef extern from "quads.h" nogil:
    void add_quads_d(
        double *sums, Py_ssize_t size, const double *places, const int32_t *j, const int32_t *k,
        const double *alpha, const double *beta, const double *gamma, Py_ssize_t n,
    )
    void add_quads_f(
        float *sums, Py_ssize_t size, const float *places, const int32_t *j, const int32_t *k,
        const float *alpha, const float *beta, const float *gamma, Py_ssize_t n,
    )


cdef void lay_out_angular(
    AngularScratch *work, Py_ssize_t most_terms, Py_ssize_t most_neighbors, char **free_bytes
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n_bytes = (TRIPLETS_AT_ONCE + MOST_LANES) * sizeof(double)
    lay_out_triplets(&work.triplets, free_bytes)
    work.values = carve(free_bytes, most_terms * n_bytes)
    work.slopes = carve(free_bytes, most_terms * n_bytes)
    work.logarithms = carve(free_bytes, n_bytes)
    work.first = carve(free_bytes, n_bytes)
    work.second = carve(free_bytes, n_bytes)
    work.by_cosine = carve(free_bytes, n_bytes)
    work.by_square = carve(free_bytes, n_bytes)
    work.by_cutoff = carve(free_bytes, n_bytes)
    work.alpha = work.by_square
    work.beta = work.by_cutoff
    work.gamma = work.by_cosine
    work.factors = carve(free_bytes, 9 * n_bytes)
    work.places = carve(free_bytes, 4 * most_neighbors * sizeof(double))
    work.gradient = carve(free_bytes, 4 * 4 * most_neighbors * sizeof(double))


# ---- values


cdef inline void add_four(
    const AngularBlock *block, AngularScratch *work, Py_ssize_t group, Py_ssize_t row, bint begin,
    vec *sums,
) noexcept nogil:
    """Add Σ_t e_g C a_s to the sums of rows row ... row + 3 in all channels, lane by lane.

    ``begin``: these are the first rows of the group, and e_g C is computed. Always inlined with a
    constant for it.
    """
    cdef const vec *a0 = term_of(block, work.values, row, sums)
    cdef const vec *a1 = term_of(block, work.values, row + 1, sums)
    cdef const vec *a2 = term_of(block, work.values, row + 2, sums)
    cdef const vec *a3 = term_of(block, work.values, row + 3, sums)
    cdef const vec *square = <const vec *> work.triplets.square
    cdef const vec *cutoff = <const vec *> work.triplets.cutoff
    cdef vec *factors = <vec *> work.first
    cdef const Segment *segment = work.triplets.segments
    cdef const Segment *end = segment + work.triplets.n_segments
    cdef vec eta = splat(-block.eta[group], sums), factor, s0, s1, s2, s3
    cdef vec *out
    cdef Py_ssize_t v, n_rows = block.n_rows
    while segment < end:
        out = sums + segment.channel * n_rows + row
        s0 = out[0]
        s1 = out[1]
        s2 = out[2]
        s3 = out[3]
        for v in range(segment.begin, segment.end):
            if begin:
                factor = vexp(eta * square[v]) * cutoff[v]
                factors[v] = factor
            else:
                factor = factors[v]
            s0 = s0 + factor * a0[v]
            s1 = s1 + factor * a1[v]
            s2 = s2 + factor * a2[v]
            s3 = s3 + factor * a3[v]
        out[0] = s0
        out[1] = s1
        out[2] = s2
        out[3] = s3
        segment += 1


cdef void angular_value(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work, vec *sums
) noexcept nogil:
    """Add the values, lane by lane, to ``sums`` (n_channels * n_rows,)."""
    cdef Cursor cursor = Cursor(0, 0, 0)
    cdef Py_ssize_t g, row
    while next_triplets(&block.which, neighborhood, VALUES, &cursor, &work.triplets, sums):
        evaluate_cutoffs(&block.which, &work.triplets, False, sums)
        fill_terms(block, work, False, sums)
        for g in range(block.n_groups):
            add_four(block, work, g, block.group[g], True, sums)
            for row in range(block.group[g] + 4, block.group[g + 1], 4):
                add_four(block, work, g, row, False, sums)


# ---- vjp


cdef inline void contract_four(
    const AngularBlock *block, AngularScratch *work, Py_ssize_t group, Py_ssize_t row, bint last,
    const vec *weights,
) noexcept nogil:
    """Add Σ w a_s and Σ w a'_s over rows row ... row + 3 to V and V'; ``last``: and use them.

    Always inlined with a constant ``last``.
    """
    cdef const vec *a0 = term_of(block, work.values, row, weights)
    cdef const vec *a1 = term_of(block, work.values, row + 1, weights)
    cdef const vec *a2 = term_of(block, work.values, row + 2, weights)
    cdef const vec *a3 = term_of(block, work.values, row + 3, weights)
    cdef const vec *d0 = term_of(block, work.slopes, row, weights)
    cdef const vec *d1 = term_of(block, work.slopes, row + 1, weights)
    cdef const vec *d2 = term_of(block, work.slopes, row + 2, weights)
    cdef const vec *d3 = term_of(block, work.slopes, row + 3, weights)
    cdef const vec *square = <const vec *> work.triplets.square
    cdef vec *value = <vec *> work.first
    cdef vec *slope = <vec *> work.second
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *by_cutoff = <vec *> work.by_cutoff
    cdef const Segment *segment = work.triplets.segments
    cdef const Segment *end = segment + work.triplets.n_segments
    cdef bint more = row > block.group[group]
    cdef Py_ssize_t first, v
    cdef vec eta = splat(-block.eta[group], weights), w0, w1, w2, w3, sum_a, sum_d, e
    while segment < end:
        first = segment.channel * block.n_rows + row
        w0 = splat_at(weights, first)
        w1 = splat_at(weights, first + 1)
        w2 = splat_at(weights, first + 2)
        w3 = splat_at(weights, first + 3)
        for v in range(segment.begin, segment.end):
            sum_a = (w0 * a0[v] + w1 * a1[v]) + (w2 * a2[v] + w3 * a3[v])
            sum_d = (w0 * d0[v] + w1 * d1[v]) + (w2 * d2[v] + w3 * d3[v])
            if more:
                sum_a = sum_a + value[v]
                sum_d = sum_d + slope[v]
            if last:
                e = vexp(eta * square[v])
                sum_a = e * sum_a
                by_cutoff[v] = by_cutoff[v] + sum_a
                by_square[v] = by_square[v] + eta * sum_a
                by_cosine[v] = by_cosine[v] + e * sum_d
            else:
                value[v] = sum_a
                slope[v] = sum_d
        segment += 1


cdef inline void contract(
    const AngularBlock *block, AngularScratch *work, const vec *weights
) noexcept nogil:
    """Fill by_cosine, by_square, by_cutoff; the first two without the factor C."""
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *by_cutoff = <vec *> work.by_cutoff
    cdef Py_ssize_t g, v, row
    for v in range(work.triplets.n // lanes_of(weights)):
        by_cosine[v] = by_square[v] = by_cutoff[v] = splat(0, weights)
    for g in range(block.n_groups):
        for row in range(block.group[g], block.group[g + 1] - 4, 4):
            contract_four(block, work, g, row, False, weights)
        contract_four(block, work, g, block.group[g + 1] - 4, True, weights)


cdef inline vec square_slope(double shift, vec inverse) noexcept nogil:
    """d(R - Rs)²/d(R²) = 1 - Rs/R."""
    if shift == 0:
        return splat(1, &inverse)
    return 1 - splat(shift, &inverse) * inverse


cdef inline vec square_slope_jk(const AngularBlock *block, vec square_jk) noexcept nogil:
    """The same for R_jk; 0 for g5, which does not depend on it."""
    cdef vec inverse
    if not block.which.with_jk:
        return splat(0, &square_jk)
    if block.which.shift == 0:
        return splat(1, &square_jk)
    inverse = 1 / vsqrt(vmax(square_jk, splat(1e-30, &square_jk)))
    return square_slope(block.which.shift, inverse)


cdef void chain(
    const AngularBlock *block, AngularScratch *work, const vec *type_tag
) noexcept nogil:
    """Fill alpha, beta, gamma from by_square, by_cutoff, by_cosine, which they overwrite."""
    cdef const Triplets *t = &work.triplets
    cdef const vec *square_jk = <const vec *> t.square_jk
    cdef const vec *inverse_j = <const vec *> t.inverse_j
    cdef const vec *inverse_k = <const vec *> t.inverse_k
    cdef const vec *fc = <const vec *> t.fc
    cdef const vec *fc_jk = <const vec *> t.fc_jk
    cdef const vec *slope_j = <const vec *> t.slope_j
    cdef const vec *slope_k = <const vec *> t.slope_k
    cdef const vec *slope_jk = <const vec *> t.slope_jk
    cdef const vec *cosine = <const vec *> t.cosine
    cdef const vec *cutoff = <const vec *> t.cutoff
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *by_cutoff = <vec *> work.by_cutoff
    cdef vec *alpha = by_square  # work.alpha, and so on
    cdef vec *beta = by_cutoff
    cdef vec *gamma = by_cosine
    cdef double shift = block.which.shift
    cdef vec e_cosine, e_square, e_cutoff, half, tilt
    cdef Py_ssize_t v
    for v in range(t.n // lanes_of(type_tag)):
        e_cosine = cutoff[v] * by_cosine[v]
        e_square = 2 * cutoff[v] * by_square[v]
        e_cutoff = 2 * by_cutoff[v]
        half = (
            e_square * square_slope_jk(block, square_jk[v])
            + e_cutoff * fc[v] * slope_jk[v]
        )
        tilt = e_cosine * cosine[v]
        alpha[v] = (
            half - tilt * inverse_j[v] * inverse_j[v]
            + e_square * square_slope(shift, inverse_j[v])
            + e_cutoff * fc_jk[v] * slope_j[v]
        )
        beta[v] = (
            half - tilt * inverse_k[v] * inverse_k[v]
            + e_square * square_slope(shift, inverse_k[v])
            + e_cutoff * fc_jk[v] * slope_k[v]
        )
        gamma[v] = e_cosine * inverse_j[v] * inverse_k[v] - half


cdef inline void start_gradient(
    AngularScratch *work, const Neighborhood *neighborhood, const vec *type_tag
) noexcept nogil:
    """Fill places, and gradient with zeros."""
    cdef vec *places = <vec *> work.places
    cdef vec *gradient = <vec *> work.gradient
    cdef Py_ssize_t i
    for i in range(4 * 4 * neighborhood.n // lanes_of(type_tag)):
        gradient[i] = splat(0, type_tag)
    for i in range(neighborhood.n):
        put(places, 4 * i, 1)
        put(places, 4 * i + 1, get(<const vec *> neighborhood.x, i))
        put(places, 4 * i + 2, get(<const vec *> neighborhood.y, i))
        put(places, 4 * i + 3, get(<const vec *> neighborhood.z, i))


cdef inline void scatter(
    AngularScratch *work, const Neighborhood *neighborhood, const vec *type_tag
) noexcept nogil:
    """Add α and β, and γ times the other's vector, to the gradient."""
    cdef const Triplets *t = &work.triplets
    if vec is vfloat:
        add_quads_f(
            <float *> work.gradient, 4 * neighborhood.n, <const float *> work.places, t.j, t.k,
            <const float *> work.alpha, <const float *> work.beta, <const float *> work.gamma, t.n,
        )
    else:
        add_quads_d(
            <double *> work.gradient, 4 * neighborhood.n, <const double *> work.places, t.j, t.k,
            <const double *> work.alpha, <const double *> work.beta, <const double *> work.gamma,
            t.n,
        )


cdef inline void add_gradient(
    AngularScratch *work, const Neighborhood *neighborhood, vec *along, vec *x, vec *y, vec *z
) noexcept nogil:
    cdef vec *gradient = <vec *> work.gradient
    cdef Py_ssize_t n = 4 * neighborhood.n // lanes_of(along), i
    for i in range(n):
        gradient[i] = (gradient[i] + gradient[n + i]) + (gradient[2 * n + i] + gradient[3 * n + i])
    for i in range(neighborhood.n):
        put(along, i, get(along, i) + get(gradient, 4 * i))
        put(x, i, get(x, i) + get(gradient, 4 * i + 1))
        put(y, i, get(y, i) + get(gradient, 4 * i + 2))
        put(z, i, get(z, i) + get(gradient, 4 * i + 3))


cdef void angular_vjp(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work,
    const vec *weights, vec *along, vec *x, vec *y, vec *z,
) noexcept nogil:
    """Add the gradient of Σ weights · values: along * r_j + (x, y, z), each (n,).

    ``weights`` (n_channels * n_rows,) are single numbers, 0 for rows that are padding.
    """
    cdef Cursor cursor = Cursor(0, 0, 0)
    start_gradient(work, neighborhood, weights)
    while next_triplets(&block.which, neighborhood, GRADIENTS, &cursor, &work.triplets, weights):
        evaluate_cutoffs(&block.which, &work.triplets, True, weights)
        fill_terms(block, work, True, weights)
        contract(block, work, weights)
        chain(block, work, weights)
        scatter(work, neighborhood, weights)
    add_gradient(work, neighborhood, along, x, y, z)


# ---- jvp


cdef inline void changes(
    const AngularBlock *block, AngularScratch *work, const vec *type_tag
) noexcept nogil:
    """Fill by_cosine, by_square, by_cutoff with C dcosθ, C dS, dC, d along the directions."""
    cdef const Triplets *t = &work.triplets
    cdef const vec *square_jk = <const vec *> t.square_jk
    cdef const vec *inverse_j = <const vec *> t.inverse_j
    cdef const vec *inverse_k = <const vec *> t.inverse_k
    cdef const vec *fc = <const vec *> t.fc
    cdef const vec *fc_jk = <const vec *> t.fc_jk
    cdef const vec *slope_j = <const vec *> t.slope_j
    cdef const vec *slope_k = <const vec *> t.slope_k
    cdef const vec *slope_jk = <const vec *> t.slope_jk
    cdef const vec *cosine = <const vec *> t.cosine
    cdef const vec *cutoff = <const vec *> t.cutoff
    cdef const vec *square_j_dot = <const vec *> t.square_j_dot
    cdef const vec *square_k_dot = <const vec *> t.square_k_dot
    cdef const vec *square_jk_dot = <const vec *> t.square_jk_dot
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *by_cutoff = <vec *> work.by_cutoff
    cdef double shift = block.which.shift
    cdef vec du, dv, dw, half
    cdef Py_ssize_t v
    for v in range(t.n // lanes_of(type_tag)):
        du = square_j_dot[v]
        dv = square_k_dot[v]
        dw = square_jk_dot[v]
        half = 0.5 * cutoff[v]
        by_cosine[v] = half * (
            (du + dv - dw) * inverse_j[v] * inverse_k[v]
            - cosine[v] * (du * inverse_j[v] * inverse_j[v] + dv * inverse_k[v] * inverse_k[v])
        )
        by_square[v] = cutoff[v] * (
            du * square_slope(shift, inverse_j[v])
            + dv * square_slope(shift, inverse_k[v])
            + dw * square_slope_jk(block, square_jk[v])
        )
        by_cutoff[v] = (
            fc_jk[v] * (slope_j[v] * du + slope_k[v] * dv)
            + fc[v] * slope_jk[v] * dw
        )


cdef inline void add_four_changes(
    const AngularBlock *block, AngularScratch *work, Py_ssize_t group, Py_ssize_t row, bint begin,
    vec *sums,
) noexcept nogil:
    """Add the changes of the sums of rows row ... row + 3 in all channels.

    Of one row: Σ_t e_g a'_s C dcosθ + e_g a_s (dC - η_g C dS). ``begin`` as for add_four.
    """
    cdef const vec *a0 = term_of(block, work.values, row, sums)
    cdef const vec *a1 = term_of(block, work.values, row + 1, sums)
    cdef const vec *a2 = term_of(block, work.values, row + 2, sums)
    cdef const vec *a3 = term_of(block, work.values, row + 3, sums)
    cdef const vec *d0 = term_of(block, work.slopes, row, sums)
    cdef const vec *d1 = term_of(block, work.slopes, row + 1, sums)
    cdef const vec *d2 = term_of(block, work.slopes, row + 2, sums)
    cdef const vec *d3 = term_of(block, work.slopes, row + 3, sums)
    cdef const vec *square = <const vec *> work.triplets.square
    cdef const vec *by_cosine = <const vec *> work.by_cosine
    cdef const vec *by_square = <const vec *> work.by_square
    cdef const vec *by_cutoff = <const vec *> work.by_cutoff
    cdef vec *of_slopes = <vec *> work.first
    cdef vec *of_values = <vec *> work.second
    cdef const Segment *segment = work.triplets.segments
    cdef const Segment *end = segment + work.triplets.n_segments
    cdef vec *out
    cdef vec eta = splat(-block.eta[group], sums), e, f, h, s0, s1, s2, s3, t0, t1, t2, t3
    cdef Py_ssize_t v, n_rows = block.n_rows
    while segment < end:
        out = sums + segment.channel * n_rows + row
        s0 = out[0]
        s1 = out[1]
        s2 = out[2]
        s3 = out[3]
        t0 = t1 = t2 = t3 = splat(0, sums)
        for v in range(segment.begin, segment.end):
            if begin:
                e = vexp(eta * square[v])
                f = e * by_cosine[v]
                h = e * (by_cutoff[v] + eta * by_square[v])
                of_slopes[v] = f
                of_values[v] = h
            else:
                f = of_slopes[v]
                h = of_values[v]
            s0 = s0 + f * d0[v]
            s1 = s1 + f * d1[v]
            s2 = s2 + f * d2[v]
            s3 = s3 + f * d3[v]
            t0 = t0 + h * a0[v]
            t1 = t1 + h * a1[v]
            t2 = t2 + h * a2[v]
            t3 = t3 + h * a3[v]
        out[0] = s0 + t0
        out[1] = s1 + t1
        out[2] = s2 + t2
        out[3] = s3 + t3
        segment += 1


cdef void angular_jvp(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work, vec *sums
) noexcept nogil:
    """Add the changes of the values along the directions, lane by lane."""
    cdef Cursor cursor = Cursor(0, 0, 0)
    cdef Py_ssize_t g, row
    while next_triplets(&block.which, neighborhood, TANGENTS, &cursor, &work.triplets, sums):
        evaluate_cutoffs(&block.which, &work.triplets, True, sums)
        fill_terms(block, work, True, sums)
        changes(block, work, sums)
        for g in range(block.n_groups):
            add_four_changes(block, work, g, block.group[g], True, sums)
            for row in range(block.group[g] + 4, block.group[g + 1], 4):
                add_four_changes(block, work, g, row, False, sums)
