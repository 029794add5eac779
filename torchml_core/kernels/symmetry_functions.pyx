"""Behler-Parrinello symmetry functions g1-g5 of one environment, and their derivatives.

    g1 = Σ_j fc(R_j)       g2 = Σ_j exp(-η (R_j - Rs)²) fc(R_j)       g3 = Σ_j cos(κ R_j) fc(R_j)
    g4 = Σ_{j<k} 2^(1-ζ) (1 + λ cosθ)^ζ exp(-η S) C
         S = (R_j - Rs)² + (R_k - Rs)² + (R_jk - Rs)²,   C = fc(R_j) fc(R_k) fc(R_jk)
    g5 = the same without R_jk in S and C

(J. Behler, J. Chem. Phys. 134, 074106 (2011).) How they are made fast stands where it is done:

    neighborhood.pyx   neighbors sorted by class into padded vectors, with fc
    triplets.pyx       pairs of neighbors within the cutoff into vectors without gaps
    radial.pyx         sums over neighbors
    shapes.pxd         powers of 1 + λ cosθ;   angular.pyx: sums over triplets
    cutoff.pxd         fc;   elementary.pxd: exp, log and powers, without a branch or a table

Here functions become *sums*: one for each function and channel (species of the neighbors, where
they are told apart), in the order that suits the loops, and padded; ``components`` says where a
sum goes. Sums are kept lane by lane until the end.
"""

from torchml_core.kernels.angular cimport (
    angular_jvp, angular_value, angular_vjp, lay_out_angular,
)
from torchml_core.kernels.angular_jacobian cimport angular_jacobian
from torchml_core.kernels.neighborhood cimport Neighborhood, fade, lay_out, settle
from torchml_core.kernels.radial cimport radial_jvp, radial_slope, radial_value, radial_vjp
from torchml_core.kernels.shapes cimport AngularScratch
from torchml_core.kernels.simd cimport (
    MOST_LANES, SIMD_BYTES, get, lanes_of, put, splat, take, total, vec,
)
from torchml_core.kernels.verbs cimport Environment, ScratchSize, Verb, Verbs


cdef struct Buffers:
    Neighborhood hood
    AngularScratch angular
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
    lay_out(&buffers.hood, n, plan.n_classes, &free_bytes)
    lay_out_angular(&buffers.angular, plan.most_shapes, &free_bytes)
    buffers.sums = take(&free_bytes, plan.n_sums * SIMD_BYTES)
    buffers.weights = take(&free_bytes, plan.n_sums * sizeof(double))
    buffers.along = take(&free_bytes, most)
    buffers.x = take(&free_bytes, most)
    buffers.y = take(&free_bytes, most)
    buffers.z = take(&free_bytes, most)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const SymmetryFunctionPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch an environment of n neighbors needs."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


cdef inline void begin(
    const SymmetryFunctionPlan *plan, const Environment *env, bint with_directions, void *scratch,
    Buffers *buffers, const vec *like,
) noexcept nogil:
    lay_out_buffers(plan, env.n, <char *> scratch, buffers)
    settle(&buffers.hood, env, plan.classes, plan.far, with_directions, like)


# ---- values and jvp


cdef inline void sums_of(
    const SymmetryFunctionPlan *plan, const Environment *env, bint tangent, void *scratch,
    vec *out,
) noexcept nogil:
    """``out`` (width,): the values, or their changes along the directions."""
    cdef Buffers buffers
    cdef Neighborhood *hood = &buffers.hood
    cdef const FunctionBlock *block
    cdef vec *sums
    cdef Py_ssize_t b, i
    begin(plan, env, tangent, scratch, &buffers, out)
    sums = <vec *> buffers.sums
    for i in range(plan.n_sums):
        sums[i] = splat(0, out)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if not block.centers[hood.center]:
            continue
        sums = <vec *> buffers.sums + block.first
        if block.is_angular:
            fade(hood, block.angular.which.fading, out)
            if tangent:
                angular_jvp(&block.angular, hood, &buffers.angular, sums)
            else:
                angular_value(&block.angular, hood, &buffers.angular, sums)
        else:
            fade(hood, block.radial.fading, out)
            if tangent:
                radial_jvp(&block.radial, hood, sums)
            else:
                radial_value(&block.radial, hood, sums)
    sums = <vec *> buffers.sums
    for i in range(plan.width):
        put(out, i, 0)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if block.centers[hood.center]:
            for i in range(block.first, block.first + block.n_sums):
                if plan.components[i] >= 0:
                    put(out, plan.components[i], total(sums[i]))


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
    cdef Neighborhood *hood = &buffers.hood
    cdef const FunctionBlock *block
    cdef vec *weights
    cdef vec *along
    cdef vec *x
    cdef vec *y
    cdef vec *z
    cdef Py_ssize_t b, i, j
    begin(plan, env, False, scratch, &buffers, out)
    weights = <vec *> buffers.weights
    along = <vec *> buffers.along
    x = <vec *> buffers.x
    y = <vec *> buffers.y
    z = <vec *> buffers.z
    for i in range(hood.n // lanes_of(out)):
        along[i] = x[i] = y[i] = z[i] = splat(0, out)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if not block.centers[hood.center]:
            continue
        for i in range(block.n_sums):
            j = plan.components[block.first + i]
            put(weights, i, get(dE_dD, j) if j >= 0 else 0)
        if block.is_angular:
            fade(hood, block.angular.which.fading, out)
            angular_vjp(&block.angular, hood, &buffers.angular, weights, along, x, y, z)
        else:
            fade(hood, block.radial.fading, out)
            radial_vjp(&block.radial, hood, weights, along)
    for i in range(hood.n // lanes_of(out)):
        x[i] = x[i] + along[i] * (<const vec *> hood.x)[i]
        y[i] = y[i] + along[i] * (<const vec *> hood.y)[i]
        z[i] = z[i] + along[i] * (<const vec *> hood.z)[i]
    for i in range(hood.n):
        j = hood.source[i]
        if j >= 0:
            j = 3 * env.slot[j]
            put(out, j, get(x, i))
            put(out, j + 1, get(y, i))
            put(out, j + 2, get(z, i))


# ---- jacobian: every component's gradient, for those who ask for it


cdef inline void radial_blocks(
    const FunctionBlock *block, const int32_t *components, const Environment *env,
    const Neighborhood *hood, Py_ssize_t width, vec *slope, vec *out,
) noexcept nogil:
    cdef Py_ssize_t row, c, i, at
    for row in range(block.radial.n_rows):
        radial_slope(&block.radial, hood, row, slope)
        for c in range(hood.n_classes):
            if block.radial.channels[c] < 0:
                continue
            for i in range(hood.begin[c], hood.end[c]):
                at = env.slot[hood.source[i]] * 3 * width
                at += components[block.radial.channels[c] * block.radial.n_rows + row]
                put(out, at, get(out, at) + get(slope, i) * get(<const vec *> hood.x, i))
                at += width
                put(out, at, get(out, at) + get(slope, i) * get(<const vec *> hood.y, i))
                at += width
                put(out, at, get(out, at) + get(slope, i) * get(<const vec *> hood.z, i))


cdef void jacobian(
    const SymmetryFunctionPlan *plan, const Environment *env, Py_ssize_t n_environments,
    void *scratch, vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Neighborhood *hood = &buffers.hood
    cdef const FunctionBlock *block
    cdef const int32_t *components
    cdef Py_ssize_t b, j, at
    for j in range(env.n):
        for at in range(3 * plan.width * env.slot[j], 3 * plan.width * (env.slot[j] + 1)):
            put(out, at, 0)
    begin(plan, env, False, scratch, &buffers, out)
    for b in range(plan.n_blocks):
        block = &plan.blocks[b]
        if not block.centers[hood.center]:
            continue
        components = plan.components + block.first
        if block.is_angular:
            fade(hood, block.angular.which.fading, out)
            angular_jacobian(
                &block.angular, hood, &buffers.angular, components, env.slot, plan.width, out
            )
        else:
            fade(hood, block.radial.fading, out)
            radial_blocks(
                block, components, env, hood, plan.width, <vec *> buffers.along, out
            )


cdef void fill_verbs(Verbs *verbs, const vec *like) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = 1
