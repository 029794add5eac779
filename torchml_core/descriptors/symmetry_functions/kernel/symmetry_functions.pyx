"""Symmetry functions of one environment, and their derivatives: g1-g5 of Behler and Parrinello.

    g1 = Σ_j fc(R_j)       g2 = Σ_j exp(-η (R_j - Rs)²) fc(R_j)       g3 = Σ_j cos(κ R_j) fc(R_j)
    g4 = Σ_{j<k} 2^(1-ζ) (1 + λ cosθ)^ζ exp(-η S) C
         S = (R_j - Rs)² + (R_k - Rs)² + (R_jk - Rs)²,   C = fc(R_j) fc(R_k) fc(R_jk)
    g5 = the same without R_jk in S and C

(J. Behler, J. Chem. Phys. 134, 074106 (2011).) How they are made fast is told where it is done:

    triplets.pyx                 pairs of neighbors within the cutoff in vectors without gaps
    radial.pyx                   sums over neighbors
    angular_terms.pxd            powers of 1 + λ cosθ
    angular.pyx                  sums over triplets;   angular_jacobian.pyx
    compact.pyx                  compact functions, c2, c4 and c5: sums over neighbors;
                                 compact_triplets.pyx, compact_angular.pyx and
                                 compact_vjp.pyx: over triplets;   compact_jacobian.pyx
    kernels/neighborhood.pyx     neighbors sorted by class into padded vectors;   cutoff.pxd: fc
    simd/elementary.pxd          exp, log and powers, without a branch or a table

Here functions become *sums*: one for each function and channel (species of the neighbors, where
they are told apart), in the order that suits the loops, and padded; ``components`` says which value
a sum is. Sums are kept lane by lane until the end.
"""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.angular cimport (
    angular_jvp, angular_value, angular_vjp, lay_out_angular,
)
from torchml_core.descriptors.symmetry_functions.kernel.angular_jacobian cimport angular_jacobian
from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport AngularScratch
from torchml_core.descriptors.symmetry_functions.kernel.compact cimport (
    CompactSet, RadialParts, compact_radial_jvp, compact_radial_value, compact_radial_vjp,
    fill_radial_parts, lay_out_radial_parts, order_by_distance,
)
from torchml_core.descriptors.symmetry_functions.kernel.compact_angular cimport (
    compact_angular_jvp, compact_angular_value,
)
from torchml_core.descriptors.symmetry_functions.kernel.compact_jacobian cimport compact_jacobian
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport (
    TripletScratch, lay_out_triplet_scratch,
)
from torchml_core.descriptors.symmetry_functions.kernel.compact_vjp cimport compact_angular_vjp
from torchml_core.descriptors.symmetry_functions.kernel.radial cimport (
    radial_jvp, radial_slope, radial_value, radial_vjp,
)
from torchml_core.kernels.neighborhood cimport (
    Neighborhood, apply_cutoff, lay_out_neighborhood, sort_into_classes,
)
from torchml_core.kernels.verbs cimport Environment, ScratchSize, Verb, Verbs
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, four_totals, get, lanes_of, put, splat, total, vec,
)


cdef struct Buffers:
    Neighborhood neighborhood
    AngularScratch angular
    RadialParts radial_parts    # these two are of compact functions
    TripletScratch triplets
    void *sums                  # (n_sums,) vectors
    void *weights               # (n_sums,) numbers
    void *along                 # (n,) numbers: the gradient is along * r_j + (x, y, z)
    void *x
    void *y
    void *z


cdef Py_ssize_t lay_out_buffers(
    const SymmetryFunctionPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef char *free_bytes = begin
    cdef Py_ssize_t most = (n + (plan.n_classes + 1) * MOST_LANES) * sizeof(double)
    lay_out_neighborhood(&buffers.neighborhood, n, plan.n_classes, &free_bytes)
    lay_out_angular(
        &buffers.angular, plan.most_terms, n + (plan.n_classes + 1) * MOST_LANES, &free_bytes
    )
    if plan.most_radials:
        lay_out_radial_parts(
            &buffers.radial_parts, n, plan.n_classes, plan.most_radials, plan.most_breaks,
            &free_bytes,
        )
        lay_out_triplet_scratch(&buffers.triplets, plan.most_compact_terms, &free_bytes)
    buffers.sums = carve(&free_bytes, plan.n_sums * SIMD_BYTES)
    buffers.weights = carve(&free_bytes, plan.n_sums * sizeof(double))
    buffers.along = carve(&free_bytes, most)
    buffers.x = carve(&free_bytes, most)
    buffers.y = carve(&free_bytes, most)
    buffers.z = carve(&free_bytes, most)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const SymmetryFunctionPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch an environment of n neighbors needs."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


cdef inline const Environment *begin(
    const SymmetryFunctionPlan *plan, const Environment *env, bint with_directions, void *scratch,
    Buffers *buffers, const vec *type_tag,
) noexcept nogil:
    """Fill the neighborhood; return the environment that it is of, in its order of neighbors."""
    cdef int block = plan.compact_block[plan.classes[env.species]]
    cdef const CompactSet *set = &plan.blocks[block].compact
    cdef RadialParts *parts = &buffers.radial_parts
    lay_out_buffers(plan, env.n, <char *> scratch, buffers)
    if block >= 0:
        order_by_distance(set, env, with_directions, parts)
        env = &parts.ordered
    sort_into_classes(&buffers.neighborhood, env, plan.classes, plan.far, with_directions, type_tag)
    if block >= 0:
        fill_radial_parts(set, &buffers.neighborhood, parts, type_tag)
    return env


# ---- values and jvp


cdef inline void compact_sums_of(
    const CompactSet *set, Buffers *buffers, bint tangent, vec *sums
) noexcept nogil:
    cdef const Neighborhood *neighborhood = &buffers.neighborhood
    cdef const RadialParts *parts = &buffers.radial_parts
    if tangent:
        compact_radial_jvp(set, neighborhood, parts, sums)
        compact_angular_jvp(set, neighborhood, parts, &buffers.triplets, sums)
    else:
        compact_radial_value(set, neighborhood, parts, sums)
        compact_angular_value(set, neighborhood, parts, &buffers.triplets, sums)


cdef inline void write_totals(
    const vec *sums, const int32_t *components, Py_ssize_t n, vec *out
) noexcept nogil:
    """The totals of n sums; the component of padding is -1."""
    cdef vec[2] totals  # at least four numbers
    cdef Py_ssize_t i = 0, k
    while i + 4 <= n:
        four_totals(sums + i, totals)
        for k in range(4):
            if components[i + k] >= 0:
                put(out, components[i + k], get(totals, k))
        i += 4
    while i < n:
        if components[i] >= 0:
            put(out, components[i], total(sums[i]))
        i += 1


cdef inline void sums_of(
    const SymmetryFunctionPlan *plan, const Environment *env, bint tangent, void *scratch,
    vec *out,
) noexcept nogil:
    """``out`` (width,): the values, or their changes along the directions."""
    cdef Buffers buffers
    cdef Neighborhood *neighborhood = &buffers.neighborhood
    cdef const FunctionBlock *block
    cdef vec *sums
    cdef Py_ssize_t b, i
    begin(plan, env, tangent, scratch, &buffers, out)
    sums = <vec *> buffers.sums
    for i in range(plan.n_sums):
        sums[i] = splat(0, out)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if not block.centers[neighborhood.center]:
            continue
        sums = <vec *> buffers.sums + block.first
        if block.is_compact:
            compact_sums_of(&block.compact, &buffers, tangent, sums)
        elif block.is_angular:
            apply_cutoff(neighborhood, block.angular.which.pair_cutoff, out)
            if tangent:
                angular_jvp(&block.angular, neighborhood, &buffers.angular, sums)
            else:
                angular_value(&block.angular, neighborhood, &buffers.angular, sums)
        else:
            apply_cutoff(neighborhood, block.radial.pair_cutoff, out)
            if tangent:
                radial_jvp(&block.radial, neighborhood, sums)
            else:
                radial_value(&block.radial, neighborhood, sums)
    sums = <vec *> buffers.sums
    for i in range(plan.width):
        put(out, i, 0)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if block.centers[neighborhood.center]:
            write_totals(sums + block.first, plan.components + block.first, block.n_sums, out)


cdef void value(
    const SymmetryFunctionPlan *plan, const Environment *env, Py_ssize_t n_environments,
    void *scratch, vec *out,
) noexcept nogil:
    sums_of(plan, env, False, scratch, out)


cdef void jvp(
    const SymmetryFunctionPlan *plan, const Environment *env, Py_ssize_t n_environments,
    void *scratch, vec *out,
) noexcept nogil:
    sums_of(plan, env, True, scratch, out)


# ---- vjp: contracted with dE/dD as it goes


cdef void vjp(
    const SymmetryFunctionPlan *plan, const Environment *env, Py_ssize_t n_environments,
    void *scratch, vec *out,
) noexcept nogil:
    cdef const vec *dE_dD = <const vec *> env.dE_dD
    cdef Buffers buffers
    cdef Neighborhood *neighborhood = &buffers.neighborhood
    cdef const FunctionBlock *block
    cdef vec *weights
    cdef vec *along
    cdef vec *x
    cdef vec *y
    cdef vec *z
    cdef Py_ssize_t b, i, j
    env = begin(plan, env, False, scratch, &buffers, out)
    weights = <vec *> buffers.weights
    along = <vec *> buffers.along
    x = <vec *> buffers.x
    y = <vec *> buffers.y
    z = <vec *> buffers.z
    for i in range(neighborhood.n // lanes_of(out)):
        along[i] = x[i] = y[i] = z[i] = splat(0, out)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if not block.centers[neighborhood.center]:
            continue
        for i in range(block.n_sums):
            j = plan.components[block.first + i]
            put(weights, i, get(dE_dD, j) if j >= 0 else 0)
        if block.is_compact:
            compact_radial_vjp(
                &block.compact, neighborhood, &buffers.radial_parts, weights, along
            )
            compact_angular_vjp(
                &block.compact, neighborhood, &buffers.radial_parts, &buffers.triplets, weights,
                along, x, y, z,
            )
        elif block.is_angular:
            apply_cutoff(neighborhood, block.angular.which.pair_cutoff, out)
            angular_vjp(&block.angular, neighborhood, &buffers.angular, weights, along, x, y, z)
        else:
            apply_cutoff(neighborhood, block.radial.pair_cutoff, out)
            radial_vjp(&block.radial, neighborhood, weights, along)
    for i in range(neighborhood.n // lanes_of(out)):
        x[i] = x[i] + along[i] * (<const vec *> neighborhood.x)[i]
        y[i] = y[i] + along[i] * (<const vec *> neighborhood.y)[i]
        z[i] = z[i] + along[i] * (<const vec *> neighborhood.z)[i]
    for i in range(neighborhood.n):
        j = neighborhood.source[i]
        if j >= 0:
            j = 3 * env.slot[j]
            put(out, j, get(x, i))
            put(out, j + 1, get(y, i))
            put(out, j + 2, get(z, i))


# ---- jacobian: every component's gradient, for those who ask for it


cdef inline void radial_blocks(
    const FunctionBlock *block, const int32_t *components, const Environment *env,
    const Neighborhood *neighborhood, Py_ssize_t width, vec *slope, vec *out,
) noexcept nogil:
    cdef Py_ssize_t row, c, i, at
    for row in range(block.radial.n_rows):
        radial_slope(&block.radial, neighborhood, row, slope)
        for c in range(neighborhood.n_classes):
            if block.radial.channels[c] < 0:
                continue
            for i in range(neighborhood.begin[c], neighborhood.end[c]):
                at = env.slot[neighborhood.source[i]] * 3 * width
                at += components[block.radial.channels[c] * block.radial.n_rows + row]
                put(out, at, get(out, at) + get(slope, i) * get(<const vec *> neighborhood.x, i))
                at += width
                put(out, at, get(out, at) + get(slope, i) * get(<const vec *> neighborhood.y, i))
                at += width
                put(out, at, get(out, at) + get(slope, i) * get(<const vec *> neighborhood.z, i))


cdef void jacobian(
    const SymmetryFunctionPlan *plan, const Environment *env, Py_ssize_t n_environments,
    void *scratch, vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Neighborhood *neighborhood = &buffers.neighborhood
    cdef const FunctionBlock *block
    cdef const int32_t *components
    cdef Py_ssize_t b, j, at
    for j in range(env.n):
        for at in range(3 * plan.width * env.slot[j], 3 * plan.width * (env.slot[j] + 1)):
            put(out, at, 0)
    env = begin(plan, env, False, scratch, &buffers, out)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if not block.centers[neighborhood.center]:
            continue
        components = plan.components + block.first
        if block.is_compact:
            compact_jacobian(
                &block.compact, neighborhood, &buffers.radial_parts, &buffers.triplets,
                components, env.slot, plan.width, out,
            )
        elif block.is_angular:
            apply_cutoff(neighborhood, block.angular.which.pair_cutoff, out)
            angular_jacobian(
                &block.angular, neighborhood, &buffers.angular, components, env.slot,
                plan.width, out,
            )
        else:
            apply_cutoff(neighborhood, block.radial.pair_cutoff, out)
            radial_blocks(
                block, components, env, neighborhood, plan.width, <vec *> buffers.along, out
            )


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = 1
