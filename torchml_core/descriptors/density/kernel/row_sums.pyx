"""Sums over neighbors of harmonics times radial functions, which are looked up on the way.

    out[lm] = Σ_j S_lm(j) f_l(j),    f_l(j) = Σ_k w_k(j) node_kl

The same sums as those of rows (radial_table.pyx) in products.pyx, in the same order, but rows stay
in registers. A lookup waits for the L2 cache and a product for loads: here one goes on while the
other waits. Loads are what counts, of which there are two per cycle, so the sums of several l are
in registers at a time, and weights are loaded once for all of these.
"""

from torchml_core.descriptors.density.kernel.radial_table cimport (
    N_WEIGHTS, first_of_l, nodes_of, row_length,
)
from torchml_core.simd.vectors cimport (
    held_pointer, interleave, lanes_of, load_at, number_at, repeat_at, splat, splat_at, vec,
)

# Loops over a constant number of sums are unrolled only in functions that are inlined: compilers
# must not weigh it.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """

cdef enum:
    MOST_SUMS = 20              # of l = 4 and 5


cdef inline void add_node(
    int n, int repeat, vec weight, const vec *node, const Py_ssize_t *at, vec *f
) noexcept nogil:
    cdef int v
    node = held_pointer(node)
    for v in range(n):
        f[repeat * v] = f[repeat * v] + weight * load_at(node, at[v])


cdef inline void look_up_entry(
    int n, int repeat, const vec *weights, const vec *nodes, Py_ssize_t row, const Py_ssize_t *at,
    vec *f,
) noexcept nogil:
    """Set every ``repeat``-th of n vectors; ``row``: vectors. Inlined with constants.

    The order is that of fill_group in radial_table.pyx, so that results have the same bits.
    """
    cdef Py_ssize_t lanes = lanes_of(f)
    cdef int v
    for v in range(n):
        f[repeat * v] = splat(0, f)
    add_node(n, repeat, splat_at(weights, 0), nodes, at, f)
    add_node(n, repeat, splat_at(weights, 5 * lanes), nodes + 3 * row, at, f)
    add_node(n, repeat, splat_at(weights, lanes), nodes + row, at, f)
    add_node(n, repeat, splat_at(weights, 4 * lanes), nodes + 4 * row, at, f)
    add_node(n, repeat, splat_at(weights, 2 * lanes), nodes + 2 * row, at, f)
    add_node(n, repeat, splat_at(weights, 3 * lanes), nodes + 5 * row, at, f)


cdef inline void add_harmonics(
    int l, int repeat, vec f, const vec *harmonics, vec *sums
) noexcept nogil:
    cdef int m
    for m in range(2 * l + 1):
        sums[m] = sums[m] + repeat_at(harmonics, m * lanes_of(sums), repeat) * f


cdef inline void sums_of_l(
    int n_l, int l, int repeat, const RowSums *p, const vec *harmonics, Py_ssize_t v, vec *out
) noexcept nogil:
    """Vector v of the functions of l ... l + n_l - 1; inlined with constants."""
    cdef vec[MOST_SUMS] sums
    cdef vec[4] f
    cdef Py_ssize_t[4] at
    cdef Py_ssize_t lanes = lanes_of(out), row = row_length(p.table, out)
    cdef Py_ssize_t j = p.begin, lane, k
    cdef int n = (n_l + repeat - 1) // repeat, i, n_sums = n_l * (2 * l + n_l)
    cdef const vec *weights = <const vec *> p.places.weights + j // lanes * N_WEIGHTS
    for i in range(n):
        at[i] = first_of_l(p.table, l + i * repeat, out) + v * lanes
    for k in range(n_sums):
        sums[k] = splat(0, out)
    while j < p.end:
        lane = 0
        while lane < min(lanes, p.end - j):
            for i in range(repeat):
                look_up_entry(
                    n, repeat, number_at(weights, lane + i),
                    nodes_of(p.table, p.places.interval[j + lane + i], out), row, at, f + i,
                )
            for i in range(n):
                interleave(f + i * repeat, repeat)
            add_harmonics(l, repeat, f[0], number_at(harmonics, lane), sums)
            if n_l > 1:
                k = 2 * l + 1
                add_harmonics(l + 1, repeat, f[1], number_at(harmonics + k, lane), sums + k)
            if n_l > 2:
                k = 4 * l + 4
                add_harmonics(l + 2, repeat, f[2], number_at(harmonics + k, lane), sums + k)
            if n_l > 3:
                k = 6 * l + 9
                add_harmonics(l + 3, repeat, f[3], number_at(harmonics + k, lane), sums + k)
            lane += repeat
        harmonics += p.n_lm
        weights += N_WEIGHTS
        j += lanes
    for k in range(n_sums):
        out[k * p.out_row] = sums[k]


cdef inline void sums_of_one_l(
    int l, int repeat, const RowSums *p, const vec *harmonics, Py_ssize_t v, vec *out
) noexcept nogil:
    """Call the instance for this l; ``repeat`` is a constant."""
    if l == 0:
        sums_of_l(1, 0, repeat, p, harmonics, v, out)
    elif l == 1:
        sums_of_l(1, 1, repeat, p, harmonics, v, out)
    elif l == 2:
        sums_of_l(1, 2, repeat, p, harmonics, v, out)
    elif l == 3:
        sums_of_l(1, 3, repeat, p, harmonics, v, out)
    elif l == 4:
        sums_of_l(1, 4, repeat, p, harmonics, v, out)
    elif l == 5:
        sums_of_l(1, 5, repeat, p, harmonics, v, out)
    else:
        sums_of_l(1, 6, repeat, p, harmonics, v, out)


cdef inline void all_sums(
    int repeat, const RowSums *p, const vec *harmonics, Py_ssize_t n_vectors, vec *out
) noexcept nogil:
    """``repeat`` is a constant."""
    cdef int l = 0, n
    cdef Py_ssize_t v
    while l < p.table.n_l:
        n = 1
        for v in range(n_vectors):
            if l == 0 and p.table.n_l > 3:
                n = 4
                sums_of_l(4, 0, repeat, p, harmonics, v, out + v)
            elif l == 4 and p.table.n_l > 5:
                n = 2
                sums_of_l(2, 4, repeat, p, harmonics + 16, v, out + 16 * p.out_row + v)
            else:
                sums_of_one_l(l, repeat, p, harmonics + l * l, v, out + l * l * p.out_row + v)
        l += n


cdef void sum_rows(
    const RowSums *p, int repeat, const vec *harmonics, Py_ssize_t n_vectors, vec *out
) noexcept nogil:
    """Fill ``out``: n_vectors for each (l, m)."""
    if repeat == 1:
        all_sums(1, p, harmonics, n_vectors, out)
    elif repeat == 2:
        all_sums(2, p, harmonics, n_vectors, out)
    else:
        all_sums(4, p, harmonics, n_vectors, out)
