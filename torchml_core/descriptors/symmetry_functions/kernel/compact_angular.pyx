"""c4 and c5 of one environment: sums over tiles of triplets, and their derivatives.

NOTATION  a radial part R_g is that of a group, A_s an angular part:

    D_gs = Σ_jk R_g(R_j) R_g(R_k) A_s(θ) [R_g(R_jk)]

For one j, R_g(R_j) is one number. For values, the sum over k is a sum of products of two vectors
for each function. For an energy, the sum over the angular parts of a group comes first,

    V_g = Σ_s (dE/dD_gs) A_s,   V'_g = Σ_s (dE/dD_gs) dA_s/dθ

from which follow dE/dcosθ, and what the radial parts contribute to α, β and γ:

    dE/dr_j = α r_j + γ r_k,   dE/dr_k = β r_k + γ r_j

as in angular.pyx. α and γ r_k are added up over k, β and γ r_j are whole vectors over k: nothing is
scattered. Rows are taken up to eight at a time, which share loads and have independent sums.
"""

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport TripletBlock
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport (
    Tile, VECTORS_AT_ONCE, active_vectors, fill_radial_of_jk, fill_tile, first_tile, next_tile,
)
from torchml_core.kernels.verbs cimport GRADIENTS, TANGENTS, VALUES
from torchml_core.simd.vectors cimport (
    get, lanes_of, number_at, put, splat, splat_at, total, vec,
)


cdef enum:
    MOST_ROWS = 8


cdef inline int rows_at_once(Py_ssize_t n) noexcept nogil:
    """How many of n rows to take next: a number for which there is a loop."""
    if n >= 8:
        return 8
    if n >= 6:
        return 6
    if n >= 4:
        return 4
    return 2 if n >= 2 else 1


# ---- values


cdef inline void add_rows(
    const Tile *tile, const vec *angles, Py_ssize_t row, int n, const vec *of_j, Py_ssize_t j,
    const vec *of_k, Py_ssize_t k_step, Py_ssize_t begin, Py_ssize_t end, vec *sums,
) noexcept nogil:
    """Add Σ_jk of_j of_k A_s to the sums of n rows. Always inlined with a constant n."""
    cdef const int32_t *term = tile.block.term + row
    cdef Py_ssize_t[MOST_ROWS] at
    cdef vec[MOST_ROWS] s
    cdef vec factor, times
    cdef Py_ssize_t v
    cdef int i
    for i in range(n):
        at[i] = term[i] * VECTORS_AT_ONCE
        s[i] = sums[i]
    for j in range(j, j + tile.n_j):
        times = splat(tile.weight * get(of_j, j), angles)
        for v in range(begin, end):
            factor = of_k[v] * times
            for i in range(n):
                s[i] = s[i] + factor * angles[at[i] + v]
        of_k += k_step
        angles += tile.n
    for i in range(n):
        sums[i] = s[i]


cdef inline void add_group(
    const Tile *tile, const vec *angles, Py_ssize_t group, const vec *of_j, const vec *of_k,
    Py_ssize_t k_step, Py_ssize_t begin, Py_ssize_t end, vec *sums,
) noexcept nogil:
    cdef Py_ssize_t row = tile.block.group[group], last = tile.block.group[group + 1]
    cdef Py_ssize_t j = tile.first_j
    cdef int n
    sums += row
    while row < last:
        n = rows_at_once(last - row)
        if n == 8:
            add_rows(tile, angles, row, 8, of_j, j, of_k, k_step, begin, end, sums)
        elif n == 6:
            add_rows(tile, angles, row, 6, of_j, j, of_k, k_step, begin, end, sums)
        elif n == 4:
            add_rows(tile, angles, row, 4, of_j, j, of_k, k_step, begin, end, sums)
        elif n == 2:
            add_rows(tile, angles, row, 2, of_j, j, of_k, k_step, begin, end, sums)
        else:
            add_rows(tile, angles, row, 1, of_j, j, of_k, k_step, begin, end, sums)
        row += n
        sums += n


cdef inline void multiply_by_radial_of_jk(
    const Tile *tile, const TripletScratch *work, const vec *of_k, vec *out
) noexcept nogil:
    """R(R_k) R(R_jk), for each j."""
    cdef const vec *radial = <const vec *> work.radial
    cdef Py_ssize_t i, v
    for i in range(tile.n_j):
        for v in range(tile.n):
            out[i * tile.n + v] = of_k[v] * radial[i * tile.n + v]


cdef inline void add_tile(
    const CompactSet *set, const Tile *tile, const RadialParts *parts, TripletScratch *work,
    vec *sums,
) noexcept nogil:
    cdef const TripletBlock *block = tile.block
    cdef const vec *angles = <const vec *> work.angles
    cdef const vec *of_j
    cdef const vec *of_k
    cdef vec *product = <vec *> work.first
    cdef Py_ssize_t g, begin, end
    for g in range(block.n_groups):
        if not active_vectors(set, parts, tile, block.radial[g], &begin, &end, sums):
            continue
        of_j = <const vec *> parts.values + block.radial[g] * parts.stride
        of_k = of_j + tile.begin // lanes_of(sums)
        if block.with_jk:
            fill_radial_of_jk(set, tile, work, block.radial[g], sums)
            multiply_by_radial_of_jk(tile, work, of_k, product)
            add_group(tile, angles, g, of_j, product, tile.n, begin, end, sums)
        else:
            add_group(tile, angles, g, of_j, of_k, 0, begin, end, sums)


cdef void compact_angular_value(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, vec *sums,
) noexcept nogil:
    """Add the values, lane by lane, to ``sums`` of the set."""
    cdef const TripletBlock *block
    cdef Py_ssize_t i, pair
    cdef Tile tile
    for i in range(set.n_blocks):
        block = &set.blocks[i]
        for pair in range(block.n_pairs):
            first_tile(block, neighborhood, pair, &tile, sums)
            while next_tile(set, neighborhood, parts, &tile, sums):
                fill_tile(&tile, neighborhood, work, VALUES, sums)
                add_tile(set, &tile, parts, work, sums + block.first_sum)


# ---- vjp


cdef inline void contract_rows(
    const Tile *tile, const vec *angles, Py_ssize_t row, int n, bint more, const vec *weights,
    Py_ssize_t begin, Py_ssize_t end, vec *value, vec *slope,
) noexcept nogil:
    """Set value and slope to V and V' of n rows, or add them. Always inlined with a constant n."""
    cdef const int32_t *term = tile.block.term + row
    cdef Py_ssize_t[MOST_ROWS] at
    cdef vec[MOST_ROWS] w
    cdef vec sum_a, sum_d
    cdef Py_ssize_t j, v
    cdef int i
    for i in range(n):
        at[i] = term[i] * (2 * VECTORS_AT_ONCE)
        w[i] = splat_at(weights, row + i)
    for j in range(tile.n_j):
        for v in range(begin, end):
            sum_a = w[0] * angles[at[0] + 2 * v]
            sum_d = w[0] * angles[at[0] + 2 * v + 1]
            for i in range(1, n):
                sum_a = sum_a + w[i] * angles[at[i] + 2 * v]
                sum_d = sum_d + w[i] * angles[at[i] + 2 * v + 1]
            if more:
                sum_a = sum_a + value[v]
                sum_d = sum_d + slope[v]
            value[v] = sum_a
            slope[v] = sum_d
        angles += 2 * tile.n
        value += tile.n
        slope += tile.n


cdef inline void contract_group(
    const Tile *tile, TripletScratch *work, Py_ssize_t group, const vec *weights,
    Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """Fill first with V and second with V'."""
    cdef const vec *angles = <const vec *> work.angles
    cdef vec *value = <vec *> work.first
    cdef vec *slope = <vec *> work.second
    cdef Py_ssize_t row = tile.block.group[group], last = tile.block.group[group + 1]
    cdef bint more = False
    cdef int n
    while row < last:
        n = rows_at_once(last - row)
        if n == 8:
            contract_rows(tile, angles, row, 8, more, weights, begin, end, value, slope)
        elif n == 6:
            contract_rows(tile, angles, row, 6, more, weights, begin, end, value, slope)
        elif n == 4:
            contract_rows(tile, angles, row, 4, more, weights, begin, end, value, slope)
        elif n == 2:
            contract_rows(tile, angles, row, 2, more, weights, begin, end, value, slope)
        else:
            contract_rows(tile, angles, row, 1, more, weights, begin, end, value, slope)
        row += n
        more = True


cdef inline void add_group_gradient(
    const Tile *tile, const RadialParts *parts, TripletScratch *work, Py_ssize_t radial,
    Py_ssize_t begin, Py_ssize_t end, bint with_jk, vec *along, vec *alphas,
) noexcept nogil:
    """Add what follows from V and V': by_cosine, by_square, and to α of each j and β (along).

    Always inlined with a constant ``with_jk``.
    """
    cdef const vec *value = <const vec *> work.first
    cdef const vec *slope = <const vec *> work.second
    cdef const vec *radial_jk = <const vec *> work.radial
    cdef const vec *slope_jk = <const vec *> work.radial_slope
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef const vec *all_values = <const vec *> parts.values + radial * parts.stride
    cdef const vec *all_slopes = <const vec *> parts.slopes + radial * parts.stride
    cdef const vec *values = all_values + tile.begin // lanes_of(along)
    cdef const vec *slopes = all_slopes + tile.begin // lanes_of(along)
    cdef vec of_j, slope_of_j, sum, v_of_k, v_times
    cdef Py_ssize_t i, v
    along += tile.begin // lanes_of(along)
    for i in range(tile.n_j):
        of_j = splat(tile.weight * get(all_values, tile.first_j + i), along)
        slope_of_j = splat(tile.weight * get(all_slopes, tile.first_j + i), along)
        sum = splat(0, along)
        for v in range(begin, end):
            v_of_k = values[v] * of_j
            v_times = value[v]
            if with_jk:
                by_square[v] = by_square[v] + v_of_k * value[v] * slope_jk[v]
                v_of_k = v_of_k * radial_jk[v]
                v_times = v_times * radial_jk[v]
            by_cosine[v] = by_cosine[v] + v_of_k * slope[v]
            along[v] = along[v] + v_times * (slopes[v] * of_j)
            sum = sum + v_times * values[v]
        alphas[i] = alphas[i] + sum * slope_of_j
        value += tile.n
        slope += tile.n
        by_cosine += tile.n
        by_square += tile.n
        radial_jk += tile.n
        slope_jk += tile.n


cdef inline void add_tile_gradient(
    const Tile *tile, const Neighborhood *neighborhood, const TripletScratch *work, bint with_jk,
    const vec *alphas, vec *along, vec *x, vec *y, vec *z,
) noexcept nogil:
    """Add α, β and γ of a tile; ``alphas`` (n_j,): what the radial parts contribute to α.

    Always inlined with a constant ``with_jk``.
    """
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
        alpha = alphas[i]
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
    cdef Py_ssize_t g, begin, end, v, radial
    cdef vec[VECTORS_AT_ONCE] alphas
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
        contract_group(tile, work, g, weights, begin, end)
        if with_jk:
            fill_radial_of_jk(set, tile, work, radial, along)
        add_group_gradient(tile, parts, work, radial, begin, end, with_jk, along, alphas)
    add_tile_gradient(tile, neighborhood, work, with_jk, alphas, along, x, y, z)


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


# ---- jvp


cdef inline void group_changes(
    const Tile *tile, const Neighborhood *neighborhood, const RadialParts *parts,
    const TripletScratch *work, Py_ssize_t radial, Py_ssize_t i, Py_ssize_t begin, Py_ssize_t end,
    vec *by_angle, vec *by_radial,
) noexcept nogil:
    """Of the tile's j number i: the change of a function is Σ_k by_angle dA/dθ + by_radial A."""
    cdef const vec *radial_jk = <const vec *> work.radial + i * tile.n
    cdef const vec *slope_jk = <const vec *> work.radial_slope + i * tile.n
    cdef const vec *minus_slope = <const vec *> work.minus_slope + i * tile.n
    cdef const vec *cosine_dot = <const vec *> work.cosine_dot + i * tile.n
    cdef const vec *square_jk_dot = <const vec *> work.square_dot + i * tile.n
    cdef const vec *square_dot = <const vec *> neighborhood.square_dot
    cdef const vec *values = <const vec *> parts.values + radial * parts.stride
    cdef const vec *slopes = <const vec *> parts.slopes + radial * parts.stride
    cdef Py_ssize_t j = tile.first_j + i, first = tile.begin // lanes_of(by_angle), v
    cdef vec of_j = splat(tile.weight * get(values, j), by_angle)
    cdef vec change_of_j = splat(
        0.5 * tile.weight * get(slopes, j) * get(square_dot, j), by_angle
    )
    cdef vec product, change
    values += first
    slopes += first
    square_dot += first
    for v in range(begin, end):
        product = of_j * values[v]
        change = change_of_j * values[v] + of_j * (0.5 * slopes[v] * square_dot[v])
        if tile.block.with_jk:
            change = change * radial_jk[v] + product * (0.5 * slope_jk[v] * square_jk_dot[v])
            product = product * radial_jk[v]
        by_angle[v] = -(product * minus_slope[v] * cosine_dot[v])
        by_radial[v] = change


cdef inline void tile_jvp(
    const CompactSet *set, const Tile *tile, const Neighborhood *neighborhood,
    const RadialParts *parts, TripletScratch *work, vec *sums,
) noexcept nogil:
    cdef const TripletBlock *block = tile.block
    cdef const vec *angles
    cdef vec *by_angle = <vec *> work.first
    cdef vec *by_radial = <vec *> work.second
    cdef Py_ssize_t g, i, row, v, begin, end
    cdef vec sum
    for g in range(block.n_groups):
        if not active_vectors(set, parts, tile, block.radial[g], &begin, &end, sums):
            continue
        if block.with_jk:
            fill_radial_of_jk(set, tile, work, block.radial[g], sums)
        for i in range(tile.n_j):
            group_changes(
                tile, neighborhood, parts, work, block.radial[g], i, begin, end, by_angle, by_radial
            )
            for row in range(block.group[g], block.group[g + 1]):
                angles = <const vec *> work.angles
                angles += 2 * (block.term[row] * VECTORS_AT_ONCE + i * tile.n)
                sum = sums[row]
                for v in range(begin, end):
                    sum = sum + by_radial[v] * angles[2 * v]
                    sum = sum + by_angle[v] * angles[2 * v + 1]
                sums[row] = sum


cdef void compact_angular_jvp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, vec *sums,
) noexcept nogil:
    """Add the changes of the values along the directions, lane by lane."""
    cdef const TripletBlock *block
    cdef Py_ssize_t i, pair
    cdef Tile tile
    for i in range(set.n_blocks):
        block = &set.blocks[i]
        for pair in range(block.n_pairs):
            first_tile(block, neighborhood, pair, &tile, sums)
            while next_tile(set, neighborhood, parts, &tile, sums):
                fill_tile(&tile, neighborhood, work, TANGENTS, sums)
                tile_jvp(set, &tile, neighborhood, parts, work, sums + block.first_sum)
