"""Density coefficients c_qnlm of a group of atoms as values: see coefficients.pyx.

Order of the values: q, n, l, m = -l ... l.
"""

from torchml_core.descriptors.density.kernel.coefficients cimport (
    Coefficients, coefficients_vjp, fill_coefficients, gather_gradients, lay_out_coefficients,
    most_neighbors, n_coefficients, write_rows,
)
from torchml_core.descriptors.density.kernel.expansion cimport (
    Expansion, ExpansionPlan, begin_expansion, weight_in_channel,
)
from torchml_core.descriptors.density.kernel.radial_table cimport (
    first_of_l, row_length, rows_and_slopes,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_gradients
from torchml_core.kernels.verbs cimport (
    GRADIENTS, TANGENTS, VALUES, Environment, Purpose, ScratchSize, Verb, Verbs,
)
from torchml_core.simd.vectors cimport SIMD_BYTES, carve, get, lanes_of, put, vec


cdef struct Buffers:
    Coefficients coefficients
    void *values                # (width,) of all atoms


cdef Py_ssize_t lay_out_buffers(
    const ExpansionPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef char *free_bytes = begin
    lay_out_coefficients(&buffers.coefficients, plan, n, &free_bytes)
    buffers.values = carve(&free_bytes, n_coefficients(plan) * SIMD_BYTES)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const ExpansionPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch environments of n neighbors need."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


# ---- value and jvp


cdef inline void coefficients_of(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments,
    Purpose purpose, void *scratch, vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef const vec *coefficients
    cdef vec *values
    cdef Py_ssize_t at = 0, width = n_coefficients(plan), row = plan.n_channels * plan.n_max, i, k
    lay_out_buffers(plan, most_neighbors(group, n_environments), <char *> scratch, &buffers)
    fill_coefficients(plan, group, n_environments, purpose, &buffers.coefficients, out)
    coefficients = <const vec *> buffers.coefficients.values
    if purpose == TANGENTS:
        coefficients = <const vec *> buffers.coefficients.changes
    values = <vec *> buffers.values
    for i in range(row):
        for k in range(plan.n_lm):
            values[at] = coefficients[k * row + i]
            at += 1
    write_rows(values, 0, width, width, n_environments, out, <vec *> NULL)


cdef void value(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    coefficients_of(plan, group, n_environments, VALUES, scratch, out)


cdef void jvp(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    coefficients_of(plan, group, n_environments, TANGENTS, scratch, out)


# ---- vjp


cdef void vjp(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    """Needs no coefficients: they are linear in the densities."""
    cdef Buffers buffers
    cdef vec *gradient
    cdef vec *values
    cdef Py_ssize_t at = 0, row = plan.n_channels * plan.n_max, i, k
    lay_out_buffers(plan, most_neighbors(group, n_environments), <char *> scratch, &buffers)
    gradient = <vec *> buffers.coefficients.gradient
    values = <vec *> buffers.values
    gather_gradients(group, n_environments, n_coefficients(plan), values)
    for i in range(row):
        for k in range(plan.n_lm):
            gradient[k * row + i] = values[at]
            at += 1
    coefficients_vjp(plan, group, n_environments, &buffers.coefficients, out)


# ---- jacobian


cdef inline void block_of_entry(
    const ExpansionPlan *plan, const Expansion *work, Py_ssize_t b, Py_ssize_t lane, int species,
    Py_ssize_t at, vec *out,
) noexcept nogil:
    """The (3, width) block of one entry of vector b, from ``at`` on; work has rows, slopes and
    gradients of this vector."""
    cdef Py_ssize_t lanes = lanes_of(out), row = lane * row_length(&plan.table, out) * lanes
    cdef Py_ssize_t width = n_coefficients(plan), q, i, k, axis, place
    cdef const vec *harmonics = <const vec *> work.harmonics + b * plan.n_lm
    cdef const vec *gradients = <const vec *> work.gradients
    cdef double[3] r
    cdef double weight, f, slope, along
    cdef int l, m
    r[0] = get(<const vec *> work.neighborhood.x, b * lanes + lane)
    r[1] = get(<const vec *> work.neighborhood.y, b * lanes + lane)
    r[2] = get(<const vec *> work.neighborhood.z, b * lanes + lane)
    for q in range(plan.n_channels):
        weight = weight_in_channel(plan, species, q)
        for i in range(plan.n_max):
            for l in range(plan.l_max + 1):
                place = row + first_of_l(&plan.table, l, out) + i
                f = get(<const vec *> work.rows, place)
                f = weight * f / plan.cutoff
                slope = 2 * weight * get(<const vec *> work.slopes, place)
                for m in range(-l, l + 1):
                    k = l * l + l + m
                    along = slope * get(harmonics, k * lanes + lane)
                    for axis in range(3):
                        put(out, at + axis * width, plan.norms[k] * (
                            r[axis] * along
                            + f * get(gradients, (axis * plan.n_lm + k) * lanes + lane)
                        ))
                    at += 1


cdef inline void entries_of_atom(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, vec *out
) noexcept nogil:
    cdef Py_ssize_t lanes = lanes_of(out), width = n_coefficients(plan), b, lane, j
    cdef vec *gradients
    begin_expansion(plan, env, GRADIENTS, work, out)
    gradients = <vec *> work.gradients
    for b in range(work.neighborhood.n // lanes):
        rows_and_slopes(
            &plan.table, &work.places, b * lanes, (b + 1) * lanes, <vec *> work.rows,
            <vec *> work.slopes,
        )
        solid_harmonics_gradients(
            plan.l_max, <const vec *> work.harmonics + b * plan.n_lm, gradients,
            gradients + plan.n_lm, gradients + 2 * plan.n_lm,
        )
        for lane in range(lanes):
            j = work.neighborhood.source[b * lanes + lane]
            if j >= 0:
                block_of_entry(
                    plan, work, b, lane, env.neighbor_species[j], env.slot[j] * 3 * width, out
                )


cdef void jacobian(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Py_ssize_t k
    lay_out_buffers(plan, most_neighbors(group, n_environments), <char *> scratch, &buffers)
    for k in range(n_environments):
        entries_of_atom(plan, group + k, &buffers.coefficients.expansion, out)


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = lanes_of(type_tag)
    verbs.jacobian_group = 1
