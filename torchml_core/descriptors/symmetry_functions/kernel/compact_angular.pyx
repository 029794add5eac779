"""c4 and c5 of one environment: sums over tiles of triplets, and their derivatives.

NOTATION  a radial part R_g is that of a group, A_s an angular part:

    D_gs = Σ_jk R_g(R_j) R_g(R_k) A_s(θ) [R_g(R_jk)]

For one j, R_g(R_j) is one number. For values, the sum over k is a sum of products of two vectors
for each function. For an energy, the sum over the angular parts of a group comes first,

    V_g = Σ_s (dE/dD_gs) A_s,   V'_g = Σ_s (dE/dD_gs) dA_s/dθ

from which follow dE/dcosθ, and what the radial parts contribute to α, β and γ:

    dE/dr_j = α r_j + γ r_k,   dE/dr_k = β r_k + γ r_j

as in angular.pyx. α and γ r_k are added up over k, β and γ r_j are whole vectors over k: nothing is
scattered.
"""

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport TripletBlock
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport (
    Tile, active_vectors, fill_radial_of_jk, fill_tile, next_tile, tile_stride,
)
from torchml_core.kernels.verbs cimport GRADIENTS, TANGENTS, VALUES
from torchml_core.simd.vectors cimport get, lanes_of, number_at, put, splat, splat_at, total


cdef enum:
    ROWS_AT_ONCE = 8


# ---- values


cdef inline void add_rows(
    const Tile *tile, const TripletScratch *work, Py_ssize_t row, int n, const vec *factor,
    Py_ssize_t begin, Py_ssize_t end, vec times, vec *sums,
) noexcept nogil:
    """Add times Σ_k factor A_s to the sums of n rows. Always inlined with a constant n."""
    cdef const vec *angles = <const vec *> work.angles
    cdef const int32_t *term = tile.block.term + row
    cdef Py_ssize_t stride = tile_stride(sums), v
    cdef Py_ssize_t[ROWS_AT_ONCE] at
    cdef vec[ROWS_AT_ONCE] s
    cdef vec f
    cdef int i
    for i in range(n):
        at[i] = term[i] * stride
        s[i] = splat(0, sums)
    for v in range(begin, end):
        f = factor[v]
        for i in range(n):
            s[i] = s[i] + f * angles[at[i] + v]
    for i in range(n):
        sums[row + i] = sums[row + i] + times * s[i]


cdef inline void add_group(
    const Tile *tile, const TripletScratch *work, Py_ssize_t group, const vec *factor,
    Py_ssize_t begin, Py_ssize_t end, vec times, vec *sums,
) noexcept nogil:
    cdef Py_ssize_t row = tile.block.group[group], last = tile.block.group[group + 1]
    while row + 8 <= last:
        add_rows(tile, work, row, 8, factor, begin, end, times, sums)
        row += 8
    if row + 6 <= last:
        add_rows(tile, work, row, 6, factor, begin, end, times, sums)
        row += 6
    if row + 4 <= last:
        add_rows(tile, work, row, 4, factor, begin, end, times, sums)
        row += 4
    if row + 2 <= last:
        add_rows(tile, work, row, 2, factor, begin, end, times, sums)
        row += 2
    if row < last:
        add_rows(tile, work, row, 1, factor, begin, end, times, sums)


cdef void compact_angular_value(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, vec *sums,
) noexcept nogil:
    """Add the values, lane by lane, to ``sums`` of the set."""
    cdef const TripletBlock *block
    cdef const vec *values
    cdef const vec *of_k
    cdef vec *product = <vec *> work.first
    cdef Py_ssize_t lanes = lanes_of(sums), i, pair, g, begin, end, v
    cdef Tile tile
    cdef vec times
    for i in range(set.n_blocks):
        block = &set.blocks[i]
        tile.block = block
        for pair in range(block.n_pairs):
            tile.j = -1
            while next_tile(set, neighborhood, parts, pair, &tile, sums):
                fill_tile(&tile, neighborhood, work, VALUES, sums)
                for g in range(block.n_groups):
                    if not active_vectors(set, parts, &tile, g, &begin, &end, sums):
                        continue
                    values = <const vec *> parts.values + block.radial[g] * parts.stride
                    of_k = values + tile.begin // lanes
                    times = splat(tile.weight * get(values, tile.j), sums)
                    if block.with_jk:
                        fill_radial_of_jk(set, &tile, work, block.radial[g], begin, end, sums)
                        for v in range(begin, end):
                            product[v] = of_k[v] * (<const vec *> work.radial)[v]
                        of_k = product
                    add_group(&tile, work, g, of_k, begin, end, times, sums + block.first_sum)


# ---- vjp


cdef inline void contract_rows(
    const Tile *tile, const TripletScratch *work, Py_ssize_t row, int n, bint more,
    const vec *weights, Py_ssize_t begin, Py_ssize_t end, vec *value, vec *slope,
) noexcept nogil:
    """Set value and slope to Σ w A_s and Σ w dA_s/dθ over n rows, or add them."""
    cdef const vec *angles = <const vec *> work.angles
    cdef const vec *slopes = <const vec *> work.angle_slopes
    cdef const int32_t *term = tile.block.term + row
    cdef Py_ssize_t stride = tile_stride(weights), v
    cdef Py_ssize_t[ROWS_AT_ONCE] at
    cdef vec[ROWS_AT_ONCE] w
    cdef vec sum_a, sum_d
    cdef int i
    for i in range(n):
        at[i] = term[i] * stride
        w[i] = splat_at(weights, row + i)
    for v in range(begin, end):
        sum_a = w[0] * angles[at[0] + v]
        sum_d = w[0] * slopes[at[0] + v]
        for i in range(1, n):
            sum_a = sum_a + w[i] * angles[at[i] + v]
            sum_d = sum_d + w[i] * slopes[at[i] + v]
        if more:
            sum_a = sum_a + value[v]
            sum_d = sum_d + slope[v]
        value[v] = sum_a
        slope[v] = sum_d


cdef inline void contract_group(
    const Tile *tile, TripletScratch *work, Py_ssize_t group, const vec *weights,
    Py_ssize_t begin, Py_ssize_t end,
) noexcept nogil:
    """Fill first with V and second with V'."""
    cdef vec *value = <vec *> work.first
    cdef vec *slope = <vec *> work.second
    cdef Py_ssize_t first = tile.block.group[group], last = tile.block.group[group + 1]
    cdef Py_ssize_t row = first
    while row + 8 <= last:
        contract_rows(tile, work, row, 8, row > first, weights, begin, end, value, slope)
        row += 8
    if row + 6 <= last:
        contract_rows(tile, work, row, 6, row > first, weights, begin, end, value, slope)
        row += 6
    if row + 4 <= last:
        contract_rows(tile, work, row, 4, row > first, weights, begin, end, value, slope)
        row += 4
    if row + 2 <= last:
        contract_rows(tile, work, row, 2, row > first, weights, begin, end, value, slope)
        row += 2
    if row < last:
        contract_rows(tile, work, row, 1, row > first, weights, begin, end, value, slope)


cdef inline void add_group_gradient(
    const CompactSet *set, const Tile *tile, const RadialParts *parts, TripletScratch *work,
    Py_ssize_t group, Py_ssize_t begin, Py_ssize_t end, bint with_jk, vec *along, vec *alpha,
) noexcept nogil:
    """Add what follows from V and V' to by_cosine, by_square, α and β (along, of the tile's k)."""
    cdef const vec *value = <const vec *> work.first
    cdef const vec *slope = <const vec *> work.second
    cdef const vec *radial_jk = <const vec *> work.radial
    cdef const vec *slope_jk = <const vec *> work.radial_slope
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef Py_ssize_t at = tile.block.radial[group] * parts.stride, first
    cdef const vec *values = <const vec *> parts.values + at
    cdef const vec *slopes = <const vec *> parts.slopes + at
    cdef vec of_j = splat(tile.weight * get(values, tile.j), along)
    cdef vec slope_of_j = splat(tile.weight * get(slopes, tile.j), along)
    cdef vec sum = splat(0, along), v_of_k, v_times
    cdef Py_ssize_t v
    first = tile.begin // lanes_of(along)
    values = values + first
    slopes = slopes + first
    if with_jk:
        fill_radial_of_jk(set, tile, work, tile.block.radial[group], begin, end, along)
    for v in range(begin, end):
        v_of_k = values[v] * of_j
        if with_jk:
            by_square[v] = by_square[v] + v_of_k * value[v] * slope_jk[v]
            v_of_k = v_of_k * radial_jk[v]
            v_times = value[v] * radial_jk[v]
        else:
            v_times = value[v]
        by_cosine[v] = by_cosine[v] + v_of_k * slope[v]
        along[v] = along[v] + v_times * slopes[v] * of_j
        sum = sum + v_times * values[v]
    alpha[0] = alpha[0] + sum * slope_of_j


cdef inline void add_tile_gradient(
    const Tile *tile, const Neighborhood *neighborhood, const TripletScratch *work, bint with_jk,
    vec alpha, vec *along, vec *x, vec *y, vec *z,
) noexcept nogil:
    """Add α, β and γ of a tile; ``alpha`` is what the radial parts contribute to α."""
    cdef Py_ssize_t lanes = lanes_of(along), first = tile.begin // lanes, j = tile.j, v
    cdef const vec *xs = <const vec *> neighborhood.x + first
    cdef const vec *ys = <const vec *> neighborhood.y + first
    cdef const vec *zs = <const vec *> neighborhood.z + first
    cdef const vec *inverses = <const vec *> neighborhood.inverse + first
    cdef const vec *cosine = <const vec *> work.cosine
    cdef const vec *minus_slope = <const vec *> work.minus_slope
    cdef const vec *by_cosine = <const vec *> work.by_cosine
    cdef const vec *by_square = <const vec *> work.by_square
    cdef vec xj = splat_at(<const vec *> neighborhood.x, j)
    cdef vec yj = splat_at(<const vec *> neighborhood.y, j)
    cdef vec zj = splat_at(<const vec *> neighborhood.z, j)
    cdef vec inverse_j = splat_at(<const vec *> neighborhood.inverse, j)
    cdef vec zero = splat(0, along), sum_x = zero, sum_y = zero, sum_z = zero
    cdef vec e_cosine, tilt, gamma, beta, inverse
    for v in range((tile.end - tile.begin) // lanes):
        inverse = inverses[v]
        e_cosine = by_cosine[v] * minus_slope[v]  # minus dE/dcosθ
        tilt = e_cosine * cosine[v]
        gamma = -(e_cosine * inverse) * inverse_j
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
        sum_x = sum_x + gamma * xs[v]
        sum_y = sum_y + gamma * ys[v]
        sum_z = sum_z + gamma * zs[v]
    put(along, j, get(along, j) + total(alpha))
    put(x, j, get(x, j) + total(sum_x))
    put(y, j, get(y, j) + total(sum_y))
    put(z, j, get(z, j) + total(sum_z))


cdef inline void tile_vjp(
    const CompactSet *set, const Tile *tile, const Neighborhood *neighborhood,
    const RadialParts *parts, TripletScratch *work, bint with_jk, const vec *weights,
    vec *along, vec *x, vec *y, vec *z,
) noexcept nogil:
    """Always inlined with a constant ``with_jk``."""
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef Py_ssize_t lanes = lanes_of(along), first = tile.begin // lanes, g, begin, end, v
    cdef vec zero = splat(0, along), alpha = zero
    for v in range((tile.end - tile.begin) // lanes):
        by_cosine[v] = zero
        if with_jk:
            by_square[v] = zero
    for g in range(tile.block.n_groups):
        if not active_vectors(set, parts, tile, g, &begin, &end, along):
            continue
        contract_group(tile, work, g, weights, begin, end)
        add_group_gradient(
            set, tile, parts, work, g, begin, end, with_jk, along + first, &alpha
        )
    add_tile_gradient(tile, neighborhood, work, with_jk, alpha, along, x, y, z)


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
        tile.block = block
        own = number_at(weights, block.first_sum)
        for pair in range(block.n_pairs):
            tile.j = -1
            while next_tile(set, neighborhood, parts, pair, &tile, along):
                fill_tile(&tile, neighborhood, work, GRADIENTS, along)
                if block.with_jk:
                    tile_vjp(
                        set, &tile, neighborhood, parts, work, True, own, along, x, y, z
                    )
                else:
                    tile_vjp(
                        set, &tile, neighborhood, parts, work, False, own, along, x, y, z
                    )


# ---- jvp


cdef inline void group_changes(
    const CompactSet *set, const Tile *tile, const Neighborhood *neighborhood,
    const RadialParts *parts, TripletScratch *work, Py_ssize_t group, Py_ssize_t begin,
    Py_ssize_t end, const vec *type_tag,
) noexcept nogil:
    """Fill first and second: the change of a function is Σ_k first dA/dθ + second A."""
    cdef const vec *radial_jk = <const vec *> work.radial
    cdef const vec *slope_jk = <const vec *> work.radial_slope
    cdef const vec *minus_slope = <const vec *> work.minus_slope
    cdef const vec *cosine_dot = <const vec *> work.cosine_dot
    cdef const vec *square_jk_dot = <const vec *> work.square_dot
    cdef const vec *square_dot = <const vec *> neighborhood.square_dot
    cdef vec *by_angle = <vec *> work.first
    cdef vec *by_radial = <vec *> work.second
    cdef Py_ssize_t at = tile.block.radial[group] * parts.stride, v
    cdef const vec *values = <const vec *> parts.values + at
    cdef const vec *slopes = <const vec *> parts.slopes + at
    cdef double half = 0.5 * tile.weight
    cdef vec of_j = splat(tile.weight * get(values, tile.j), type_tag)
    cdef vec change_of_j = splat(
        half * get(slopes, tile.j) * get(square_dot, tile.j), type_tag
    )
    cdef vec product, change
    at = tile.begin // lanes_of(type_tag)
    values = values + at
    slopes = slopes + at
    square_dot = square_dot + at
    if tile.block.with_jk:
        fill_radial_of_jk(set, tile, work, tile.block.radial[group], begin, end, type_tag)
    for v in range(begin, end):
        product = of_j * values[v]
        change = change_of_j * values[v] + of_j * (0.5 * slopes[v] * square_dot[v])
        if tile.block.with_jk:
            change = change * radial_jk[v] + product * (0.5 * slope_jk[v] * square_jk_dot[v])
            product = product * radial_jk[v]
        by_angle[v] = -(product * minus_slope[v] * cosine_dot[v])
        by_radial[v] = change


cdef void compact_angular_jvp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, vec *sums,
) noexcept nogil:
    """Add the changes of the values along the directions, lane by lane."""
    cdef const TripletBlock *block
    cdef const vec *angles = <const vec *> work.angles
    cdef const vec *slopes = <const vec *> work.angle_slopes
    cdef const vec *by_angle = <const vec *> work.first
    cdef const vec *by_radial = <const vec *> work.second
    cdef Py_ssize_t stride = tile_stride(sums), i, pair, g, begin, end, row, v, at
    cdef Tile tile
    cdef vec sum
    for i in range(set.n_blocks):
        block = &set.blocks[i]
        tile.block = block
        for pair in range(block.n_pairs):
            tile.j = -1
            while next_tile(set, neighborhood, parts, pair, &tile, sums):
                fill_tile(&tile, neighborhood, work, TANGENTS, sums)
                for g in range(block.n_groups):
                    if not active_vectors(set, parts, &tile, g, &begin, &end, sums):
                        continue
                    group_changes(
                        set, &tile, neighborhood, parts, work, g, begin, end, sums
                    )
                    for row in range(block.group[g], block.group[g + 1]):
                        at = block.term[row] * stride
                        sum = sums[block.first_sum + row]
                        for v in range(begin, end):
                            sum = sum + by_angle[v] * slopes[at + v]
                            sum = sum + by_radial[v] * angles[at + v]
                        sums[block.first_sum + row] = sum


# ---- jacobian


cdef inline void row_gradients(
    const Tile *tile, const Neighborhood *neighborhood, const RadialParts *parts,
    const TripletScratch *work, Py_ssize_t row, Py_ssize_t radial, Py_ssize_t begin,
    Py_ssize_t end, vec *alpha, vec *beta, vec *gamma,
) noexcept nogil:
    """α, β and γ of one function."""
    cdef Py_ssize_t lanes = lanes_of(alpha), first = tile.begin // lanes, v
    cdef Py_ssize_t at = tile.block.term[row] * tile_stride(alpha)
    cdef const vec *angles = <const vec *> work.angles + at
    cdef const vec *angle_slopes = <const vec *> work.angle_slopes + at
    cdef const vec *cosine = <const vec *> work.cosine
    cdef const vec *minus_slope = <const vec *> work.minus_slope
    cdef const vec *radial_jk = <const vec *> work.radial
    cdef const vec *slope_jk = <const vec *> work.radial_slope
    cdef const vec *values = <const vec *> parts.values + radial * parts.stride
    cdef const vec *slopes = <const vec *> parts.slopes + radial * parts.stride
    cdef const vec *inverse = <const vec *> neighborhood.inverse + first
    cdef vec inverse_j = splat_at(<const vec *> neighborhood.inverse, tile.j)
    cdef vec of_j = splat(tile.weight * get(values, tile.j), alpha)
    cdef vec slope_of_j = splat(tile.weight * get(slopes, tile.j), alpha)
    cdef vec one = splat(1, alpha), zero = splat(0, alpha)
    cdef vec e_cosine, tilt, by_square, radial_of_jk
    values = values + first
    slopes = slopes + first
    for v in range(begin, end):
        radial_of_jk = radial_jk[v] if tile.block.with_jk else one
        by_square = zero
        if tile.block.with_jk:
            by_square = of_j * values[v] * angles[v] * slope_jk[v]
        e_cosine = -(of_j * values[v] * radial_of_jk * angle_slopes[v] * minus_slope[v])
        tilt = e_cosine * cosine[v]
        alpha[v] = (
            slope_of_j * values[v] * radial_of_jk * angles[v]
            - tilt * inverse_j * inverse_j + by_square
        )
        beta[v] = (
            of_j * slopes[v] * radial_of_jk * angles[v]
            - tilt * inverse[v] * inverse[v] + by_square
        )
        gamma[v] = e_cosine * inverse_j * inverse[v] - by_square


cdef inline void put_blocks(
    const Tile *tile, const Neighborhood *neighborhood, const Py_ssize_t *slot, Py_ssize_t width,
    Py_ssize_t component, Py_ssize_t begin, Py_ssize_t end, const vec *alpha, const vec *beta,
    const vec *gamma, vec *out,
) noexcept nogil:
    """Add α r_j + γ r_k to the blocks of j, β r_k + γ r_j to those of k."""
    cdef const vec *x = <const vec *> neighborhood.x
    cdef const vec *y = <const vec *> neighborhood.y
    cdef const vec *z = <const vec *> neighborhood.z
    cdef Py_ssize_t of_j = slot[neighborhood.source[tile.j]] * 3 * width + component
    cdef Py_ssize_t lanes = lanes_of(out), i, k, at, axis
    cdef double[3] sum, rj, rk
    cdef double a, b, c
    rj = [get(x, tile.j), get(y, tile.j), get(z, tile.j)]
    sum = [0, 0, 0]
    for i in range(begin * lanes, end * lanes):
        k = tile.begin + i
        if neighborhood.source[k] < 0:
            continue
        a = get(alpha, i)
        b = get(beta, i)
        c = get(gamma, i)
        at = slot[neighborhood.source[k]] * 3 * width + component
        rk = [get(x, k), get(y, k), get(z, k)]
        for axis in range(3):
            sum[axis] += a * rj[axis] + c * rk[axis]
            put(out, at, get(out, at) + b * rk[axis] + c * rj[axis])
            at += width
    for axis in range(3):
        at = of_j + axis * width
        put(out, at, get(out, at) + sum[axis])


cdef inline void radial_jacobian(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width, vec *out,
) noexcept nogil:
    """Of c2."""
    cdef Py_ssize_t row, i, c, at
    cdef const vec *slopes
    cdef double along
    for row in range(set.n_rows):
        slopes = <const vec *> parts.slopes + set.row_radial[row] * parts.stride
        c = set.row_class[row]
        for i in range(neighborhood.begin[c], neighborhood.end[c]):
            along = set.row_weight[row] * get(slopes, i)
            at = slot[neighborhood.source[i]] * 3 * width + components[set.row_sum[row]]
            put(out, at, get(out, at) + along * get(<const vec *> neighborhood.x, i))
            at += width
            put(out, at, get(out, at) + along * get(<const vec *> neighborhood.y, i))
            at += width
            put(out, at, get(out, at) + along * get(<const vec *> neighborhood.z, i))


cdef void compact_jacobian(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width,
    vec *out,
) noexcept nogil:
    """Add every function's derivatives to ``out``, a (3, width) block for each list entry."""
    cdef const TripletBlock *block
    cdef vec *alpha = <vec *> work.first
    cdef vec *beta = <vec *> work.second
    cdef vec *gamma = <vec *> work.by_cosine
    cdef Py_ssize_t i, pair, g, begin, end, row
    cdef Tile tile
    radial_jacobian(set, neighborhood, parts, components, slot, width, out)
    for i in range(set.n_blocks):
        block = &set.blocks[i]
        tile.block = block
        for pair in range(block.n_pairs):
            tile.j = -1
            while next_tile(set, neighborhood, parts, pair, &tile, out):
                fill_tile(&tile, neighborhood, work, GRADIENTS, out)
                for g in range(block.n_groups):
                    if not active_vectors(set, parts, &tile, g, &begin, &end, out):
                        continue
                    if block.with_jk:
                        fill_radial_of_jk(set, &tile, work, block.radial[g], begin, end, out)
                    for row in range(block.group[g], block.group[g + 1]):
                        row_gradients(
                            &tile, neighborhood, parts, work, row, block.radial[g], begin, end,
                            alpha, beta, gamma,
                        )
                        put_blocks(
                            &tile, neighborhood, slot, width, components[block.first_sum + row],
                            begin, end, alpha, beta, gamma, out,
                        )
