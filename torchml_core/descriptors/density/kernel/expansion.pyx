"""Density expansion of one environment: sums over neighbors, and their changes.

    d_znlm = norm_lm Σ_(j of species z) fc(R_j) g_nl(R_j) S_lm(r_j / rc)

g is looked up (radial_table.pyx), S are solid harmonics (solid_harmonics.pyx). Neighbors are
sorted by species (neighborhood.pyx). For one l the sum over the neighbors of one species is a small
product of two matrices, m by neighbors and neighbors by n (products.pyx): vectors hold n. Where
there is room in a vector for two or four neighbors, it holds these, number by number in turn, and
their sums are added up at the end (``fold``). Coefficients are made of d in coefficients.pyx; the
gradient is in expansion_vjp.pyx.
"""

from torchml_core.descriptors.density.kernel.radial_table cimport (
    ROWS, SLOPES, Part, first_of_l, lay_out_places, look_up, multiply_slopes, radial_rows,
    row_length,
)
from torchml_core.descriptors.density.kernel.row_sums cimport (
    RowSums, sum_rows, sums_fit_registers,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport (
    solid_harmonics, solid_harmonics_gradients,
)
from torchml_core.kernels.neighborhood cimport apply_cutoff, lay_out_neighborhood, sort_into_classes
from torchml_core.kernels.verbs cimport TANGENTS, Environment, Purpose
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, evens, lanes_of, number_at, odds, splat, vdouble, vec,
    vectors_for, vfloat,
)

# Loops over a constant number of sums are unrolled only in functions that are inlined: compilers
# must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """


cdef inline Py_ssize_t vectors_of_sums(
    const ExpansionPlan *plan, const vec *type_tag
) noexcept nogil:
    """And as many more as are folded, or repeated, together."""
    cdef Py_ssize_t n = vectors_for(repeat_of(plan, type_tag) * plan.n_max, type_tag)
    return plan.n_lm * plan.n_species * n + 4


cdef void lay_out_expansion(
    Expansion *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef const vdouble *type_tag = NULL
    cdef const vfloat *single_tag = NULL
    cdef Py_ssize_t most = n + (plan.n_species + 1) * MOST_LANES  # entries
    cdef Py_ssize_t blocks = most * sizeof(double)                # of vectors of entries
    cdef Py_ssize_t row = row_length(&plan.table, type_tag) * SIMD_BYTES
    cdef Py_ssize_t sums = max(vectors_of_sums(plan, type_tag), vectors_of_sums(plan, single_tag))
    lay_out_neighborhood(&work.neighborhood, n, plan.n_species, free_bytes)
    lay_out_places(&work.places, most, free_bytes)
    work.harmonics = carve(free_bytes, plan.n_lm * blocks + 2 * SIMD_BYTES)
    work.harmonic_changes = carve(free_bytes, plan.n_lm * blocks)
    work.rows = carve(free_bytes, (most + MOST_LANES) * row)
    work.slopes = carve(free_bytes, MOST_LANES * row)
    work.sums = carve(free_bytes, sums * SIMD_BYTES)
    work.transposed = carve(free_bytes, 2 * most * row)
    work.by_harmonic = carve(free_bytes, 2 * plan.n_lm * blocks)
    work.weights = carve(free_bytes, sums * SIMD_BYTES)
    work.terms = carve(free_bytes, 4 * sums * SIMD_BYTES)
    work.sums_of_groups = carve(free_bytes, 16 * sums * SIMD_BYTES)
    work.totals = carve(free_bytes, 4 * MOST_LANES * SIMD_BYTES)
    work.gradients = carve(free_bytes, 3 * plan.n_lm * SIMD_BYTES)


# ---- what all verbs need


cdef inline void fill_harmonics(
    const ExpansionPlan *plan, Expansion *work, const vec *type_tag
) noexcept nogil:
    cdef const vec *x = <const vec *> work.neighborhood.x
    cdef const vec *y = <const vec *> work.neighborhood.y
    cdef const vec *z = <const vec *> work.neighborhood.z
    cdef vec *harmonics = <vec *> work.harmonics
    cdef vec scale = splat(1 / plan.cutoff, type_tag)
    cdef Py_ssize_t b
    for b in range(work.neighborhood.n // lanes_of(type_tag)):
        solid_harmonics(
            plan.l_max, scale * x[b], scale * y[b], scale * z[b], harmonics + b * plan.n_lm
        )


cdef inline void fill_harmonic_changes(
    const ExpansionPlan *plan, Expansion *work, const vec *type_tag
) noexcept nogil:
    cdef const vec *dx = <const vec *> work.neighborhood.dx
    cdef const vec *dy = <const vec *> work.neighborhood.dy
    cdef const vec *dz = <const vec *> work.neighborhood.dz
    cdef const vec *harmonics = <const vec *> work.harmonics
    cdef vec *changes = <vec *> work.harmonic_changes
    cdef vec *by_x = <vec *> work.gradients
    cdef vec *by_y = by_x + plan.n_lm
    cdef vec *by_z = by_y + plan.n_lm
    cdef vec scale = splat(1 / plan.cutoff, type_tag)
    cdef Py_ssize_t b, k
    for b in range(work.neighborhood.n // lanes_of(type_tag)):
        solid_harmonics_gradients(plan.l_max, harmonics, by_x, by_y, by_z)
        for k in range(plan.n_lm):
            changes[k] = scale * (by_x[k] * dx[b] + by_y[k] * dy[b] + by_z[k] * dz[b])
        harmonics += plan.n_lm
        changes += plan.n_lm


cdef inline void find_places(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, Expansion *work,
    const vec *type_tag,
) noexcept nogil:
    """Sort the neighbors, and find their places in the table."""
    cdef Neighborhood *neighborhood = &work.neighborhood
    sort_into_classes(
        neighborhood, env, plan.classes, 2 * plan.cutoff, purpose == TANGENTS, type_tag
    )
    apply_cutoff(neighborhood, &plan.pair_cutoff, type_tag)
    look_up(&plan.table, neighborhood, env.r, env.n, &work.places, type_tag)


cdef void begin_expansion(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, Expansion *work,
    const vec *type_tag,
) noexcept nogil:
    """Sort the neighbors, find their places in the table, compute their harmonics."""
    find_places(plan, env, purpose, work, type_tag)
    fill_harmonics(plan, work, type_tag)


# ---- rows of the table


cdef inline void fill_rows(
    const ExpansionPlan *plan, Expansion *work, Part part, const vec *type_tag
) noexcept nogil:
    """``rows`` of all entries."""
    cdef Py_ssize_t length = row_length(&plan.table, type_tag), species, begin
    cdef int repeat = repeat_of(plan, type_tag)
    for species in range(plan.n_species):
        begin = work.neighborhood.begin[species]
        radial_rows(
            &plan.table, &work.places, part, begin, work.neighborhood.end[species], repeat,
            <vec *> work.rows + begin * length,
        )


# ---- densities and their changes


cdef inline void sum_up(
    const ExpansionPlan *plan, Expansion *work, const vec *harmonics, bint more,
    const vec *type_tag,
) noexcept nogil:
    """Set ``sums`` (n_lm, n_species, n) to Σ_j S_lm g_nl, or add it.

    What is beyond the vectors that an l has functions for is not written.
    """
    cdef int repeat = repeat_of(plan, type_tag), l
    cdef Py_ssize_t lanes = lanes_of(type_tag), n = vectors_for(repeat * plan.n_max, type_tag)
    cdef Py_ssize_t length = row_length(&plan.table, type_tag), species, first
    cdef const vec *rows
    cdef vec *out = <vec *> work.sums
    cdef Product p
    p.repeat = repeat
    p.n_inner = lanes // repeat
    p.a_outer = plan.n_lm * lanes
    p.a_inner = repeat
    p.a_row = lanes
    p.b_inner = repeat * length * lanes
    p.b_outer = lanes * length * lanes
    p.out_row = plan.n_species * n
    p.out_vector = 1
    for species in range(plan.n_species):
        first = work.neighborhood.begin[species]
        p.n_all = (work.neighborhood.end[species] - first + repeat - 1) // repeat
        rows = <const vec *> work.rows + first * length
        for l in range(plan.l_max + 1):
            product(
                &p, harmonics + first // lanes * plan.n_lm + l * l,
                number_at(rows, repeat * first_of_l(&plan.table, l, type_tag)),
                out + l * l * p.out_row + species * n, 2 * l + 1,
                vectors_for(repeat * plan.table.n_of_l[l], type_tag), more,
            )


cdef inline void look_up_and_sum_up(
    const ExpansionPlan *plan, Expansion *work, const vec *type_tag
) noexcept nogil:
    """What fill_rows and sum_up do."""
    cdef int repeat = repeat_of(plan, type_tag)
    cdef Py_ssize_t n = vectors_for(repeat * plan.n_max, type_tag), species, first
    cdef vec *out = <vec *> work.sums
    cdef const vec *harmonics = <const vec *> work.harmonics
    cdef RowSums p
    p.table = &plan.table
    p.places = &work.places
    p.n_lm = plan.n_lm
    p.out_row = plan.n_species * n
    for species in range(plan.n_species):
        p.begin = work.neighborhood.begin[species]
        p.end = work.neighborhood.end[species]
        first = p.begin // lanes_of(type_tag) * plan.n_lm
        sum_rows(&p, repeat, harmonics + first, n, out + species * n)


cdef inline void fold(const ExpansionPlan *plan, vec *sums, vec *out) noexcept nogil:
    """Add up the sums that share a vector, and multiply by norms; ``out``: density_vectors."""
    cdef int repeat = repeat_of(plan, out)
    cdef Py_ssize_t n = vectors_of_sums(plan, out) - 4, v
    cdef const vec *norms
    if vec is vfloat:
        norms = <const vec *> plan.norms_of_densities_single
    else:
        norms = <const vec *> plan.norms_of_densities
    for v in range(n, n + 4):
        sums[v] = splat(0, out)
    while repeat > 1:
        n = (n + 1) // 2
        for v in range(n):
            sums[v] = evens(sums[2 * v], sums[2 * v + 1]) + odds(sums[2 * v], sums[2 * v + 1])
        repeat //= 2
    for v in range(n):
        out[v] = sums[v] * norms[v]


cdef void expand(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, Expansion *work,
    vec *densities, vec *changes,
) noexcept nogil:
    """Fill ``densities``; with TANGENTS, ``changes`` too: density_vectors each.

    Where rows are in memory, harmonics come after them: rows push all else out of the caches.
    """
    cdef const vec *harmonics = <const vec *> work.harmonics
    find_places(plan, env, purpose, work, densities)
    if purpose != TANGENTS and sums_fit_registers(&plan.table):
        fill_harmonics(plan, work, densities)
        look_up_and_sum_up(plan, work, densities)
    else:
        fill_rows(plan, work, ROWS, densities)
        fill_harmonics(plan, work, densities)
        sum_up(plan, work, harmonics, False, densities)
    fold(plan, <vec *> work.sums, densities)
    if purpose == TANGENTS:
        fill_harmonic_changes(plan, work, densities)
        sum_up(plan, work, <const vec *> work.harmonic_changes, False, densities)
        multiply_slopes(
            &work.places, work.neighborhood.n // lanes_of(densities),
            <const vec *> work.neighborhood.square_dot,
        )
        fill_rows(plan, work, SLOPES, densities)
        sum_up(plan, work, harmonics, True, densities)
        fold(plan, <vec *> work.sums, changes)
