"""Neighbors j and k in tiles: what c4 and c5 are summed over.

c5 has no condition on R_jk, so that for each j the k that count are consecutive neighbors (see
compact.pyx), and nothing is packed: a *tile* is some j with the same k, whole vectors of them, and
all results for k are again whole vectors. Its j are in one bin, so that a radial part is 0 for all
of them or for none. θ and the angular parts are computed once for a tile; what is left for one
function is a multiply-add or two, only for those k whose radial part is not 0.

Each pair of neighbors counts once: k comes after j where both are of one class. Angular parts of
k up to j are set to 0. Padding has radial parts 0. c4 takes all k, and its radial part of R_jk is 0
for those that are too far from j.
"""

from torchml_core.descriptors.symmetry_functions.kernel.core_functions cimport compact_function
from torchml_core.kernels.verbs cimport TANGENTS, VALUES
from torchml_core.simd.elementary cimport varccos
from torchml_core.simd.vectors cimport (
    SIMD_BYTES, carve, put, splat, splat_at, vec, vfloat, vmax, vrsqrt,
)


cdef void lay_out_triplet_scratch(
    TripletScratch *work, Py_ssize_t most_terms, char **free_bytes
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n_bytes = VECTORS_AT_ONCE * SIMD_BYTES
    work.angles = carve(free_bytes, 2 * most_terms * n_bytes)
    work.cosine = carve(free_bytes, n_bytes)
    work.minus_slope = carve(free_bytes, n_bytes)
    work.cosine_dot = carve(free_bytes, n_bytes)
    work.square_dot = carve(free_bytes, n_bytes)
    work.distance = carve(free_bytes, n_bytes)
    work.inverse = carve(free_bytes, n_bytes)
    work.radial = carve(free_bytes, n_bytes)
    work.radial_slope = carve(free_bytes, n_bytes)
    work.first = carve(free_bytes, n_bytes)
    work.second = carve(free_bytes, n_bytes)
    work.by_cosine = carve(free_bytes, n_bytes)
    work.by_square = carve(free_bytes, n_bytes)
    work.alphas = carve(free_bytes, n_bytes)


# ---- which j and which k


cdef inline void find_span(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, Tile *tile,
    Py_ssize_t lanes,
) noexcept nogil:
    """Set begin, all_end and n_j of the first tile of first_j; begin = all_end if there is no k.

    The intervals of all radial parts that j has overlap, since j is in each of them. So what they
    cover together is one interval.
    """
    cdef const TripletBlock *block = tile.block
    cdef const int32_t *of_j = parts.first + tile.a * (set.n_breaks + 2)
    cdef const int32_t *of_k = parts.first + tile.b * (set.n_breaks + 2)
    cdef Py_ssize_t begin = neighborhood.end[tile.b], end = 0, g, first, last, n
    cdef int32_t bin = parts.ordered_bin[neighborhood.source[tile.first_j]]
    for g in range(block.n_groups):
        first = set.first_bin[block.radial[g]]
        last = set.last_bin[block.radial[g]]
        if first <= bin < last:
            begin = min(begin, of_k[first])
            end = max(end, of_k[last])
    if tile.a == tile.b:
        begin = max(begin, tile.first_j + 1)
    tile.n_j = of_j[bin + 1] - tile.first_j  # all of the bin
    if begin >= end:
        tile.begin = tile.all_end = 0
        return
    tile.begin = begin // lanes * lanes
    tile.all_end = end
    n = (end - tile.begin + lanes - 1) // lanes
    tile.n_j = min(tile.n_j, max(1, VECTORS_AT_ONCE // n))


cdef void first_tile(
    const TripletBlock *block, const Neighborhood *neighborhood, Py_ssize_t pair, Tile *tile,
    const vec *type_tag,
) noexcept nogil:
    """Let next_tile begin with a pair of classes."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), a = block.first[pair], b = block.second[pair]
    cdef Py_ssize_t n_a = neighborhood.end[a] - neighborhood.begin[a]
    cdef Py_ssize_t n_b = neighborhood.end[b] - neighborhood.begin[b]
    # Fewer vectors, if the longer list is that of k.
    if n_b * ((n_a + lanes - 1) // lanes) < n_a * ((n_b + lanes - 1) // lanes):
        a, b = b, a
    tile.block = block
    tile.weight = block.weight[pair]
    tile.a = a
    tile.b = b
    tile.first_j = neighborhood.begin[a]
    tile.n_j = tile.begin = tile.n = tile.all_end = 0


cdef bint next_tile(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, Tile *tile,
    const vec *type_tag,
) noexcept nogil:
    """Go on to the next tile; False if there is none."""
    cdef Py_ssize_t lanes = lanes_of(type_tag)
    tile.begin += tile.n * lanes
    while tile.begin >= tile.all_end:
        tile.first_j += tile.n_j
        if tile.first_j >= neighborhood.end[tile.a]:
            return False
        find_span(set, neighborhood, parts, tile, lanes)
    tile.n = min(VECTORS_AT_ONCE, (tile.all_end - tile.begin + lanes - 1) // lanes)
    return True


# ---- what all functions of a tile share


cdef inline void fill_cosines(
    const Tile *tile, const Neighborhood *neighborhood, vec *cosine
) noexcept nogil:
    cdef Py_ssize_t n = tile.n, first = tile.begin // lanes_of(cosine), j, v
    cdef const vec *x = <const vec *> neighborhood.x + first
    cdef const vec *y = <const vec *> neighborhood.y + first
    cdef const vec *z = <const vec *> neighborhood.z + first
    cdef const vec *inverse = <const vec *> neighborhood.inverse + first
    cdef vec xj, yj, zj, inverse_j
    for j in range(tile.first_j, tile.first_j + tile.n_j):
        xj = splat_at(<const vec *> neighborhood.x, j)
        yj = splat_at(<const vec *> neighborhood.y, j)
        zj = splat_at(<const vec *> neighborhood.z, j)
        inverse_j = splat_at(<const vec *> neighborhood.inverse, j)
        for v in range(n):
            cosine[v] = (x[v] * xj + y[v] * yj + z[v] * zj) * (inverse[v] * inverse_j)
        cosine += n


cdef void fill_tile(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, Purpose purpose,
    const vec *type_tag,
) noexcept nogil:
    """Fill angles, cosine, minus_slope and, where they are needed, the next four arrays."""
    cdef Py_ssize_t n = tile.n_j * tile.n, v, term
    cdef bint with_slopes = purpose != VALUES
    cdef vec *cosine = <vec *> work.cosine
    cdef vec *minus_slope = <vec *> work.minus_slope
    cdef vec *theta = <vec *> work.second
    cdef vec *angles = <vec *> work.angles
    cdef vec slope
    fill_cosines(tile, neighborhood, cosine)
    if with_slopes:
        for v in range(n):
            theta[v] = varccos(cosine[v], &slope)
            minus_slope[v] = slope
    else:
        for v in range(n):
            theta[v] = varccos(cosine[v], &slope)
    for term in range(tile.block.angles.n):
        compact_function(
            &tile.block.angles, term, theta, n, with_slopes, angles, angles + 1, 1 + with_slopes
        )
        angles += (1 + with_slopes) * VECTORS_AT_ONCE
    if tile.a == tile.b and tile.begin < tile.first_j + tile.n_j:
        leave_out(tile, <vec *> work.angles, with_slopes)
    if purpose == TANGENTS:
        fill_changes(tile, neighborhood, work, type_tag)
    if tile.block.with_jk:
        fill_distances(tile, neighborhood, work, type_tag)


cdef inline void leave_out(const Tile *tile, vec *angles, bint with_slopes) noexcept nogil:
    """Set the angular parts of k up to j to 0."""
    cdef Py_ssize_t lanes = lanes_of(angles), step = 1 + with_slopes, i, v, at, term, lane
    cdef vec mask = splat(0, angles)
    for i in range(tile.n_j):
        for v in range(tile.n):
            lane = tile.begin + v * lanes
            if lane > tile.first_j + i:
                break
            at = tile.first_j + i - lane  # the last lane to be left out
            for lane in range(lanes):
                put(&mask, lane, lane > at)
            for term in range(tile.block.angles.n):
                at = (term * VECTORS_AT_ONCE + i * tile.n + v) * step
                angles[at] = angles[at] * mask
                if with_slopes:
                    angles[at + 1] = angles[at + 1] * mask


cdef inline void fill_distances(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, const vec *type_tag
) noexcept nogil:
    """R_jk, from the difference of the vectors: exact where j and k are close."""
    cdef Py_ssize_t n = tile.n, first = tile.begin // lanes_of(type_tag), j, v
    cdef const vec *x = <const vec *> neighborhood.x + first
    cdef const vec *y = <const vec *> neighborhood.y + first
    cdef const vec *z = <const vec *> neighborhood.z + first
    cdef vec *distance = <vec *> work.distance
    cdef vec *inverse = <vec *> work.inverse
    cdef vec xj, yj, zj, dx, dy, dz, square
    cdef vec least = splat(1e-37 if vec is vfloat else 1e-300, type_tag)  # for k = j
    for j in range(tile.first_j, tile.first_j + tile.n_j):
        xj = splat_at(<const vec *> neighborhood.x, j)
        yj = splat_at(<const vec *> neighborhood.y, j)
        zj = splat_at(<const vec *> neighborhood.z, j)
        for v in range(n):
            dx = x[v] - xj
            dy = y[v] - yj
            dz = z[v] - zj
            square = vmax(dx * dx + dy * dy + dz * dz, least)
            inverse[v] = vrsqrt(square)
            distance[v] = square * inverse[v]
        distance += n
        inverse += n


cdef inline void fill_changes(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, const vec *type_tag
) noexcept nogil:
    """The changes of cosθ and R_jk² along the directions."""
    cdef Py_ssize_t n = tile.n, first = tile.begin // lanes_of(type_tag), j, v
    cdef const vec *x = <const vec *> neighborhood.x + first
    cdef const vec *y = <const vec *> neighborhood.y + first
    cdef const vec *z = <const vec *> neighborhood.z + first
    cdef const vec *dx = <const vec *> neighborhood.dx + first
    cdef const vec *dy = <const vec *> neighborhood.dy + first
    cdef const vec *dz = <const vec *> neighborhood.dz + first
    cdef const vec *inverse = <const vec *> neighborhood.inverse + first
    cdef const vec *square_dot = <const vec *> neighborhood.square_dot + first
    cdef const vec *cosine = <const vec *> work.cosine
    cdef vec *cosine_dot = <vec *> work.cosine_dot
    cdef vec *square_jk_dot = <vec *> work.square_dot
    cdef vec xj, yj, zj, dxj, dyj, dzj, inverse_j, square_dot_j, dot
    for j in range(tile.first_j, tile.first_j + tile.n_j):
        xj = splat_at(<const vec *> neighborhood.x, j)
        yj = splat_at(<const vec *> neighborhood.y, j)
        zj = splat_at(<const vec *> neighborhood.z, j)
        dxj = splat_at(<const vec *> neighborhood.dx, j)
        dyj = splat_at(<const vec *> neighborhood.dy, j)
        dzj = splat_at(<const vec *> neighborhood.dz, j)
        inverse_j = splat_at(<const vec *> neighborhood.inverse, j)
        square_dot_j = splat_at(<const vec *> neighborhood.square_dot, j)
        for v in range(n):
            dot = xj * dx[v] + x[v] * dxj + yj * dy[v] + y[v] * dyj + zj * dz[v] + z[v] * dzj
            cosine_dot[v] = dot * (inverse_j * inverse[v]) - 0.5 * cosine[v] * (
                square_dot_j * inverse_j * inverse_j + square_dot[v] * inverse[v] * inverse[v]
            )
            square_jk_dot[v] = 2 * (
                (x[v] - xj) * (dx[v] - dxj)
                + (y[v] - yj) * (dy[v] - dyj)
                + (z[v] - zj) * (dz[v] - dzj)
            )
        cosine += n
        cosine_dot += n
        square_jk_dot += n


cdef void fill_radial_of_jk(
    const CompactSet *set, const Tile *tile, TripletScratch *work, Py_ssize_t radial,
    const vec *type_tag,
) noexcept nogil:
    """Fill radial and radial_slope."""
    cdef const vec *inverse = <const vec *> work.inverse
    cdef vec *values = <vec *> work.radial
    cdef vec *slopes = <vec *> work.radial_slope
    cdef Py_ssize_t n = tile.n_j * tile.n, v
    compact_function(
        &set.radials, radial, <const vec *> work.distance, n, True, values, slopes, 1
    )
    for v in range(n):
        slopes[v] = slopes[v] * inverse[v]
