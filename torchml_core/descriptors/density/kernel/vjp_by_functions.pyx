"""Gradient of a density expansion, with functions in the lanes of vectors.

See expansion_vjp.pyx:  Σ_lm A_lm ∇S_lm = Σ_nl f_nl Y_nl and Σ_lm B_lm S_lm = Σ_nl f'_nl X_nl with

    X_nl = Σ_m w_nlm S_lm,    Y_nl = Σ_m w_nlm ∇S_lm

∇S_lm is made of the harmonics of l - 1 (solid_harmonics.pyx): Y_nl = Σ_m V_nlm S_(l-1)m, where V is
the same for all neighbors. Vectors hold n, of one, two or four entries in turn (``repeat``, see
expansion.pyx): a *group* of entries. A vector of entries is computed in two steps:

1. X and Y of all its groups, of some at a time, so that w and V are loaded once for these;
2. f and its slope, looked up, times X and Y: nothing is stored but four sums over l and n.
"""

from libc.stdint cimport int32_t

from torchml_core.descriptors.density.kernel.expansion cimport (
    density_vectors, put_gradients, repeat_of,
)
from torchml_core.descriptors.density.kernel.radial_table cimport (
    N_WEIGHTS, RadialTable, first_of_l, nodes_of, row_length,
)
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, interleave, lanes_of, load_at, number_at, repeat_at, splat, splat_at,
    transpose, vec, vectors_for,
)

# Loops over a constant number of sums are unrolled only in functions that are inlined: compilers
# must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """

# What is stored of each (l, m), and of each group and l.
cdef enum:
    ALONG = 0                   # w; X
    IN_X                        # the components of V for the l above; those of Y
    IN_Y
    IN_Z
    TERMS


# ---- w and V


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


cdef inline void fill_terms(
    int l_max, Py_ssize_t n_vectors, const vec *weights, Py_ssize_t row, vec *terms
) noexcept nogil:
    """``terms`` (n_lm, n_vectors, TERMS), from weights, ``row`` vectors for each (l, m).

    As in solid_harmonics_vjp: with a and b the weights of Re R_lm and Im R_lm, C + iD = R_(l-1,m),
    2 ∂x has C_m (a_(m+1) - a_(m-1)) + D_m (b_(m+1) - b_(m-1)), 2 ∂y has C_m (b_(m+1) + b_(m-1)) -
    D_m (a_(m+1) + a_(m-1)), where b_0 = 0, and a_0 is taken twice; for m = 0 only a_1 and b_1.
    """
    cdef Py_ssize_t step = n_vectors * TERMS, v
    cdef const vec *w
    cdef vec *c
    cdef vec *d
    cdef vec a, a_less, a_more, b, b_less, b_more
    cdef int l, m
    for v in range(n_vectors):
        for m in range((l_max + 1) * (l_max + 1)):
            terms[m * step + v * TERMS + ALONG] = weights[m * row + v]
        for l in range(1, l_max + 1):
            w = weights + (l * l + l) * row + v
            c = d = terms + (l * l - l) * step + v * TERMS
            a_less = w[0] + w[0]
            b_less = splat(0, weights)
            a = w[row]
            b = (w - row)[0]
            c[IN_X] = 0.5 * a
            c[IN_Y] = 0.5 * b
            c[IN_Z] = w[0]
            for m in range(1, l):
                a_more = w[(m + 1) * row]
                b_more = (w - (m + 1) * row)[0]
                c += step
                d -= step
                c[IN_X] = 0.5 * (a_more - a_less)
                c[IN_Y] = 0.5 * (b_more + b_less)
                c[IN_Z] = a
                d[IN_X] = 0.5 * (b_more - b_less)
                d[IN_Y] = -(0.5 * (a_more + a_less))
                d[IN_Z] = b
                a_less = a
                b_less = b
                a = a_more
                b = b_more


# ---- X and Y


cdef inline void sums_over_m(
    int n, bint with_gradient, int repeat, int l, Py_ssize_t step, const vec *harmonics,
    const vec *terms, vec *out, Py_ssize_t out_row, Py_ssize_t above,
) noexcept nogil:
    """Of n groups: X of l, and Y of l + 1, ``above`` vectors later; inlined with constants."""
    cdef vec[4] along
    cdef vec[4] x
    cdef vec[4] y
    cdef vec[4] z
    cdef vec s
    cdef int g, _
    for g in range(n):
        along[g] = x[g] = y[g] = z[g] = splat(0, out)
    for _ in range(2 * l + 1):
        for g in range(n):
            s = repeat_at(harmonics, g * repeat, repeat)
            along[g] = along[g] + terms[ALONG] * s
            if with_gradient:
                x[g] = x[g] + terms[IN_X] * s
                y[g] = y[g] + terms[IN_Y] * s
                z[g] = z[g] + terms[IN_Z] * s
        harmonics += 1
        terms += step
    for g in range(n):
        out[g * out_row + ALONG] = along[g]
        if with_gradient:
            out[g * out_row + above + IN_X] = x[g]
            out[g * out_row + above + IN_Y] = y[g]
            out[g * out_row + above + IN_Z] = z[g]


cdef inline Py_ssize_t vectors_of_l(
    const RadialTable *table, int l, Py_ssize_t n_vectors, const vec *type_tag
) noexcept nogil:
    """Of n_vectors, those that this l has functions for."""
    return 1 if n_vectors == 1 else vectors_for(table.n_of_l[l], type_tag)


cdef inline void fill_sums(
    int n, int repeat, const RadialTable *table, Py_ssize_t n_vectors, const vec *harmonics,
    const vec *terms, vec *sums,
) noexcept nogil:
    """``sums`` (n groups, n_l, n_vectors, TERMS); inlined with constant n and repeat."""
    cdef int l, g, l_max = table.n_l - 1
    cdef Py_ssize_t above = n_vectors * TERMS, row = table.n_l * above, v
    cdef vec *out = sums
    for v in range(n_vectors):
        for g in range(n):  # Y of l = 0
            out = sums + g * row + v * TERMS
            out[IN_X] = out[IN_Y] = out[IN_Z] = splat(0, out)
    out = sums
    for l in range(l_max):
        for v in range(max(
            vectors_of_l(table, l, n_vectors, out), vectors_of_l(table, l + 1, n_vectors, out)
        )):
            sums_over_m(
                n, True, repeat, l, above, harmonics, terms + v * TERMS, out + v * TERMS, row,
                above,
            )
        harmonics += 2 * l + 1
        terms += (2 * l + 1) * above
        out += above
    for v in range(vectors_of_l(table, l_max, n_vectors, out)):
        sums_over_m(
            n, False, repeat, l_max, above, harmonics, terms + v * TERMS, out + v * TERMS, row,
            above,
        )


# ---- times f and its slope


cdef inline void add_node(
    const vec *weights, const vec *node, vec *f, vec *slope
) noexcept nogil:
    cdef vec x = load_at(node, 0)
    f[0] = f[0] + splat_at(weights, 0) * x
    slope[0] = slope[0] + splat_at(weights, 6 * lanes_of(f)) * x


cdef inline void look_up_vector(
    const vec *weights, const vec *nodes, Py_ssize_t row, vec *f, vec *slope
) noexcept nogil:
    """Set one vector of functions and of slopes of an entry; ``row``: vectors.

    Values at either node first, as in fill_group of radial_table.pyx.
    """
    f[0] = slope[0] = splat(0, f)
    add_node(weights, nodes, f, slope)
    add_node(weights + 5, nodes + 3 * row, f, slope)
    add_node(weights + 1, nodes + row, f, slope)
    add_node(weights + 4, nodes + 4 * row, f, slope)
    add_node(weights + 2, nodes + 2 * row, f, slope)
    add_node(weights + 3, nodes + 5 * row, f, slope)


cdef inline void add_up_group(
    int repeat, const RadialTable *table, const vec *weights, const int32_t *interval,
    Py_ssize_t n_vectors, const vec *sums, vec *totals,
) noexcept nogil:
    """Set ``totals`` (TERMS,): sums over l of one group; inlined with a constant."""
    cdef vec[4] f
    cdef vec[4] slopes
    cdef const vec *nodes[4]
    cdef const vec *sum_
    cdef vec along, x, y, z
    cdef Py_ssize_t row = row_length(table, totals), v, at
    cdef int l = 0, e
    along = x = y = z = splat(0, totals)
    for e in range(repeat):
        nodes[e] = nodes_of(table, interval[e], totals)
    while l < table.n_l:
        for v in range(vectors_of_l(table, l, n_vectors, totals)):
            at = first_of_l(table, l, totals) + v * lanes_of(totals)
            for e in range(repeat):
                look_up_vector(
                    number_at(weights, e), number_at(nodes[e], at), row, &f[e], &slopes[e]
                )
            interleave(f, repeat)
            interleave(slopes, repeat)
            for e in range(repeat):
                if e == 0 or l + e < table.n_l:
                    sum_ = sums + ((l + e) * n_vectors + v) * TERMS
                    along = along + slopes[e] * sum_[ALONG]
                    x = x + f[e] * sum_[IN_X]
                    y = y + f[e] * sum_[IN_Y]
                    z = z + f[e] * sum_[IN_Z]
        l += repeat
    totals[ALONG] = along
    totals[IN_X] = x
    totals[IN_Y] = y
    totals[IN_Z] = z


cdef inline vec sums_of_entries(int repeat, const vec *totals) noexcept nogil:
    """One number for each of a vector of entries, from the vector of each group, TERMS apart.

    Inlined with a constant.
    """
    cdef Py_ssize_t lanes = lanes_of(totals), k
    cdef vec[MOST_LANES] transposed
    cdef vec[4] sums
    for k in range(lanes):
        transposed[k] = totals[k * TERMS] if k < lanes // repeat else splat(0, totals)
    transpose(transposed, 1, transposed, 1)
    for k in range(repeat):
        sums[k] = transposed[k]
    for k in range(repeat, lanes):
        sums[k % repeat] = sums[k % repeat] + transposed[k]
    interleave(sums, repeat)
    return sums[0]


# ---- the gradient


cdef inline int groups_at_once() noexcept nogil:
    """There are registers for the sums of so many."""
    return 4 if SIMD_BYTES == 64 else 2


cdef inline void vector_of_entries(
    int repeat, Py_ssize_t n_vectors, const ExpansionPlan *plan, const Environment *env,
    Expansion *work, Py_ssize_t b, Py_ssize_t n, vec *out,
) noexcept nogil:
    """Of n entries of vector b; inlined with constants."""
    cdef Py_ssize_t lanes = lanes_of(out), n_sums = plan.table.n_l * n_vectors * TERMS, k = 0
    cdef const vec *weights = <const vec *> work.places.weights + b * N_WEIGHTS
    cdef const vec *harmonics = <const vec *> work.harmonics + b * plan.n_lm
    cdef const int32_t *source = work.neighborhood.source + b * lanes
    cdef vec *sums = <vec *> work.sums_of_groups
    cdef vec *totals = <vec *> work.totals
    cdef vec scale = splat(1 / plan.cutoff, out), along, x, y, z
    cdef int g
    while k < n:
        fill_sums(
            groups_at_once(), repeat, &plan.table, n_vectors, number_at(harmonics, k),
            <const vec *> work.terms, sums,
        )
        for g in range(groups_at_once()):
            if k < n:
                add_up_group(
                    repeat, &plan.table, number_at(weights, k),
                    work.places.interval + b * lanes + k, n_vectors, sums + g * n_sums,
                    totals + k // repeat * TERMS,
                )
            k += repeat
    along = 2 * sums_of_entries(repeat, totals + ALONG)
    x = scale * sums_of_entries(repeat, totals + IN_X)
    y = scale * sums_of_entries(repeat, totals + IN_Y)
    z = scale * sums_of_entries(repeat, totals + IN_Z)
    x = x + along * (<const vec *> work.neighborhood.x)[b]
    y = y + along * (<const vec *> work.neighborhood.y)[b]
    z = z + along * (<const vec *> work.neighborhood.z)[b]
    put_gradients(env, source, n, &x, &y, &z, out)


cdef inline void all_species(
    int repeat, Py_ssize_t n_vectors, const ExpansionPlan *plan, const Environment *env,
    Expansion *work, const vec *weights, vec *out,
) noexcept nogil:
    """``weights``: w as often as entries share a vector; inlined with constants."""
    cdef Py_ssize_t lanes = lanes_of(out), species, begin, end
    for species in range(plan.n_species):
        begin, end = work.neighborhood.begin[species], work.neighborhood.end[species]
        if begin == end:
            continue
        fill_terms(
            plan.l_max, n_vectors, weights + species * n_vectors, plan.n_species * n_vectors,
            <vec *> work.terms,
        )
        while begin < end:
            vector_of_entries(
                repeat, n_vectors, plan, env, work, begin // lanes, min(lanes, end - begin), out
            )
            begin += lanes


cdef void vjp_by_functions(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_density,
    vec *out,
) noexcept nogil:
    """See expansion_vjp.pyx, which has called begin_expansion."""
    cdef int repeat = repeat_of(plan, out)
    cdef Py_ssize_t n = density_vectors(plan, out)
    cdef Py_ssize_t n_vectors = vectors_for(repeat * plan.n_max, out)
    cdef vec *weights = <vec *> work.weights
    if n_vectors > 1:
        all_species(1, n_vectors, plan, env, work, by_density, out)
    elif repeat == 1:
        all_species(1, 1, plan, env, work, by_density, out)
    elif repeat == 2:
        repeat_weights(2, n, by_density, weights)
        all_species(2, 1, plan, env, work, weights, out)
    else:
        repeat_weights(4, n, by_density, weights)
        all_species(4, 1, plan, env, work, weights, out)
