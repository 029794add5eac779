"""The bispectrum of a group of environments, one in each lane: the four verbs.

Neighbors become rotations (rotations.pyx), these are added up as elements of the matrices U
(expansion.pyx), and triple products of elements are the values (products.pyx). Each stage has a
derivative of its own. No stage mixes lanes, and in each lane neighbors are added in their order:
what is in the other lanes changes nothing, to the last bit.
"""

from torchml_core.descriptors.bispectrum.kernel.expansion cimport (
    Expansion, expand, expand_tangents, lay_out_expansion,
)
from torchml_core.descriptors.bispectrum.kernel.expansion_vjp cimport expand_vjp
from torchml_core.descriptors.bispectrum.kernel.products cimport (
    triple_products, triple_products_jvp, triple_products_vjp,
)
from torchml_core.descriptors.bispectrum.kernel.rotations cimport (
    gather_neighbors, map_onto_rotations,
)
from torchml_core.kernels.verbs cimport (
    GRADIENTS, TANGENTS, VALUES, Environment, Purpose, ScratchSize, Verb,
)
from torchml_core.simd.vectors cimport SIMD_BYTES, carve, get, lanes_of, put, splat, vec


cdef struct Buffers:
    Expansion expansion
    void *values                # (n_values,) of all triples and channels
    void *by_value              # dE with respect to them


cdef Py_ssize_t lay_out_buffers(
    const BispectrumPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef char *free_bytes = begin
    lay_out_expansion(&buffers.expansion, &plan.expansion, n, &free_bytes)
    buffers.values = carve(&free_bytes, plan.n_values * SIMD_BYTES)
    buffers.by_value = carve(&free_bytes, plan.n_values * SIMD_BYTES)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const BispectrumPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch environments of n neighbors need."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


cdef inline void begin(
    const BispectrumPlan *plan, const Environment *group, Py_ssize_t n_environments,
    Purpose purpose, void *scratch, Buffers *buffers, const vec *type_tag,
) noexcept nogil:
    """Fill the elements of all environments."""
    cdef Py_ssize_t longest = 0, k
    for k in range(n_environments):
        longest = max(longest, group[k].n)
    lay_out_buffers(plan, longest, <char *> scratch, buffers)
    gather_neighbors(
        &buffers.expansion.rotations, &plan.expansion.rotation, group, n_environments, type_tag
    )
    map_onto_rotations(
        &buffers.expansion.rotations, &plan.expansion.rotation, group, purpose, type_tag
    )
    expand(&buffers.expansion, &plan.expansion, group, n_environments, type_tag)


# ---- value and jvp


cdef void value(
    const BispectrumPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef const double *shifts
    cdef Py_ssize_t lane, k
    cdef double number
    begin(plan, group, n_environments, VALUES, scratch, &buffers, out)
    triple_products(
        &plan.products, <vec *> buffers.expansion.elements, <vec *> buffers.values
    )
    for lane in range(n_environments):
        shifts = plan.shifts + group[lane].species * plan.width
        for k in range(plan.width):
            number = 0
            if plan.sources[k] >= 0:
                number = get(<vec *> buffers.values, plan.sources[k] * lanes_of(out) + lane)
            put(out, lane * plan.width + k, plan.scales[k] * number - shifts[k])


cdef void jvp(
    const BispectrumPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Py_ssize_t lane, k
    cdef double number
    begin(plan, group, n_environments, TANGENTS, scratch, &buffers, out)
    expand_tangents(&buffers.expansion, &plan.expansion, out)
    triple_products_jvp(
        &plan.products, <vec *> buffers.expansion.elements,
        <vec *> buffers.expansion.elements_dot, <vec *> buffers.values,
    )
    for lane in range(n_environments):
        for k in range(plan.width):
            number = 0
            if plan.sources[k] >= 0:
                number = get(<vec *> buffers.values, plan.sources[k] * lanes_of(out) + lane)
            put(out, lane * plan.width + k, plan.scales[k] * number)


# ---- vjp and jacobian


cdef inline void gather_gradients(
    const BispectrumPlan *plan, const Environment *group, Py_ssize_t n_environments, vec *by_value
) noexcept nogil:
    """dE with respect to the values, of each environment in its lane."""
    cdef Py_ssize_t lane, k, at
    for k in range(plan.n_values):
        by_value[k] = splat(0, by_value)
    for lane in range(n_environments):
        for k in range(plan.width):
            if plan.sources[k] >= 0:
                at = plan.sources[k] * lanes_of(by_value) + lane
                put(
                    by_value, at,
                    get(by_value, at)
                    + plan.scales[k] * get(<const vec *> group[lane].dE_dD, k),
                )


cdef void vjp(
    const BispectrumPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    begin(plan, group, n_environments, GRADIENTS, scratch, &buffers, out)
    gather_gradients(plan, group, n_environments, <vec *> buffers.by_value)
    triple_products_vjp(
        &plan.products, <vec *> buffers.expansion.elements, <vec *> buffers.by_value, -1,
        <vec *> buffers.expansion.gradient,
    )
    if group[0].energy != NULL:
        fill_energies(plan, group, n_environments, &buffers.expansion, out)
    expand_vjp(&buffers.expansion, &plan.expansion, group, 1, 0, out)


cdef inline void fill_energies(
    const BispectrumPlan *plan, const Environment *group, Py_ssize_t n_environments,
    const Expansion *expansion, const vec *type_tag,
) noexcept nogil:
    """Σ_k dE/dD_k D_k: a third of elements times gradient, since values are of third degree."""
    cdef const vec *elements = <const vec *> expansion.elements
    cdef const vec *gradient = <const vec *> expansion.gradient
    cdef const double *shifts
    cdef vec sum = splat(0, type_tag)
    cdef Py_ssize_t lane, k
    cdef double energy
    for k in range(plan.products.n_channels * plan.products.n_elements * 2):
        sum = sum + elements[k] * gradient[k]
    for lane in range(n_environments):
        energy = get(&sum, lane) / 3
        shifts = plan.shifts + group[lane].species * plan.width
        for k in range(plan.width):
            energy -= shifts[k] * get(<const vec *> group[lane].dE_dD, k)
        group[lane].energy[0] = energy


cdef void jacobian(
    const BispectrumPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    """Component by component, as vjp with a gradient that is 0 for all others."""
    cdef Buffers buffers
    cdef vec *by_value
    cdef Py_ssize_t k, lane, j, axis
    begin(plan, group, n_environments, GRADIENTS, scratch, &buffers, out)
    by_value = <vec *> buffers.by_value
    for k in range(plan.n_values):
        by_value[k] = splat(0, out)
    for k in range(plan.width):
        if plan.sources[k] < 0:
            for lane in range(n_environments):
                for j in range(group[lane].n):
                    for axis in range(3):
                        put(out, (3 * group[lane].slot[j] + axis) * plan.width + k, 0)
            continue
        by_value[plan.sources[k]] = splat(plan.scales[k], out)
        triple_products_vjp(
            &plan.products, <vec *> buffers.expansion.elements, by_value,
            plan.sources[k] % plan.products.n_triples, <vec *> buffers.expansion.gradient,
        )
        by_value[plan.sources[k]] = splat(0, out)
        expand_vjp(&buffers.expansion, &plan.expansion, group, plan.width, k, out)


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = lanes_of(type_tag)
    verbs.with_energies = True
