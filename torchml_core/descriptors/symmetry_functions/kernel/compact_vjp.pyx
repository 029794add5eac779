"""The gradient of an energy with respect to positions, through c4 and c5 of one environment.

NOTATION  as in compact_angular.pyx. The sum over the angular parts of a group comes first,

    V_g = Σ_s (dE/dD_gs) A_s,   V'_g = Σ_s (dE/dD_gs) dA_s/dθ

from which follow dE/dcosθ, and what the radial parts contribute to α, β and γ:

    dE/dr_j = α r_j + γ r_k,   dE/dr_k = β r_k + γ r_j

as in angular.pyx. α and γ r_k are added up over k, β and γ r_j are whole vectors over k: nothing is
scattered.
"""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport TripletBlock
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport (
    MOST_ROWS, Tile, VECTORS_AT_ONCE, active_vectors, fill_radial_of_jk, fill_tile, first_tile,
    next_tile, rows_at_once,
)
from torchml_core.kernels.verbs cimport GRADIENTS
from torchml_core.simd.vectors cimport (
    get, lanes_of, number_at, put, splat, splat_at, total, vec,
)


# The radial part of a group, and where its β goes.
cdef struct Gradient:
    const void *values          # (n,) R of all neighbors, and R'/r
    const void *slopes
    void *along                 # (n,)


cdef inline void contract_rows(
    const Tile *tile, const TripletScratch *work, const Gradient *gradient, Py_ssize_t row, int n,
    bint with_jk, bint more, bint last, const vec *weights, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """Add up V and V' over n rows, and what follows from them to α, β, by_cosine and by_square.

    ``more``: V and V' of other rows of the group are in first and second; ``last``: all rows were
    added up, otherwise V and V' are stored there. Always inlined with constants for n, with_jk and
    last.
    """
    cdef const vec *angles = <const vec *> work.angles
    cdef const vec *radial_jk = <const vec *> work.radial
    cdef const vec *slope_jk = <const vec *> work.radial_slope
    cdef const vec *all_values = <const vec *> gradient.values
    cdef const vec *all_slopes = <const vec *> gradient.slopes
    cdef const vec *values = all_values + tile.begin // lanes_of(weights)
    cdef const vec *slopes = all_slopes + tile.begin // lanes_of(weights)
    cdef vec *value = <vec *> work.first
    cdef vec *slope = <vec *> work.second
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *along = <vec *> gradient.along + tile.begin // lanes_of(weights)
    cdef vec *alphas = <vec *> work.alphas
    cdef const int32_t *term = tile.block.term + row
    cdef Py_ssize_t[MOST_ROWS] at
    cdef vec[MOST_ROWS] w
    cdef vec of_j, sum, sum_a, sum_d, v_of_k
    cdef Py_ssize_t j, v
    cdef int i
    for i in range(n):
        at[i] = term[i] * (2 * VECTORS_AT_ONCE)
        w[i] = splat_at(weights, row + i)
    for j in range(tile.n_j):
        of_j = splat(tile.weight * get(all_values, tile.first_j + j), weights)
        sum = splat(0, weights)
        for v in range(begin, end):
            sum_a = w[0] * angles[at[0] + 2 * v]
            sum_d = w[0] * angles[at[0] + 2 * v + 1]
            for i in range(1, n):
                sum_a = sum_a + w[i] * angles[at[i] + 2 * v]
                sum_d = sum_d + w[i] * angles[at[i] + 2 * v + 1]
            if more:
                sum_a = sum_a + value[v]
                sum_d = sum_d + slope[v]
            if not last:
                value[v] = sum_a
                slope[v] = sum_d
                continue
            v_of_k = values[v] * of_j
            if with_jk:
                by_square[v] = by_square[v] + v_of_k * sum_a * slope_jk[v]
                v_of_k = v_of_k * radial_jk[v]
                sum_a = sum_a * radial_jk[v]
            by_cosine[v] = by_cosine[v] + v_of_k * sum_d
            along[v] = along[v] + sum_a * (slopes[v] * of_j)
            sum = sum + sum_a * values[v]
        if last:
            alphas[j] = alphas[j] + sum * splat(
                tile.weight * get(all_slopes, tile.first_j + j), weights
            )
        angles += 2 * tile.n
        value += tile.n
        slope += tile.n
        by_cosine += tile.n
        by_square += tile.n
        radial_jk += tile.n
        slope_jk += tile.n


cdef inline void contract_some(
    const Tile *tile, const TripletScratch *work, const Gradient *gradient, Py_ssize_t row, int n,
    bint with_jk, bint more, bint last, const vec *weights, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """contract_rows with constants."""
    if last:
        contract_rows(tile, work, gradient, row, n, with_jk, more, True, weights, begin, end)
    else:
        contract_rows(tile, work, gradient, row, n, with_jk, more, False, weights, begin, end)


cdef inline void contract_group(
    const Tile *tile, const TripletScratch *work, const Gradient *gradient, Py_ssize_t group,
    bint with_jk, const vec *weights, Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """All rows of a group. Always inlined with a constant ``with_jk``."""
    cdef Py_ssize_t row = tile.block.group[group], n_left = tile.block.group[group + 1] - row
    cdef bint more = False, last
    cdef int n
    while n_left > 0:
        n = rows_at_once(n_left)
        last = n == n_left
        if n == 8:
            contract_some(
                tile, work, gradient, row, 8, with_jk, more, last, weights, begin, end
            )
        elif n == 6:
            contract_some(
                tile, work, gradient, row, 6, with_jk, more, last, weights, begin, end
            )
        elif n == 4:
            contract_some(
                tile, work, gradient, row, 4, with_jk, more, last, weights, begin, end
            )
        elif n == 2:
            contract_some(
                tile, work, gradient, row, 2, with_jk, more, last, weights, begin, end
            )
        else:
            contract_some(
                tile, work, gradient, row, 1, with_jk, more, last, weights, begin, end
            )
        row += n
        n_left -= n
        more = True


cdef inline void add_tile_gradient(
    const Tile *tile, const Neighborhood *neighborhood, const TripletScratch *work, bint with_jk,
    vec *along, vec *x, vec *y, vec *z,
) noexcept nogil:
    """Add α, β and γ of a tile. Always inlined with a constant ``with_jk``."""
    cdef Py_ssize_t first = tile.begin // lanes_of(along), i, j, v
    cdef const vec *xs = <const vec *> neighborhood.x
    cdef const vec *ys = <const vec *> neighborhood.y
    cdef const vec *zs = <const vec *> neighborhood.z
    cdef const vec *inverses = <const vec *> neighborhood.inverse
    cdef const vec *cosine = <const vec *> work.cosine
    cdef const vec *minus_slope = <const vec *> work.minus_slope
    cdef const vec *by_cosine = <const vec *> work.by_cosine
    cdef const vec *by_square = <const vec *> work.by_square
    cdef vec zero = splat(0, along), alpha, sum_x, sum_y, sum_z, xj, yj, zj, inverse_j
    cdef vec minus_e_cosine, tilt, gamma, beta, inverse
    for i in range(tile.n_j):
        j = tile.first_j + i
        xj = splat_at(xs, j)
        yj = splat_at(ys, j)
        zj = splat_at(zs, j)
        inverse_j = splat_at(inverses, j)
        alpha = (<const vec *> work.alphas)[i]
        sum_x = sum_y = sum_z = zero
        for v in range(tile.n):
            inverse = inverses[first + v]
            minus_e_cosine = by_cosine[v] * minus_slope[v]
            tilt = minus_e_cosine * cosine[v]
            gamma = -(minus_e_cosine * inverse) * inverse_j
            beta = tilt * inverse * inverse
            alpha = alpha + tilt * (inverse_j * inverse_j)
            if with_jk:
                gamma = gamma - by_square[v]
                beta = beta + by_square[v]
                alpha = alpha + by_square[v]
            along[first + v] = along[first + v] + beta
            x[first + v] = x[first + v] + gamma * xj
            y[first + v] = y[first + v] + gamma * yj
            z[first + v] = z[first + v] + gamma * zj
            sum_x = sum_x + gamma * xs[first + v]
            sum_y = sum_y + gamma * ys[first + v]
            sum_z = sum_z + gamma * zs[first + v]
        put(along, j, get(along, j) + total(alpha))
        put(x, j, get(x, j) + total(sum_x))
        put(y, j, get(y, j) + total(sum_y))
        put(z, j, get(z, j) + total(sum_z))
        cosine += tile.n
        minus_slope += tile.n
        by_cosine += tile.n
        by_square += tile.n


cdef inline void tile_vjp(
    const CompactSet *set, const Tile *tile, const Neighborhood *neighborhood,
    const RadialParts *parts, TripletScratch *work, bint with_jk, const vec *weights,
    vec *along, vec *x, vec *y, vec *z,
) noexcept nogil:
    """Always inlined with a constant ``with_jk``."""
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *alphas = <vec *> work.alphas
    cdef Py_ssize_t g, begin, end, v, radial
    cdef Gradient gradient
    gradient.along = along
    for v in range(tile.n_j):
        alphas[v] = splat(0, along)
    for v in range(tile.n_j * tile.n):
        by_cosine[v] = splat(0, along)
        if with_jk:
            by_square[v] = splat(0, along)
    for g in range(tile.block.n_groups):
        radial = tile.block.radial[g]
        if not active_vectors(set, parts, tile, radial, &begin, &end, along):
            continue
        gradient.values = <const vec *> parts.values + radial * parts.stride
        gradient.slopes = <const vec *> parts.slopes + radial * parts.stride
        if with_jk:
            fill_radial_of_jk(set, tile, work, radial, along)
        contract_group(tile, work, &gradient, g, with_jk, weights, begin, end)
    add_tile_gradient(tile, neighborhood, work, with_jk, along, x, y, z)


cdef void compact_angular_vjp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, const vec *weights, vec *along, vec *x, vec *y, vec *z,
) noexcept nogil:
    """Add the gradient of Σ weights · values: along * r_j + (x, y, z), each (n,)."""
    cdef const TripletBlock *block
    cdef const vec *own
    cdef Py_ssize_t i, pair
    cdef Tile tile
    for i in range(set.n_blocks):
        block = &set.blocks[i]
        own = number_at(weights, block.first_sum)
        for pair in range(block.n_pairs):
            first_tile(block, neighborhood, pair, &tile, along)
            while next_tile(set, neighborhood, parts, &tile, along):
                fill_tile(&tile, neighborhood, work, GRADIENTS, along)
                if block.with_jk:
                    tile_vjp(set, &tile, neighborhood, parts, work, True, own, along, x, y, z)
                else:
                    tile_vjp(set, &tile, neighborhood, parts, work, False, own, along, x, y, z)
