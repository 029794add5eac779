"""Density expansion of one environment: sums over neighbors, and their gradient.

    d_znlm = norm_lm Σ_(j of species z) fc(R_j) g_nl(R_j) S_lm(r_j / rc)

g is looked up (radial_table.pyx), S are solid harmonics (solid_harmonics.pyx). Neighbors are
sorted by species (neighborhood.pyx). For one l the sum over the neighbors of one species is a small
product of two matrices, m by neighbors and neighbors by n (products.pyx): vectors hold n. Where
there is room in a vector for two or four neighbors, it holds these, number by number in turn, and
their sums are added up at the end (``fold``). Coefficients are made of d in coefficients.pyx.

The gradient of an energy with w = norm dE/dd:

    dE/dr_j = Σ_lm A_lm ∇S_lm / rc + 2 r_j Σ_nl d(fc g_nl)/d(R²) X_nl
    A_lm = Σ_n w_nlm fc g_nl,    X_nl = Σ_m w_nlm S_lm

A is a product of m by n with n by neighbors, whose vectors hold neighbors, and X one of neighbors
by m with m by n, whose vectors hold n: so slopes need not be transposed.
"""

from torchml_core.descriptors.density.kernel.radial_table cimport (
    ROWS, SLOPES, Part, first_of_l, lay_out_places, look_up, multiply_slopes, radial_rows, row_length,
    rows_and_slopes,
)
from torchml_core.descriptors.density.kernel.row_sums cimport (
    RowSums, sum_rows, sums_fit_registers,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport (
    solid_harmonics, solid_harmonics_gradients, solid_harmonics_vjp,
)
from torchml_core.kernels.neighborhood cimport apply_cutoff, lay_out_neighborhood, sort_into_classes
from torchml_core.kernels.verbs cimport GRADIENTS, TANGENTS, VALUES, Environment, Purpose
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, evens, get, interleave, lanes_of, load_at, number_at, odds, put,
    repeat_at, splat, transpose, vdouble, vec, vectors_for, vfloat,
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
    lay_out_another(work, plan, n, free_bytes)
    lay_out_places(&work.places, most, free_bytes)
    work.harmonic_changes = carve(free_bytes, plan.n_lm * blocks)
    work.rows = carve(free_bytes, (most + MOST_LANES) * row)
    work.plain = carve(free_bytes, MOST_LANES * row)
    work.sums = carve(free_bytes, sums * SIMD_BYTES)
    work.weights = carve(free_bytes, sums * SIMD_BYTES)
    work.sums_along = carve(free_bytes, (most + MOST_LANES) * SIMD_BYTES)
    work.by_harmonic = carve(free_bytes, plan.n_lm * blocks)
    work.gradients = carve(free_bytes, 3 * plan.n_lm * SIMD_BYTES)


cdef void lay_out_another(
    Expansion *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil:
    """Cut off only what gradients need again; all else may be that of another environment."""
    cdef const vdouble *type_tag = NULL
    cdef Py_ssize_t most = n + (plan.n_species + 1) * MOST_LANES
    cdef Py_ssize_t row = row_length(&plan.table, type_tag) * SIMD_BYTES
    lay_out_neighborhood(&work.neighborhood, n, plan.n_species, free_bytes)
    work.harmonics = carve(free_bytes, plan.n_lm * most * sizeof(double))
    work.slopes = carve(free_bytes, (most + MOST_LANES) * row)
    work.transposed = carve(free_bytes, most * row)


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


cdef inline void fill_rows_for_vjp(
    const ExpansionPlan *plan, Expansion *work, const vec *type_tag
) noexcept nogil:
    """``rows``, ``transposed`` rows and ``slopes`` of all entries."""
    cdef Py_ssize_t species
    for species in range(plan.n_species):
        look_up_rows(plan, work, species, type_tag)


cdef inline void look_up_rows(
    const ExpansionPlan *plan, Expansion *work, Py_ssize_t species, const vec *type_tag
) noexcept nogil:
    """Of the entries of a species."""
    cdef int repeat = repeat_of(plan, type_tag)
    cdef Py_ssize_t lanes = lanes_of(type_tag), length = row_length(&plan.table, type_tag)
    cdef Py_ssize_t begin = work.neighborhood.begin[species], end = work.neighborhood.end[species]
    cdef Py_ssize_t n_vectors = vectors_for(end - begin, type_tag), b, i, v, n
    cdef vec *rows = <vec *> work.rows + begin * length
    cdef vec *slopes = <vec *> work.slopes + begin * length
    cdef vec *transposed = <vec *> work.transposed + begin * length
    cdef vec *plain
    for b in range(n_vectors):
        i = begin + b * lanes
        n = min(lanes, end - i)
        plain = rows if repeat == 1 else <vec *> work.plain
        rows_and_slopes(&plan.table, &work.places, i, i + n, repeat, rows, slopes, plain)
        for v in range(n * length, lanes * length):
            plain[v] = splat(0, rows)
        for v in range((n + repeat - 1) // repeat * repeat * length, lanes * length + 1):
            slopes[v] = splat(0, slopes)
        for v in range(length):
            transpose(transposed + v * lanes * n_vectors + b, n_vectors, plain + v, length)
        rows += lanes * length
        slopes += lanes * length


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

    With GRADIENTS ``work`` has all that expand_vjp needs, as after prepare_vjp. Harmonics come
    after the rows: these push all else out of the caches.
    """
    cdef const vec *harmonics = <const vec *> work.harmonics
    find_places(plan, env, purpose, work, densities)
    if purpose == VALUES and sums_fit_registers():
        fill_harmonics(plan, work, densities)
        look_up_and_sum_up(plan, work, densities)
    else:
        if purpose == GRADIENTS:
            fill_rows_for_vjp(plan, work, densities)
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


# ---- vjp


cdef void prepare_vjp(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *type_tag
) noexcept nogil:
    """For an environment whose densities are known: all else that expand_vjp needs."""
    begin_expansion(plan, env, GRADIENTS, work, type_tag)
    fill_rows_for_vjp(plan, work, type_tag)


cdef inline void repeat_weights(
    int repeat, Py_ssize_t n_vectors, const vec *by_density, vec *weights
) noexcept nogil:
    """Each number as often as entries share a vector; inlined with a constant."""
    cdef Py_ssize_t v
    cdef int k
    cdef vec[4] copies
    for v in range(n_vectors):
        for k in range(repeat):
            copies[k] = by_density[v]
        interleave(copies, repeat)
        for k in range(repeat):
            weights[repeat * v + k] = copies[k]


cdef inline void fill_by_harmonic(
    const ExpansionPlan *plan, Expansion *work, const vec *by_density, Py_ssize_t species,
    Py_ssize_t n_vectors, const vec *type_tag,
) noexcept nogil:
    """A of all entries of a species, (n_vectors, n_lm)."""
    cdef Py_ssize_t n = padded_n(plan, type_tag)
    cdef const vec *transposed = <const vec *> work.transposed
    cdef vec *by_harmonic = <vec *> work.by_harmonic
    cdef Product p
    cdef int l
    transposed += work.neighborhood.begin[species] * row_length(&plan.table, type_tag)
    p.repeat = 1
    p.a_outer = p.b_outer = 0
    p.a_inner = 1
    p.a_row = plan.n_species * n
    p.b_inner = n_vectors * lanes_of(type_tag)
    p.out_row = 1
    p.out_vector = plan.n_lm
    for l in range(plan.l_max + 1):
        p.n_all = p.n_inner = plan.table.n_of_l[l]
        product(
            &p, number_at(by_density, (l * l * plan.n_species + species) * n),
            transposed + first_of_l(&plan.table, l, type_tag) * n_vectors,
            by_harmonic + l * l, 2 * l + 1, n_vectors, False,
        )


cdef inline vec sums_of_entries(int repeat, const vec *sums) noexcept nogil:
    """One number for each of a vector of entries, from a vector for each ``repeat`` of them.

    Inlined with a constant.
    """
    cdef Py_ssize_t lanes = lanes_of(sums), k
    cdef vec[MOST_LANES] transposed
    cdef vec[4] totals
    for k in range(lanes):
        transposed[k] = sums[k] if k < lanes // repeat else splat(0, sums)
    transpose(transposed, 1, transposed, 1)
    for k in range(repeat):
        totals[k] = transposed[k]
    for k in range(repeat, lanes):
        totals[k % repeat] = totals[k % repeat] + transposed[k]
    interleave(totals, repeat)
    return totals[0]


cdef inline void along_groups(
    int n, const ExpansionPlan *plan, int repeat, const vec *harmonics, const vec *weights,
    const vec *slopes, Py_ssize_t row, vec *out,
) noexcept nogil:
    """Σ_l d(fc g_nl)/d(R²) X_nl of n groups of entries; inlined with constants."""
    cdef vec[8] sums
    cdef vec[8] products
    cdef vec weight
    cdef Py_ssize_t lanes = lanes_of(out), k, v, at
    cdef Py_ssize_t of_m = plan.n_species * vectors_for(repeat * plan.n_max, out)
    cdef int l, g
    for g in range(n):
        sums[g] = splat(0, out)
    for l in range(plan.l_max + 1):
        at = repeat * first_of_l(&plan.table, l, out)
        for v in range(vectors_for(repeat * plan.table.n_of_l[l], out)):
            for g in range(n):
                products[g] = splat(0, out)
            for k in range(l * l, (l + 1) * (l + 1)):
                weight = weights[k * of_m + v]
                for g in range(n):
                    products[g] = products[g] + weight * repeat_at(
                        harmonics, k * lanes + g * repeat, repeat
                    )
            for g in range(n):
                sums[g] = sums[g] + products[g] * load_at(
                    slopes, g * row + at + v * lanes
                )
    for g in range(n):
        out[g] = sums[g]


cdef inline void sum_along_slopes(
    int repeat, const ExpansionPlan *plan, Expansion *work, const vec *weights,
    Py_ssize_t species, Py_ssize_t n_vectors, const vec *type_tag,
) noexcept nogil:
    """``sums_along``, of as many groups of entries at a time as there are registers for.

    ``weights``: dE with respect to the sums, see repeat_weights.
    """
    cdef Py_ssize_t lanes = lanes_of(type_tag), n_groups = lanes // repeat, b, first
    cdef Py_ssize_t begin = work.neighborhood.begin[species]
    cdef Py_ssize_t row = repeat * row_length(&plan.table, type_tag) * lanes
    cdef const vec *harmonics
    cdef const vec *slopes = <const vec *> work.slopes
    cdef vec *out = <vec *> work.sums_along
    cdef vec[MOST_LANES] sums
    slopes += begin * row_length(&plan.table, type_tag)
    weights += species * vectors_for(repeat * plan.n_max, type_tag)
    for b in range(n_vectors):
        harmonics = <const vec *> work.harmonics + (begin // lanes + b) * plan.n_lm
        first = 0
        while first < n_groups:
            if SIMD_BYTES == 64 and n_groups >= 8:
                along_groups(
                    8, plan, repeat, number_at(harmonics, first * repeat), weights, slopes, row,
                    sums + first,
                )
                first += 8
                slopes += 8 * row // lanes
            elif n_groups >= 4:
                along_groups(
                    4, plan, repeat, number_at(harmonics, first * repeat), weights, slopes, row,
                    sums + first,
                )
                first += 4
                slopes += 4 * row // lanes
            else:
                along_groups(
                    1, plan, repeat, number_at(harmonics, first * repeat), weights, slopes, row,
                    sums + first,
                )
                first += 1
                slopes += row // lanes
        out[b] = sums_of_entries(repeat, sums)


cdef inline void put_gradient(
    Py_ssize_t slot, Py_ssize_t lane, const vec *x, const vec *y, const vec *z, vec *out
) noexcept nogil:
    put(out, 3 * slot, get(x, lane))
    put(out, 3 * slot + 1, get(y, lane))
    put(out, 3 * slot + 2, get(z, lane))


cdef inline void expand_vjp_of_species(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_density,
    Py_ssize_t species, vec *out,
) noexcept nogil:
    cdef const vec *xs = <const vec *> work.neighborhood.x
    cdef const vec *ys = <const vec *> work.neighborhood.y
    cdef const vec *zs = <const vec *> work.neighborhood.z
    cdef int repeat = repeat_of(plan, out)
    cdef Py_ssize_t lanes = lanes_of(out), begin = work.neighborhood.begin[species], b, i, j
    cdef Py_ssize_t n = work.neighborhood.end[species] - begin, n_vectors = vectors_for(n, out)
    cdef vec *sums = <vec *> work.sums_along
    cdef vec scale = splat(1 / plan.cutoff, out), along, x, y, z
    fill_by_harmonic(plan, work, by_density, species, n_vectors, out)
    if repeat == 1:
        sum_along_slopes(1, plan, work, by_density, species, n_vectors, out)
    elif repeat == 2:
        sum_along_slopes(2, plan, work, <const vec *> work.weights, species, n_vectors, out)
    else:
        sum_along_slopes(4, plan, work, <const vec *> work.weights, species, n_vectors, out)
    for i in range(n_vectors):
        b = begin // lanes + i
        solid_harmonics_vjp(
            plan.l_max, <const vec *> work.harmonics + b * plan.n_lm,
            <const vec *> work.by_harmonic + i * plan.n_lm, &x, &y, &z,
        )
        along = 2 * sums[i]
        x = scale * x + along * xs[b]
        y = scale * y + along * ys[b]
        z = scale * z + along * zs[b]
        for j in range(min(lanes, n - i * lanes)):
            put_gradient(env.slot[work.neighborhood.source[b * lanes + j]], j, &x, &y, &z, out)


cdef void expand_vjp(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_density,
    vec *out,
) noexcept nogil:
    """Set out[slot[j]] to dE/dr_j; ``by_density``: norm dE/dd, 0 in padding.

    ``work`` is as expand left it with GRADIENTS, or prepare_vjp.
    """
    cdef int repeat = repeat_of(plan, out)
    cdef Py_ssize_t species
    if repeat == 2:
        repeat_weights(2, density_vectors(plan, out), by_density, <vec *> work.weights)
    elif repeat == 4:
        repeat_weights(4, density_vectors(plan, out), by_density, <vec *> work.weights)
    for species in range(plan.n_species):
        if work.neighborhood.end[species] > work.neighborhood.begin[species]:
            expand_vjp_of_species(plan, env, work, by_density, species, out)
