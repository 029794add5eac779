"""Density expansion of one environment: sums over neighbors, and their derivatives.

    c_qnlm = norm_lm Σ_j W_(z_j)q fc(R_j) g_nl(R_j) S_lm(r_j / rc)

g is looked up (radial_table.pyx), S are solid harmonics (solid_harmonics.pyx). Neighbors are
sorted by species (neighborhood.pyx). For one l the sum over the neighbors of one species is a small
product of two matrices, m by neighbors and neighbors by n (products.pyx).

The gradient of an energy with dE/dc = w:

    dE/dr_j = Σ_lm A_lm ∇S_lm / rc + 2 r_j Σ_lm B_lm S_lm,
    A_lm = Σ_n w_nlm fc g_nl,    B_lm = Σ_n w_nlm d(fc g_nl)/d(R²)

A and B are products as well, of m by n with n by neighbors: there a vector holds neighbors.
"""

from torchml_core.descriptors.density.kernel.radial_table cimport (
    lay_out_places, look_up, multiply_slopes, radial_rows, radial_rows_and_slopes, row_length,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport (
    solid_harmonics, solid_harmonics_gradients, solid_harmonics_vjp,
)
from torchml_core.kernels.neighborhood cimport apply_cutoff, lay_out_neighborhood, sort_into_classes
from torchml_core.kernels.verbs cimport TANGENTS, VALUES, Environment, Purpose
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, get, lanes_of, put, splat, transpose, vdouble, vec, vectors_for,
)


cdef void lay_out_expansion(
    Expansion *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef const vdouble *type_tag = NULL
    cdef Py_ssize_t most = n + (plan.n_species + 1) * MOST_LANES  # entries
    cdef Py_ssize_t blocks = most * sizeof(double)                # of vectors of entries
    # As many vectors of float64 as of float32 at least, for n and for entries.
    cdef Py_ssize_t row = row_length(&plan.table, type_tag) * SIMD_BYTES
    cdef Py_ssize_t of_species = plan.n_lm * vectors_for(plan.n_max, type_tag) * SIMD_BYTES
    lay_out_neighborhood(&work.neighborhood, n, plan.n_species, free_bytes)
    lay_out_places(&work.places, most, free_bytes)
    work.harmonics = carve(free_bytes, plan.n_lm * blocks)
    work.harmonic_changes = carve(free_bytes, plan.n_lm * blocks)
    work.rows = carve(free_bytes, most * row)
    work.slopes = carve(free_bytes, most * row)
    work.densities = carve(free_bytes, plan.n_species * of_species)
    work.coefficients = carve(free_bytes, plan.n_channels * of_species)
    work.changes = carve(free_bytes, plan.n_channels * of_species)
    work.transposed = carve(free_bytes, 2 * row * MOST_LANES)
    work.by_harmonic = carve(free_bytes, 2 * plan.n_lm * SIMD_BYTES)
    work.gradients = carve(free_bytes, 3 * plan.n_lm * SIMD_BYTES)


# ---- values and changes


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


cdef inline void sum_up(
    const ExpansionPlan *plan, const Neighborhood *neighborhood, const vec *harmonics,
    const vec *rows, bint more, vec *out,
) noexcept nogil:
    """Set ``out`` (n_lm, n_species, n_max) to Σ_j S_lm g_nl, or add it; without norms.

    What is beyond the vectors that an l has functions for is not written.
    """
    cdef Py_ssize_t lanes = lanes_of(out), n = vectors_for(plan.n_max, out)
    cdef Py_ssize_t length = row_length(&plan.table, out), species, first, n_of_l
    cdef const vec *of_l
    cdef Product p
    cdef int l
    p.n_inner = lanes
    p.a_outer = plan.n_lm * lanes
    p.a_inner = 1
    p.a_row = lanes
    p.b_outer = lanes * length
    p.b_inner = length
    p.out_row = plan.n_species * n
    p.out_vector = 1
    for species in range(plan.n_species):
        first = neighborhood.begin[species] // lanes
        p.n_outer = vectors_for(neighborhood.end[species], out) - first
        of_l = rows + first * lanes * length
        for l in range(plan.l_max + 1):
            n_of_l = vectors_for(plan.table.n_of_l[l], out)
            product(
                &p, harmonics + first * plan.n_lm + l * l, of_l,
                out + l * l * p.out_row + species * n, 2 * l + 1, n_of_l, more,
            )
            of_l += n_of_l


cdef inline void into_channels(
    const ExpansionPlan *plan, const vec *densities, vec *out
) noexcept nogil:
    """From species to channels, and times the norms; the two arrays may be the same."""
    cdef Py_ssize_t n = vectors_for(plan.n_max, out), k, q, species, v
    cdef vec norm, sum
    for k in range(plan.n_lm):
        norm = splat(plan.norms[k], out)
        if plan.species_weights == NULL:
            for v in range(plan.n_species * n):
                out[v] = norm * densities[v]
        else:
            for q in range(plan.n_channels):
                for v in range(n):
                    sum = splat(0, out)
                    for species in range(plan.n_species):
                        sum = sum + densities[species * n + v] * splat(
                            plan.species_weights[species * plan.n_channels + q], out
                        )
                    out[q * n + v] = norm * sum
        densities += plan.n_species * n
        out += plan.n_channels * n


cdef void expand(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, Expansion *work,
    const vec *type_tag,
) noexcept nogil:
    """Fill coefficients, and all that their derivatives need."""
    cdef Neighborhood *neighborhood = &work.neighborhood
    cdef vec *harmonics = <vec *> work.harmonics
    cdef vec *rows = <vec *> work.rows
    cdef vec *densities = <vec *> work.densities
    sort_into_classes(
        neighborhood, env, plan.classes, 2 * plan.cutoff, purpose == TANGENTS, type_tag
    )
    apply_cutoff(neighborhood, &plan.pair_cutoff, type_tag)
    look_up(&plan.table, neighborhood, env.r, env.n, &work.places, type_tag)
    fill_harmonics(plan, work, type_tag)
    if purpose == VALUES:
        radial_rows(&plan.table, &work.places, neighborhood.n, rows)
    else:
        if purpose == TANGENTS:
            multiply_slopes(
                &work.places, neighborhood.n // lanes_of(type_tag),
                <const vec *> neighborhood.square_dot,
            )
            fill_harmonic_changes(plan, work, type_tag)
        radial_rows_and_slopes(
            &plan.table, &work.places, neighborhood.n, rows, <vec *> work.slopes
        )
    sum_up(plan, neighborhood, harmonics, rows, False, densities)
    into_channels(plan, densities, <vec *> work.coefficients)
    if purpose == TANGENTS:
        sum_up(plan, neighborhood, harmonics, <const vec *> work.slopes, False, densities)
        sum_up(plan, neighborhood, <const vec *> work.harmonic_changes, rows, True, densities)
        into_channels(plan, densities, <vec *> work.changes)


# ---- vjp


cdef inline void from_channels(
    const ExpansionPlan *plan, const vec *by_coefficient, vec *out
) noexcept nogil:
    """From dE/dc to the derivatives with respect to the sums over the neighbors of a species."""
    cdef Py_ssize_t n = vectors_for(plan.n_max, out), k, q, species, v
    cdef vec norm, sum
    for k in range(plan.n_lm):
        norm = splat(plan.norms[k], out)
        if plan.species_weights == NULL:
            for v in range(plan.n_species * n):
                out[v] = norm * by_coefficient[v]
        else:
            for species in range(plan.n_species):
                for v in range(n):
                    sum = splat(0, out)
                    for q in range(plan.n_channels):
                        sum = sum + by_coefficient[q * n + v] * splat(
                            plan.species_weights[species * plan.n_channels + q], out
                        )
                    out[species * n + v] = norm * sum
        by_coefficient += plan.n_channels * n
        out += plan.n_species * n


cdef void rows_by_entry(
    const ExpansionPlan *plan, Expansion *work, Py_ssize_t b, const vec *type_tag
) noexcept nogil:
    """Fill ``transposed``: rows and slopes of vector b of entries, (l, n, 2) of entries."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), length = row_length(&plan.table, type_tag), v
    cdef const vec *rows = <const vec *> work.rows + b * lanes * length
    cdef const vec *slopes = <const vec *> work.slopes + b * lanes * length
    cdef vec *transposed = <vec *> work.transposed
    for v in range(length):
        transpose(transposed + 2 * v * lanes, 2, rows + v, length)
        transpose(transposed + 2 * v * lanes + 1, 2, slopes + v, length)


cdef inline vec sum_of_products(Py_ssize_t n, const vec *a, const vec *b) noexcept nogil:
    """Σ a b, in four sums at once."""
    cdef vec s0 = splat(0, a), s1 = s0, s2 = s0, s3 = s0
    cdef Py_ssize_t k = 0
    while k + 4 <= n:
        s0 = s0 + a[k] * b[k]
        s1 = s1 + a[k + 1] * b[k + 1]
        s2 = s2 + a[k + 2] * b[k + 2]
        s3 = s3 + a[k + 3] * b[k + 3]
        k += 4
    while k < n:
        s0 = s0 + a[k] * b[k]
        k += 1
    return (s0 + s1) + (s2 + s3)


cdef void expand_vjp(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_coefficient,
    vec *out,
) noexcept nogil:
    """Set out[slot[j]] to dE/dr_j; ``by_coefficient``: dE/dc.

    ``work`` is as expand left it, with GRADIENTS.
    """
    cdef const vec *xs = <const vec *> work.neighborhood.x
    cdef const vec *ys = <const vec *> work.neighborhood.y
    cdef const vec *zs = <const vec *> work.neighborhood.z
    cdef const vec *harmonics
    cdef vec *weights = <vec *> work.densities
    cdef const vec *of_l
    cdef vec *by_harmonic = <vec *> work.by_harmonic
    cdef vec scale = splat(1 / plan.cutoff, out), sum, x, y, z
    cdef Py_ssize_t lanes = lanes_of(out), n = vectors_for(plan.n_max, out)
    cdef Py_ssize_t species, b, i, j
    cdef Product p
    cdef int l
    from_channels(plan, by_coefficient, weights)
    p.n_outer = 1
    p.a_outer = p.b_outer = 0
    p.a_inner = 1
    p.a_row = plan.n_species * n * lanes
    p.b_inner = 2
    p.out_row = 1
    p.out_vector = plan.n_lm
    for species in range(plan.n_species):
        for b in range(
            work.neighborhood.begin[species] // lanes,
            vectors_for(work.neighborhood.end[species], out),
        ):
            rows_by_entry(plan, work, b, out)
            of_l = <const vec *> work.transposed
            for l in range(plan.l_max + 1):
                p.n_inner = plan.table.n_of_l[l]
                product(
                    &p, weights + (l * l * plan.n_species + species) * n, of_l,
                    by_harmonic + l * l, 2 * l + 1, 2, False,
                )
                of_l += 2 * lanes * vectors_for(p.n_inner, out)
            harmonics = <const vec *> work.harmonics + b * plan.n_lm
            sum = sum_of_products(plan.n_lm, harmonics, by_harmonic + plan.n_lm)
            solid_harmonics_vjp(plan.l_max, harmonics, by_harmonic, &x, &y, &z)
            x = scale * x + 2 * sum * xs[b]
            y = scale * y + 2 * sum * ys[b]
            z = scale * z + 2 * sum * zs[b]
            for i in range(lanes):
                j = work.neighborhood.source[b * lanes + i]
                if j >= 0:
                    j = 3 * env.slot[j]
                    put(out, j, get(&x, i))
                    put(out, j + 1, get(&y, i))
                    put(out, j + 2, get(&z, i))
