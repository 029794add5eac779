"""Gradient of a density expansion, with neighbors in the lanes of vectors, whatever n_max is.

A and B of expansion_vjp.pyx are one product of two matrices, m by n and n by neighbors, with rows
of the table and their slopes, transposed, side by side.
"""

from torchml_core.descriptors.density.kernel.expansion cimport padded_n, put_gradients
from torchml_core.descriptors.density.kernel.radial_table cimport (
    first_of_l, row_length, rows_and_slopes,
)
from torchml_core.descriptors.density.kernel.solid_harmonics cimport solid_harmonics_vjp
from torchml_core.simd.products cimport Product, product
from torchml_core.simd.vectors cimport (
    lanes_of, number_at, splat, transpose, vec, vectors_for,
)


cdef inline void fill_transposed(
    const ExpansionPlan *plan, Expansion *work, Py_ssize_t species, const vec *type_tag
) noexcept nogil:
    """Rows and slopes of the entries of a species."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), length = row_length(&plan.table, type_tag)
    cdef Py_ssize_t begin = work.neighborhood.begin[species], end = work.neighborhood.end[species]
    cdef Py_ssize_t n_vectors = vectors_for(end - begin, type_tag), b, i, n, v
    cdef vec *rows = <vec *> work.rows
    cdef vec *slopes = <vec *> work.slopes
    cdef vec *out = <vec *> work.transposed
    for b in range(n_vectors):
        i = begin + b * lanes
        n = min(lanes, end - i)
        rows_and_slopes(&plan.table, &work.places, i, i + n, rows, slopes)
        for v in range(n * length, lanes * length):
            rows[v] = slopes[v] = splat(0, rows)
        for v in range(length):
            transpose(out + v * lanes * 2 * n_vectors + b, 2 * n_vectors, rows + v, length)
            transpose(
                out + (v * lanes * 2 + 1) * n_vectors + b, 2 * n_vectors, slopes + v, length
            )


cdef inline void fill_by_harmonic(
    const ExpansionPlan *plan, Expansion *work, const vec *by_density, Py_ssize_t species,
    Py_ssize_t n_vectors, const vec *type_tag,
) noexcept nogil:
    """A, then B, of all entries of a species."""
    cdef Py_ssize_t n = padded_n(plan, type_tag)
    cdef vec *by_harmonic = <vec *> work.by_harmonic
    cdef Product p
    cdef int l
    p.repeat = 1
    p.a_outer = p.b_outer = 0
    p.a_inner = 1
    p.a_row = plan.n_species * n
    p.b_inner = 2 * n_vectors * lanes_of(type_tag)
    p.out_row = 1
    p.out_vector = plan.n_lm
    for l in range(plan.l_max + 1):
        p.n_all = p.n_inner = plan.table.n_of_l[l]
        product(
            &p, number_at(by_density, (l * l * plan.n_species + species) * n),
            <const vec *> work.transposed + first_of_l(&plan.table, l, type_tag) * 2 * n_vectors,
            by_harmonic + l * l, 2 * l + 1, 2 * n_vectors, False,
        )


cdef inline vec dot(const vec *a, const vec *b, Py_ssize_t n) noexcept nogil:
    """Lane by lane, in four sums at once."""
    cdef vec[4] sums
    cdef Py_ssize_t k, i
    sums[0] = sums[1] = sums[2] = sums[3] = splat(0, a)
    for k in range(n // 4):
        for i in range(4):
            sums[i] = sums[i] + a[4 * k + i] * b[4 * k + i]
    for k in range(n // 4 * 4, n):
        sums[0] = sums[0] + a[k] * b[k]
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


cdef inline void vjp_of_species(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_density,
    Py_ssize_t species, vec *out,
) noexcept nogil:
    cdef const vec *xs = <const vec *> work.neighborhood.x
    cdef const vec *ys = <const vec *> work.neighborhood.y
    cdef const vec *zs = <const vec *> work.neighborhood.z
    cdef const vec *harmonics = <const vec *> work.harmonics
    cdef const vec *by_harmonic = <const vec *> work.by_harmonic
    cdef Py_ssize_t lanes = lanes_of(out), begin = work.neighborhood.begin[species], b, i
    cdef Py_ssize_t n = work.neighborhood.end[species] - begin, n_vectors = vectors_for(n, out)
    cdef vec scale = splat(1 / plan.cutoff, out), along, x, y, z
    fill_transposed(plan, work, species, out)
    fill_by_harmonic(plan, work, by_density, species, n_vectors, out)
    for i in range(n_vectors):
        b = begin // lanes + i
        solid_harmonics_vjp(
            plan.l_max, harmonics + b * plan.n_lm, by_harmonic + i * plan.n_lm, &x, &y, &z
        )
        along = 2 * dot(
            by_harmonic + (n_vectors + i) * plan.n_lm, harmonics + b * plan.n_lm, plan.n_lm
        )
        x = scale * x + along * xs[b]
        y = scale * y + along * ys[b]
        z = scale * z + along * zs[b]
        put_gradients(
            env, work.neighborhood.source + b * lanes, min(lanes, n - i * lanes), &x, &y, &z, out
        )


cdef void vjp_by_neighbors(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_density,
    vec *out,
) noexcept nogil:
    """See expansion_vjp.pyx, which has called begin_expansion."""
    cdef Py_ssize_t species
    for species in range(plan.n_species):
        if work.neighborhood.end[species] > work.neighborhood.begin[species]:
            vjp_of_species(plan, env, work, by_density, species, out)
