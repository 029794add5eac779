"""The Jacobian of the compact functions of one environment: every function's derivatives.

It is computed function by function, so its cost is its size. What functions share is computed as
for the gradient of an energy, see compact_angular.pyx.
"""

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport TripletBlock
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport (
    Tile, VECTORS_AT_ONCE, active_vectors, fill_radial_of_jk, fill_tile, first_tile, next_tile,
)
from torchml_core.kernels.verbs cimport GRADIENTS
from torchml_core.simd.vectors cimport get, lanes_of, put, splat, splat_at, vec


cdef inline void radial_jacobian(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width, vec *out,
) noexcept nogil:
    """Of c2."""
    cdef const vec *slopes
    cdef Py_ssize_t row, i, c, at
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


cdef inline void row_gradients(
    const Tile *tile, const Neighborhood *neighborhood, const RadialParts *parts,
    const TripletScratch *work, Py_ssize_t row, Py_ssize_t radial, Py_ssize_t i,
    Py_ssize_t begin, Py_ssize_t end, vec *alpha, vec *beta, vec *gamma,
) noexcept nogil:
    """α, β and γ of one function and the tile's j number i."""
    cdef Py_ssize_t j = tile.first_j + i, first = tile.begin // lanes_of(alpha), v
    cdef const vec *angles = <const vec *> work.angles
    cdef const vec *cosine = <const vec *> work.cosine + i * tile.n
    cdef const vec *minus_slope = <const vec *> work.minus_slope + i * tile.n
    cdef const vec *radial_jk = <const vec *> work.radial + i * tile.n
    cdef const vec *slope_jk = <const vec *> work.radial_slope + i * tile.n
    cdef const vec *values = <const vec *> parts.values + radial * parts.stride
    cdef const vec *slopes = <const vec *> parts.slopes + radial * parts.stride
    cdef const vec *inverse = <const vec *> neighborhood.inverse + first
    cdef vec inverse_j = splat_at(<const vec *> neighborhood.inverse, j)
    cdef vec of_j = splat(tile.weight * get(values, j), alpha)
    cdef vec slope_of_j = splat(tile.weight * get(slopes, j), alpha)
    cdef vec e_cosine, tilt, by_square, of_jk
    angles += 2 * (tile.block.term[row] * VECTORS_AT_ONCE + i * tile.n)
    values += first
    slopes += first
    for v in range(begin, end):
        of_jk = splat(1, alpha)
        by_square = splat(0, alpha)
        if tile.block.with_jk:
            of_jk = radial_jk[v]
            by_square = of_j * values[v] * angles[2 * v] * slope_jk[v]
        e_cosine = -(of_j * values[v] * of_jk * angles[2 * v + 1] * minus_slope[v])
        tilt = e_cosine * cosine[v]
        alpha[v] = (
            slope_of_j * values[v] * of_jk * angles[2 * v]
            - tilt * inverse_j * inverse_j + by_square
        )
        beta[v] = (
            of_j * slopes[v] * of_jk * angles[2 * v]
            - tilt * inverse[v] * inverse[v] + by_square
        )
        gamma[v] = e_cosine * inverse_j * inverse[v] - by_square


cdef inline void put_blocks(
    const Tile *tile, const Neighborhood *neighborhood, const Py_ssize_t *slot, Py_ssize_t width,
    Py_ssize_t component, Py_ssize_t j, Py_ssize_t begin, Py_ssize_t end, const vec *alpha,
    const vec *beta, const vec *gamma, vec *out,
) noexcept nogil:
    """Add α r_j + γ r_k to the block of j, β r_k + γ r_j to those of k."""
    cdef const vec *x = <const vec *> neighborhood.x
    cdef const vec *y = <const vec *> neighborhood.y
    cdef const vec *z = <const vec *> neighborhood.z
    cdef Py_ssize_t lanes = lanes_of(out), i, k, at, axis
    cdef double[3] sum, rj, rk
    cdef double a, b, c
    rj = [get(x, j), get(y, j), get(z, j)]
    sum = [0, 0, 0]
    for i in range(begin * lanes, end * lanes):
        k = tile.begin + i
        if neighborhood.source[k] < 0:
            continue
        a = get(alpha, i)
        b = get(beta, i)
        c = get(gamma, i)
        rk = [get(x, k), get(y, k), get(z, k)]
        at = slot[neighborhood.source[k]] * 3 * width + component
        for axis in range(3):
            sum[axis] += a * rj[axis] + c * rk[axis]
            put(out, at, get(out, at) + b * rk[axis] + c * rj[axis])
            at += width
    at = slot[neighborhood.source[j]] * 3 * width + component
    for axis in range(3):
        put(out, at, get(out, at) + sum[axis])
        at += width


cdef inline void tile_jacobian(
    const CompactSet *set, const Tile *tile, const Neighborhood *neighborhood,
    const RadialParts *parts, TripletScratch *work, const int32_t *components,
    const Py_ssize_t *slot, Py_ssize_t width, vec *out,
) noexcept nogil:
    cdef const TripletBlock *block = tile.block
    cdef vec *alpha = <vec *> work.first
    cdef vec *beta = <vec *> work.second
    cdef vec *gamma = <vec *> work.by_cosine
    cdef Py_ssize_t g, i, row, begin, end
    for g in range(block.n_groups):
        if not active_vectors(set, parts, tile, block.radial[g], &begin, &end, out):
            continue
        if block.with_jk:
            fill_radial_of_jk(set, tile, work, block.radial[g], out)
        for row in range(block.group[g], block.group[g + 1]):
            for i in range(tile.n_j):
                row_gradients(
                    tile, neighborhood, parts, work, row, block.radial[g], i, begin, end,
                    alpha, beta, gamma,
                )
                put_blocks(
                    tile, neighborhood, slot, width, components[row], tile.first_j + i,
                    begin, end, alpha, beta, gamma, out,
                )


cdef void compact_jacobian(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width,
    vec *out,
) noexcept nogil:
    """Add every function's derivatives to ``out``, a (3, width) block for each list entry."""
    cdef const TripletBlock *block
    cdef Py_ssize_t i, pair
    cdef Tile tile
    radial_jacobian(set, neighborhood, parts, components, slot, width, out)
    for i in range(set.n_blocks):
        block = &set.blocks[i]
        for pair in range(block.n_pairs):
            first_tile(block, neighborhood, pair, &tile, out)
            while next_tile(set, neighborhood, parts, &tile, out):
                fill_tile(&tile, neighborhood, work, GRADIENTS, out)
                tile_jacobian(
                    set, &tile, neighborhood, parts, work, components + block.first_sum, slot,
                    width, out,
                )
