"""c4 and c5 of one environment: sums over tiles of triplets, and their changes.

NOTATION  a radial part R_g is that of a group, A_s an angular part:

    D_gs = Σ_jk R_g(R_j) R_g(R_k) A_s(θ) [R_g(R_jk)]

For one j, R_g(R_j) is one number. The sum over k is a sum of products of two vectors for each
function. Rows are taken up to eight at a time, which share loads and have independent sums.
"""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport TripletBlock
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport (
    MOST_ROWS, Tile, VECTORS_AT_ONCE, active_vectors, fill_radial_of_jk, fill_tile, first_tile,
    next_tile, rows_at_once,
)
from torchml_core.kernels.verbs cimport TANGENTS, VALUES
from torchml_core.simd.vectors cimport get, lanes_of, splat, vec


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
