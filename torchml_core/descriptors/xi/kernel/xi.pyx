"""Xi of a group of atoms, one in each lane.

    density/kernel/coefficients.pyx   density coefficients
    products.pyx                      their products

For the Jacobian, lanes are the neighbors of one atom instead. What is kept from values to their vjp
are the coefficients.
"""

from torchml_core.descriptors.density.kernel.coefficients cimport (
    Coefficients, coefficients_vjp, fill_coefficients, gather_gradients, lay_out_coefficients,
    most_neighbors, n_coefficients, write_rows,
)
from torchml_core.descriptors.density.kernel.expansion cimport Expansion, ExpansionPlan
from torchml_core.descriptors.density.kernel.radial_table cimport (
    RadialTable, first_of_l, row_length, rows_and_slopes,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_gradients
from torchml_core.descriptors.xi.kernel.products cimport products, products_jvp, products_vjp
from torchml_core.kernels.verbs cimport (
    GRADIENTS, TANGENTS, VALUES, Environment, KeptSize, Purpose, ScratchSize, Verb, Verbs,
)
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, get, lanes_of, put, splat, transpose, vdouble, vec, vfloat,
)


cdef struct Buffers:
    Coefficients coefficients
    void *sums                  # (n_sums,) of all atoms
    void *sum_changes           # the same: their changes, or dE/dsums
    void *values                # (width,) of all atoms: values, or dE/dD
    void *of_one                # (n_coefficients,) of one atom, in all lanes
    void *rows                  # (functions,) of one vector of entries
    void *slopes


cdef Py_ssize_t lay_out_buffers(
    const XiPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef Py_ssize_t of_one = plan.products.n_coefficients * SIMD_BYTES
    cdef const vdouble *type_tag = NULL
    cdef const vfloat *single_tag = NULL
    cdef const RadialTable *table = &plan.expansion.table
    cdef Py_ssize_t functions = MOST_LANES + max(
        first_of_l(table, table.n_l, type_tag), first_of_l(table, table.n_l, single_tag)
    )
    cdef char *free_bytes = begin
    lay_out_coefficients(&buffers.coefficients, &plan.expansion, n, &free_bytes)
    buffers.sums = carve(&free_bytes, plan.products.n_sums * SIMD_BYTES)
    buffers.sum_changes = carve(&free_bytes, plan.products.n_sums * SIMD_BYTES)
    buffers.values = carve(&free_bytes, plan.products.width * SIMD_BYTES)
    buffers.of_one = carve(&free_bytes, of_one)
    buffers.rows = carve(&free_bytes, functions * SIMD_BYTES)
    buffers.slopes = carve(&free_bytes, functions * SIMD_BYTES)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const XiPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch environments of n neighbors need."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


cdef Py_ssize_t kept_size(const XiPlan *plan) noexcept nogil:
    """Coefficients."""
    return n_coefficients(&plan.expansion) * SIMD_BYTES


cdef inline void begin(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, Purpose purpose,
    void *scratch, Buffers *buffers, const vec *type_tag,
) noexcept nogil:
    """Fill the coefficients of all atoms, unless they are those that are kept."""
    lay_out_buffers(plan, most_neighbors(group, n_environments), <char *> scratch, buffers)
    if group[0].kept != NULL:
        buffers.coefficients.values = group[0].kept
        if purpose == GRADIENTS:
            return
    fill_coefficients(
        &plan.expansion, group, n_environments, purpose, &buffers.coefficients, type_tag
    )


# ---- the verbs


cdef void value(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Py_ssize_t width = plan.products.width
    begin(plan, group, n_environments, VALUES, scratch, &buffers, out)
    products(
        &plan.products, <const vec *> buffers.coefficients.values, <vec *> buffers.sums,
        <vec *> buffers.values,
    )
    write_rows(
        <const vec *> buffers.values, 0, width, width, n_environments, out, <vec *> NULL
    )


cdef void jvp(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Py_ssize_t width = plan.products.width
    begin(plan, group, n_environments, TANGENTS, scratch, &buffers, out)
    products_jvp(
        &plan.products, <const vec *> buffers.coefficients.values,
        <const vec *> buffers.coefficients.changes, <vec *> buffers.sums,
        <vec *> buffers.sum_changes, <vec *> buffers.values,
    )
    write_rows(
        <const vec *> buffers.values, 0, width, width, n_environments, out, <vec *> NULL
    )


cdef void vjp(
    const XiPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    begin(plan, group, n_environments, GRADIENTS, scratch, &buffers, out)
    gather_gradients(group, n_environments, plan.products.width, <vec *> buffers.values)
    products_vjp(
        &plan.products, <const vec *> buffers.coefficients.values, <const vec *> buffers.values,
        <vec *> buffers.sums, <vec *> buffers.sum_changes, <vec *> buffers.coefficients.gradient,
    )
    coefficients_vjp(&plan.expansion, group, n_environments, &buffers.coefficients, out)


# ---- jacobian


cdef inline void transpose_rows(
    const XiPlan *plan, Expansion *work, Py_ssize_t b, vec *rows, vec *slopes
) noexcept nogil:
    """Of one vector of entries: ``rows`` and ``slopes`` (functions,)."""
    cdef Py_ssize_t lanes = lanes_of(rows), length = row_length(&plan.expansion.table, rows), v
    cdef vec *of_entries = <vec *> work.rows
    cdef vec *slopes_of_entries = <vec *> work.slopes
    rows_and_slopes(
        &plan.expansion.table, &work.places, b * lanes, (b + 1) * lanes, of_entries,
        slopes_of_entries,
    )
    for v in range(length):
        transpose(rows + v * lanes, 1, of_entries + v, length)
        transpose(slopes + v * lanes, 1, slopes_of_entries + v, length)


cdef inline void changes_along(
    const XiPlan *plan, const Buffers *buffers, const Expansion *work, Py_ssize_t b, int axis,
    vec *changes,
) noexcept nogil:
    """The derivative of every coefficient with respect to a coordinate of each entry of vector b.

    ``rows``, ``slopes`` and ``work.gradients`` are those of this vector.
    """
    cdef const ExpansionPlan *expansion = &plan.expansion
    cdef const vec *harmonics = <const vec *> work.harmonics + b * expansion.n_lm
    cdef const vec *gradient = <const vec *> work.gradients + axis * expansion.n_lm
    cdef const vec *rows
    cdef const vec *slopes
    cdef Py_ssize_t n_of_l, k, n
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
        rows = <const vec *> buffers.rows + first_of_l(&expansion.table, l, changes)
        slopes = <const vec *> buffers.slopes + first_of_l(&expansion.table, l, changes)
        for m in range(-l, l + 1):
            k = l * l + l + m
            norm = splat(expansion.norms[k], changes)
            along = 2 * norm * r * harmonics[k]
            norm = norm * splat(1 / expansion.cutoff, changes) * gradient[k]
            for n in range(n_of_l):
                changes[k * expansion.n_max + n] = norm * rows[n] + along * slopes[n]


cdef inline void jacobian_of_entries(
    const XiPlan *plan, const Environment *env, Buffers *buffers, Expansion *work, Py_ssize_t b,
    const vec *coefficients, vec *out,
) noexcept nogil:
    """The blocks of one vector of entries of an atom, whose coefficients are in all lanes."""
    cdef vec *changes = <vec *> buffers.coefficients.changes
    cdef vec *values = <vec *> buffers.values
    cdef vec *gradients = <vec *> work.gradients
    cdef Py_ssize_t lanes = lanes_of(out), n_lm = plan.expansion.n_lm, j, k, lane, at
    cdef int axis
    solid_harmonics_gradients(
        plan.expansion.l_max, <const vec *> work.harmonics + b * n_lm,
        gradients, gradients + n_lm, gradients + 2 * n_lm,
    )
    transpose_rows(plan, work, b, <vec *> buffers.rows, <vec *> buffers.slopes)
    for axis in range(3):
        changes_along(plan, buffers, work, b, axis, changes)
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
    """Of one atom after another: ``expansion`` is that of the coefficients."""
    cdef Buffers buffers
    cdef vec *coefficients
    cdef Expansion *work = &buffers.coefficients.expansion
    cdef Py_ssize_t i, b, k
    for i in range(n_environments):
        begin(plan, group + i, 1, VALUES, scratch, &buffers, out)
        coefficients = <vec *> buffers.of_one
        for k in range(plan.products.n_coefficients):
            coefficients[k] = splat(
                get(<const vec *> buffers.coefficients.values, k * lanes_of(out)), out
            )
        for b in range(work.neighborhood.n // lanes_of(out)):
            jacobian_of_entries(plan, group + i, &buffers, work, b, coefficients, out)


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.kept_size = <KeptSize> kept_size
    verbs.group = lanes_of(type_tag)
    verbs.jacobian_group = 1
