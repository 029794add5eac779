"""Density coefficients c_qnlm of one environment as values: see expansion.pyx.

Order of the values: q, n, l, m = -l ... l.
"""

from torchml_core.descriptors.density.kernel.expansion cimport (
    Expansion, ExpansionPlan, expand, expand_vjp, lay_out_expansion, n_vectors, weight_in_channel,
)
from torchml_core.descriptors.density.kernel.radial_table cimport row_length
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_gradients
from torchml_core.kernels.verbs cimport (
    GRADIENTS, TANGENTS, VALUES, Environment, Purpose, ScratchSize, Verb, Verbs,
)
from torchml_core.simd.vectors cimport (
    SIMD_BYTES, carve, get, lanes_of, put, splat, vdouble, vec, vectors_for,
)


cdef struct Buffers:
    Expansion expansion
    void *by_coefficient


cdef Py_ssize_t lay_out_buffers(
    const ExpansionPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef const vdouble *type_tag = NULL
    cdef char *free_bytes = begin
    lay_out_expansion(&buffers.expansion, plan, n, &free_bytes)
    buffers.by_coefficient = carve(&free_bytes, n_vectors(plan, type_tag) * SIMD_BYTES)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const ExpansionPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch an environment of n neighbors needs."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


# ---- value and jvp


cdef inline void coefficients_of(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, void *scratch, vec *out
) noexcept nogil:
    cdef Buffers buffers
    cdef const vec *coefficients
    cdef Py_ssize_t n = vectors_for(plan.n_max, out) * lanes_of(out), at = 0, q, i, k
    lay_out_buffers(plan, env.n, <char *> scratch, &buffers)
    expand(plan, env, purpose, &buffers.expansion, out)
    if purpose == TANGENTS:
        coefficients = <const vec *> buffers.expansion.changes
    else:
        coefficients = <const vec *> buffers.expansion.coefficients
    for q in range(plan.n_channels):
        for i in range(plan.n_max):
            for k in range(plan.n_lm):
                put(out, at, get(coefficients, (k * plan.n_channels + q) * n + i))
                at += 1


cdef void value(
    const ExpansionPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    coefficients_of(plan, env, VALUES, scratch, out)


cdef void jvp(
    const ExpansionPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    coefficients_of(plan, env, TANGENTS, scratch, out)


# ---- vjp


cdef void vjp(
    const ExpansionPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef const vec *dE_dD = <const vec *> env.dE_dD
    cdef Buffers buffers
    cdef vec *by_coefficient
    cdef Py_ssize_t n = vectors_for(plan.n_max, out) * lanes_of(out), at = 0, q, i, k
    lay_out_buffers(plan, env.n, <char *> scratch, &buffers)
    expand(plan, env, GRADIENTS, &buffers.expansion, out)
    by_coefficient = <vec *> buffers.by_coefficient
    for k in range(n_vectors(plan, out)):
        by_coefficient[k] = splat(0, out)
    for q in range(plan.n_channels):
        for i in range(plan.n_max):
            for k in range(plan.n_lm):
                put(by_coefficient, (k * plan.n_channels + q) * n + i, get(dE_dD, at))
                at += 1
    expand_vjp(plan, env, &buffers.expansion, by_coefficient, out)


# ---- jacobian


cdef inline void block_of_entry(
    const ExpansionPlan *plan, const Expansion *work, Py_ssize_t entry, int species,
    Py_ssize_t at, vec *out,
) noexcept nogil:
    """The (3, width) block of one entry, from ``at`` on; work.gradients are those of its vector."""
    cdef Py_ssize_t lanes = lanes_of(out), n = vectors_for(plan.n_max, out) * lanes
    cdef Py_ssize_t width = plan.n_channels * plan.n_max * plan.n_lm
    cdef Py_ssize_t row = entry * row_length(&plan.table, out) * lanes
    cdef const vec *harmonics = <const vec *> work.harmonics + entry // lanes * plan.n_lm
    cdef const vec *gradients = <const vec *> work.gradients
    cdef Py_ssize_t lane = entry % lanes, q, i, k, axis
    cdef double[3] r
    cdef double weight, f, slope, along
    cdef int l, m
    r[0] = get(<const vec *> work.neighborhood.x, entry)
    r[1] = get(<const vec *> work.neighborhood.y, entry)
    r[2] = get(<const vec *> work.neighborhood.z, entry)
    for q in range(plan.n_channels):
        weight = weight_in_channel(plan, species, q)
        for i in range(plan.n_max):
            for l in range(plan.l_max + 1):
                f = weight * get(<const vec *> work.rows, row + l * n + i) / plan.cutoff
                slope = 2 * weight * get(<const vec *> work.slopes, row + l * n + i)
                for m in range(-l, l + 1):
                    k = l * l + l + m
                    along = slope * get(harmonics, k * lanes + lane)
                    for axis in range(3):
                        put(out, at + axis * width, plan.norms[k] * (
                            r[axis] * along
                            + f * get(gradients, (axis * plan.n_lm + k) * lanes + lane)
                        ))
                    at += 1


cdef void jacobian(
    const ExpansionPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Expansion *work = &buffers.expansion
    cdef vec *gradients
    cdef Py_ssize_t width = plan.n_channels * plan.n_max * plan.n_lm, i, j
    lay_out_buffers(plan, env.n, <char *> scratch, &buffers)
    expand(plan, env, GRADIENTS, work, out)
    gradients = <vec *> work.gradients
    for i in range(work.neighborhood.n):
        if i % lanes_of(out) == 0:
            solid_harmonics_gradients(
                plan.l_max, <const vec *> work.harmonics + i // lanes_of(out) * plan.n_lm,
                gradients, gradients + plan.n_lm, gradients + 2 * plan.n_lm,
            )
        j = work.neighborhood.source[i]
        if j >= 0:
            block_of_entry(
                plan, work, i, env.neighbor_species[j], env.slot[j] * 3 * width, out
            )


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = 1
