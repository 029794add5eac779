"""Xi of a group of atoms: density coefficients, atom by atom, and their products, side by side.

    density/kernel/expansion.pyx   coefficients of one atom: vectors hold neighbors, or n
    products.pyx                   their products: a lane of a vector for each atom of the group

In between, the coefficients are put side by side: number (l² + l + m) n_max + n of each atom in its
lane. Lanes without an atom hold 0. For the Jacobian, lanes are the neighbors of one atom instead.
"""

from torchml_core.descriptors.density.kernel.expansion cimport (
    Expansion, ExpansionPlan, expand, expand_vjp, lay_out_expansion, n_vectors, rows_by_entry,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_gradients
from torchml_core.descriptors.xi.kernel.products cimport products, products_jvp, products_vjp
from torchml_core.kernels.verbs cimport (
    GRADIENTS, TANGENTS, VALUES, Environment, Purpose, ScratchSize, Verb, Verbs,
)
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, get, lanes_of, put, splat, store_at, transpose, vdouble, vec,
    vectors_for, vfloat,
)


cdef struct Buffers:
    Expansion[MOST_LANES] expansions  # of each atom of the group
    void *coefficients          # (n_coefficients,) of all atoms
    void *changes               # the same: their changes, or dE/dc
    void *sums                  # (n_sums,) of all atoms
    void *sum_changes           # the same: their changes, or dE/dsums
    void *values                # (width,) of all atoms: values, or dE/dD
    void *of_one                # (n_coefficients,) of one atom, in all lanes
    void *by_coefficient        # of one atom, as the expansion has them


cdef Py_ssize_t lay_out_buffers(
    const XiPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers, const vec *type_tag
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef const vdouble *widest = NULL
    cdef char *free_bytes = begin
    cdef Py_ssize_t lane
    for lane in range(lanes_of(type_tag)):
        lay_out_expansion(&buffers.expansions[lane], &plan.expansion, n, &free_bytes)
    buffers.coefficients = carve(&free_bytes, plan.products.n_coefficients * SIMD_BYTES)
    buffers.changes = carve(&free_bytes, plan.products.n_coefficients * SIMD_BYTES)
    buffers.of_one = carve(&free_bytes, plan.products.n_coefficients * SIMD_BYTES)
    buffers.sums = carve(&free_bytes, plan.products.n_sums * SIMD_BYTES)
    buffers.sum_changes = carve(&free_bytes, plan.products.n_sums * SIMD_BYTES)
    buffers.values = carve(&free_bytes, plan.products.width * SIMD_BYTES)
    buffers.by_coefficient = carve(&free_bytes, n_vectors(&plan.expansion, widest) * SIMD_BYTES)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(
    const XiPlan *plan, Py_ssize_t n, const vec *type_tag
) noexcept nogil:
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused, type_tag)


cdef Py_ssize_t scratch_size_single(const XiPlan *plan, Py_ssize_t n) noexcept nogil:
    return scratch_size(plan, n, <const vfloat *> NULL)


cdef Py_ssize_t scratch_size_double(const XiPlan *plan, Py_ssize_t n) noexcept nogil:
    return scratch_size(plan, n, <const vdouble *> NULL)


# ---- from the coefficients of one atom to those of the group, and back


cdef inline void put_lane(
    const ExpansionPlan *plan, const vec *coefficients, Py_ssize_t lane, vec *of_group
) noexcept nogil:
    """Copy the coefficients of an atom that occur in Xi into its lane."""
    cdef Py_ssize_t lanes = lanes_of(of_group), row = vectors_for(plan.n_max, of_group) * lanes
    cdef Py_ssize_t l, k, n
    for l in range(plan.l_max + 1):
        for k in range(l * l, (l + 1) * (l + 1)):
            for n in range(plan.table.n_of_l[l]):
                put(of_group, (k * plan.n_max + n) * lanes + lane, get(coefficients, k * row + n))


cdef inline void get_lane(
    const ExpansionPlan *plan, const vec *of_group, Py_ssize_t lane, vec *coefficients
) noexcept nogil:
    """The reverse; all other coefficients and the padding of the expansion are set to 0."""
    cdef Py_ssize_t lanes = lanes_of(of_group), row = vectors_for(plan.n_max, of_group) * lanes
    cdef Py_ssize_t l, k, n
    for k in range(n_vectors(plan, of_group)):
        coefficients[k] = splat(0, of_group)
    for l in range(plan.l_max + 1):
        for k in range(l * l, (l + 1) * (l + 1)):
            for n in range(plan.table.n_of_l[l]):
                put(coefficients, k * row + n, get(of_group, (k * plan.n_max + n) * lanes + lane))


cdef inline void expand_group(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, Purpose purpose,
    void *scratch, Buffers *buffers, const vec *type_tag,
) noexcept nogil:
    """Fill ``coefficients``; with TANGENTS, ``changes`` too."""
    cdef vec *coefficients
    cdef vec *changes
    cdef Expansion *work
    cdef Py_ssize_t most = 0, lane, k
    for lane in range(n_environments):
        most = max(most, group[lane].n)
    lay_out_buffers(plan, most, <char *> scratch, buffers, type_tag)
    coefficients = <vec *> buffers.coefficients
    changes = <vec *> buffers.changes
    for k in range(plan.products.n_coefficients):
        coefficients[k] = splat(0, type_tag)
        changes[k] = splat(0, type_tag)
    for lane in range(n_environments):
        # one after another in the same memory, unless they are needed again
        work = &buffers.expansions[lane if purpose == GRADIENTS else 0]
        expand(&plan.expansion, group + lane, purpose, work, type_tag)
        put_lane(&plan.expansion, <const vec *> work.coefficients, lane, coefficients)
        if purpose == TANGENTS:
            put_lane(&plan.expansion, <const vec *> work.changes, lane, changes)


cdef inline void write_values(
    const XiPlan *plan, const vec *values, Py_ssize_t n_environments, vec *out
) noexcept nogil:
    """From a lane for each atom to a row for each atom."""
    cdef Py_ssize_t lanes = lanes_of(out), width = plan.products.width, first = 0, lane, k
    cdef vec[MOST_LANES] rows
    while first + lanes <= width:
        transpose(rows, 1, values + first, 1)
        for lane in range(n_environments):
            store_at(out, lane * width + first, rows[lane])
        first += lanes
    for lane in range(n_environments):
        for k in range(first, width):
            put(out, lane * width + k, get(values, k * lanes + lane))


# ---- the verbs


cdef void value(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    expand_group(plan, group, n_environments, VALUES, scratch, &buffers, out)
    products(
        &plan.products, <const vec *> buffers.coefficients, <vec *> buffers.sums,
        <vec *> buffers.values,
    )
    write_values(plan, <const vec *> buffers.values, n_environments, out)


cdef void jvp(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    expand_group(plan, group, n_environments, TANGENTS, scratch, &buffers, out)
    products_jvp(
        &plan.products, <const vec *> buffers.coefficients, <const vec *> buffers.changes,
        <vec *> buffers.sums, <vec *> buffers.sum_changes, <vec *> buffers.values,
    )
    write_values(plan, <const vec *> buffers.values, n_environments, out)


cdef void vjp(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef vec *by_value
    cdef Py_ssize_t lanes = lanes_of(out), lane, k
    expand_group(plan, group, n_environments, GRADIENTS, scratch, &buffers, out)
    by_value = <vec *> buffers.values
    for k in range(plan.products.width):
        by_value[k] = splat(0, out)
    for lane in range(n_environments):
        for k in range(plan.products.width):
            put(by_value, k * lanes + lane, get(<const vec *> group[lane].dE_dD, k))
    products_vjp(
        &plan.products, <const vec *> buffers.coefficients, by_value, <vec *> buffers.sums,
        <vec *> buffers.sum_changes, <vec *> buffers.changes,
    )
    for lane in range(n_environments):
        get_lane(
            &plan.expansion, <const vec *> buffers.changes, lane, <vec *> buffers.by_coefficient
        )
        expand_vjp(
            &plan.expansion, group + lane, &buffers.expansions[lane],
            <const vec *> buffers.by_coefficient, out,
        )


# ---- jacobian


cdef inline void changes_along(
    const XiPlan *plan, Expansion *work, Py_ssize_t b, int axis, vec *changes
) noexcept nogil:
    """The derivative of every coefficient with respect to a coordinate of each entry of vector b.

    ``work.transposed`` and ``work.gradients`` are those of this vector.
    """
    cdef const ExpansionPlan *expansion = &plan.expansion
    cdef const vec *harmonics = <const vec *> work.harmonics + b * expansion.n_lm
    cdef const vec *gradient = <const vec *> work.gradients + axis * expansion.n_lm
    cdef const vec *rows = <const vec *> work.transposed
    cdef Py_ssize_t lanes = lanes_of(changes), n_of_l, k, n
    cdef vec r, along, norm
    cdef int l, m
    if axis == 0:
        r = (<const vec *> work.neighborhood.x)[b]
    elif axis == 1:
        r = (<const vec *> work.neighborhood.y)[b]
    else:
        r = (<const vec *> work.neighborhood.z)[b]
    for l in range(expansion.l_max + 1):
        n_of_l = expansion.table.n_of_l[l]
        for m in range(-l, l + 1):
            k = l * l + l + m
            norm = splat(expansion.norms[k], changes)
            along = 2 * norm * r * harmonics[k]
            norm = norm * splat(1 / expansion.cutoff, changes) * gradient[k]
            for n in range(n_of_l):
                changes[k * expansion.n_max + n] = norm * rows[2 * n] + along * rows[2 * n + 1]
        rows += 2 * lanes * vectors_for(n_of_l, changes)


cdef inline void jacobian_of_entries(
    const XiPlan *plan, const Environment *env, Buffers *buffers, Expansion *work, Py_ssize_t b,
    const vec *coefficients, vec *out,
) noexcept nogil:
    """The blocks of one vector of entries of an atom, whose coefficients are in all lanes."""
    cdef vec *changes = <vec *> buffers.changes
    cdef vec *values = <vec *> buffers.values
    cdef vec *gradients = <vec *> work.gradients
    cdef Py_ssize_t lanes = lanes_of(out), n_lm = plan.expansion.n_lm, j, k, lane, at
    cdef int axis
    solid_harmonics_gradients(
        plan.expansion.l_max, <const vec *> work.harmonics + b * n_lm,
        gradients, gradients + n_lm, gradients + 2 * n_lm,
    )
    rows_by_entry(&plan.expansion, work, b, out)
    for axis in range(3):
        changes_along(plan, work, b, axis, changes)
        products_jvp(
            &plan.products, coefficients, changes, <vec *> buffers.sums,
            <vec *> buffers.sum_changes, values,
        )
        for lane in range(lanes):
            j = work.neighborhood.source[b * lanes + lane]
            if j >= 0:
                at = (3 * env.slot[j] + axis) * plan.products.width
                for k in range(plan.products.width):
                    put(out, at + k, get(values, k * lanes + lane))


cdef void jacobian(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef vec *coefficients
    cdef Expansion *work
    cdef Py_ssize_t lane, b, k
    expand_group(plan, group, n_environments, GRADIENTS, scratch, &buffers, out)
    coefficients = <vec *> buffers.of_one
    for lane in range(n_environments):
        work = &buffers.expansions[lane]
        for k in range(plan.products.n_coefficients):
            coefficients[k] = splat(
                get(<const vec *> buffers.coefficients, k * lanes_of(out) + lane), out
            )
        for b in range(work.neighborhood.n // lanes_of(out)):
            jacobian_of_entries(plan, group + lane, &buffers, work, b, coefficients, out)


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    if vec is vfloat:
        verbs.scratch_size = <ScratchSize> scratch_size_single
    else:
        verbs.scratch_size = <ScratchSize> scratch_size_double
    verbs.group = lanes_of(type_tag)
