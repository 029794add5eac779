"""Density coefficients of a group of atoms, one in each lane, and the gradient of an energy.

    c_qnlm = Σ_z W_zq d_znlm

The sums d over the neighbors are those of one atom after another (expansion.pyx), since atoms have
different numbers of neighbors of each species. Then they are put side by side: what follows has no
sums across lanes, whatever n_max is, and results of an atom do not depend on the other lanes.
"""

from torchml_core.descriptors.density.kernel.expansion cimport (
    density_vectors, expand, lay_out_expansion, padded_n,
)
from torchml_core.descriptors.density.kernel.expansion_vjp cimport expand_vjp
from torchml_core.descriptors.density.kernel.radial_table cimport first_of_l
from torchml_core.kernels.verbs cimport TANGENTS
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, get, lanes_of, load_at, put, splat, store_at, store_past,
    transpose, vdouble, vec, vfloat,
)


cdef void lay_out_coefficients(
    Coefficients *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil:
    """Cut the arrays for atoms of n neighbors off the scratch buffer, for either precision."""
    cdef const vdouble *type_tag = NULL
    cdef const vfloat *single_tag = NULL
    cdef Py_ssize_t most = max(
        density_vectors(plan, type_tag), density_vectors(plan, single_tag)
    ) * MOST_LANES * SIMD_BYTES
    cdef Py_ssize_t n_bytes = n_coefficients(plan) * SIMD_BYTES
    lay_out_expansion(&work.expansion, plan, n, free_bytes)
    work.of_atoms = carve(free_bytes, most)
    work.changes_of_atoms = carve(free_bytes, most)
    work.densities = carve(free_bytes, most)
    work.values = carve(free_bytes, n_bytes)
    work.changes = carve(free_bytes, n_bytes)
    work.gradient = carve(free_bytes, n_bytes)


cdef Py_ssize_t most_neighbors(const Environment *group, Py_ssize_t n_environments) noexcept nogil:
    cdef Py_ssize_t most = 0, k
    for k in range(n_environments):
        most = max(most, group[k].n)
    return most


# ---- from densities to coefficients


cdef inline void side_by_side(
    Py_ssize_t n_vectors, const vec *of_atoms, Py_ssize_t begin, Py_ssize_t end, vec *out
) noexcept nogil:
    """Vectors begin ... end - 1 of ``of_atoms`` (lanes, n_vectors): the rows of all atoms."""
    cdef Py_ssize_t v
    for v in range(begin, end):
        transpose(out, 1, of_atoms + v, n_vectors)
        out += lanes_of(out)


cdef inline void into_channels(
    const ExpansionPlan *plan, const vec *densities, vec *out
) noexcept nogil:
    """From species to channels; functions that an l lacks get 0."""
    cdef Py_ssize_t padded = padded_n(plan, out), n_max = plan.n_max, n_of_l, q, species, n
    cdef vec weight
    cdef int l
    for l in range(plan.l_max + 1):
        n_of_l = plan.table.n_of_l[l]
        for _ in range(2 * l + 1):
            for q in range(plan.n_channels):
                if plan.species_weights == NULL:
                    for n in range(n_of_l):
                        out[n] = densities[q * padded + n]
                else:
                    for n in range(n_of_l):
                        out[n] = splat(0, out)
                    for species in range(plan.n_species):
                        weight = splat(
                            plan.species_weights[species * plan.n_channels + q], out
                        )
                        for n in range(n_of_l):
                            out[n] = out[n] + weight * densities[species * padded + n]
                for n in range(n_of_l, n_max):
                    out[n] = splat(0, out)
                out += n_max
            densities += plan.n_species * padded


cdef inline bint are_coefficients(const ExpansionPlan *plan, const vec *type_tag) noexcept nogil:
    """Whether densities are coefficients already: a channel per species, and no gaps."""
    return (
        plan.species_weights == NULL and padded_n(plan, type_tag) == plan.n_max
        and first_of_l(&plan.table, plan.table.n_l, type_tag) == plan.n_max * plan.table.n_l
    )


cdef inline void coefficients_of_atoms(
    const ExpansionPlan *plan, Py_ssize_t n_environments, vec *of_atoms, Coefficients *work,
    vec *out,
) noexcept nogil:
    """From the densities of each atom to ``out`` of all atoms; lanes without an atom get 0."""
    cdef Py_ssize_t n_vectors = density_vectors(plan, out), lanes = lanes_of(out), v, whole = 0
    cdef vec *densities = <vec *> work.densities
    for v in range(n_environments * n_vectors, lanes * n_vectors):
        of_atoms[v] = splat(0, out)
    if not are_coefficients(plan, out):
        side_by_side(n_vectors, of_atoms, 0, n_vectors, densities)
        into_channels(plan, densities, out)
        return
    whole = n_coefficients(plan) // lanes
    side_by_side(n_vectors, of_atoms, 0, whole, out)
    side_by_side(n_vectors, of_atoms, whole, n_vectors, densities)
    for v in range(n_coefficients(plan) - whole * lanes):
        out[whole * lanes + v] = densities[v]


cdef void fill_coefficients(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments,
    Purpose purpose, Coefficients *work, const vec *type_tag,
) noexcept nogil:
    """Fill ``values``; with TANGENTS, ``changes`` too.

    With VALUES ``expansion`` is left as begin_expansion fills it for the last atom.
    """
    cdef Py_ssize_t n_vectors = density_vectors(plan, type_tag), lane
    cdef vec *of_atoms = <vec *> work.of_atoms
    cdef vec *changes = <vec *> work.changes_of_atoms
    for lane in range(n_environments):
        expand(
            plan, group + lane, purpose, &work.expansion,
            of_atoms + lane * n_vectors, changes + lane * n_vectors,
        )
    coefficients_of_atoms(plan, n_environments, of_atoms, work, <vec *> work.values)
    if purpose == TANGENTS:
        coefficients_of_atoms(plan, n_environments, changes, work, <vec *> work.changes)


# ---- and back


cdef inline void from_channels(
    const ExpansionPlan *plan, const vec *gradient, vec *out
) noexcept nogil:
    """From dE/dc to dE/dd times the norms, with zeros in padding."""
    cdef Py_ssize_t padded = padded_n(plan, out), n_max = plan.n_max, k, q, species, n
    cdef Py_ssize_t row = plan.n_channels * n_max
    cdef vec norm, weight
    for k in range(plan.n_lm):
        norm = splat(plan.norms[k], out)
        for species in range(plan.n_species):
            for n in range(padded):
                out[n] = splat(0, out)
            for q in range(plan.n_channels):
                if plan.species_weights == NULL:
                    if q == species:
                        for n in range(n_max):
                            out[n] = norm * gradient[q * n_max + n]
                else:
                    weight = norm * splat(
                        plan.species_weights[species * plan.n_channels + q], out
                    )
                    for n in range(n_max):
                        out[n] = out[n] + weight * gradient[q * n_max + n]
            out += padded
        gradient += row


cdef void coefficients_vjp(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments,
    Coefficients *work, vec *out,
) noexcept nogil:
    """Set out[slot[j]] to dE/dr_j of all atoms, from ``gradient``."""
    cdef Py_ssize_t n_vectors = density_vectors(plan, out), lanes = lanes_of(out), v, lane
    cdef Py_ssize_t n = plan.n_lm * plan.n_species * padded_n(plan, out)
    cdef vec *of_atoms = <vec *> work.of_atoms
    cdef vec *densities = <vec *> work.densities
    from_channels(plan, <const vec *> work.gradient, densities)
    for v in range(n, n_vectors * lanes):
        densities[v] = splat(0, out)
    for v in range(n_vectors):
        transpose(of_atoms + v, n_vectors, densities + v * lanes, 1)
    for lane in range(n_environments):
        expand_vjp(plan, group + lane, &work.expansion, of_atoms + lane * n_vectors, out)


# ---- between a lane for each atom and a row for each atom


cdef void gather_gradients(
    const Environment *group, Py_ssize_t n_environments, Py_ssize_t width, vec *by_value
) noexcept nogil:
    """``by_value`` (width,): dE/dD of each atom in its lane."""
    cdef Py_ssize_t lanes = lanes_of(by_value), first = 0, lane, k
    cdef vec[MOST_LANES] rows
    for lane in range(n_environments, lanes):
        rows[lane] = splat(0, by_value)
    while first + lanes <= width:
        for lane in range(n_environments):
            rows[lane] = load_at(<const vec *> group[lane].dE_dD, first)
        transpose(by_value + first, 1, rows, 1)
        first += lanes
    for k in range(first, width):
        by_value[k] = splat(0, by_value)
        for lane in range(n_environments):
            put(by_value, k * lanes + lane, get(<const vec *> group[lane].dE_dD, k))


cdef inline bint fill_lines(const vec *out, Py_ssize_t width) noexcept nogil:
    """Whether each whole vector of each row is a line of the caches."""
    cdef size_t n_bytes = SIMD_BYTES // lanes_of(out)
    return SIMD_BYTES == 64 and <size_t> out % 64 == 0 and width * n_bytes % 64 == 0


cdef void write_rows(
    const vec *values, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    Py_ssize_t n_environments, vec *out, vec *bad,
) noexcept nogil:
    """Store values begin ... end - 1 of each atom in its row of out; ``values`` has only these.

    ``bad``: NULL, or: store them past the caches, if they fill lines, and make it NaN if one is
    not finite.
    """
    cdef Py_ssize_t lanes = lanes_of(out), lane, k
    cdef bint past = bad != NULL and fill_lines(out, width)
    cdef vec[MOST_LANES] rows
    while begin + lanes <= end:
        transpose(rows, 1, values, 1)
        for lane in range(n_environments):
            if past:
                store_past(out, lane * width + begin, rows[lane])
            else:
                store_at(out, lane * width + begin, rows[lane])
            if bad != NULL:
                bad[0] = bad[0] + (rows[lane] - rows[lane])
        begin += lanes
        values += lanes
    for k in range(end - begin):
        for lane in range(n_environments):
            put(out, lane * width + begin + k, get(values, k * lanes + lane))
        if bad != NULL:  # lanes without an atom have 0
            bad[0] = bad[0] + (values[k] - values[k])
