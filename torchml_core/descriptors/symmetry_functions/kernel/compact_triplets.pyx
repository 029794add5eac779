"""One neighbor j and many k: what c4 and c5 are summed over.

c5 has no condition on R_jk, so that for each j the k that count are consecutive neighbors (see
compact.pyx), and nothing is packed: a *tile* is one j with up to NEIGHBORS_AT_ONCE k, whole vectors
of them, and all results for k are again whole vectors. θ and the angular parts are computed once for
a tile; what is left for one function is a multiply-add or two, only for those k whose radial part
is not 0.

Each pair of neighbors counts once: k comes after j where both are of one class. In the first
vector angular parts of k up to j are set to 0. Padding has radial parts 0. c4 takes all k, and its
radial part of R_jk is 0 for those that are too far from j.
"""

from torchml_core.descriptors.symmetry_functions.kernel.core_functions cimport (
    Intervals, compact_function,
)
from torchml_core.kernels.verbs cimport TANGENTS, VALUES
from torchml_core.simd.elementary cimport varccos
from torchml_core.simd.vectors cimport carve, put, splat, splat_at, vmax, vrsqrt, vstep


cdef void lay_out_triplet_scratch(
    TripletScratch *work, Py_ssize_t most_terms, char **free_bytes
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n_bytes = NEIGHBORS_AT_ONCE * sizeof(double)
    work.angles = carve(free_bytes, most_terms * n_bytes)
    work.angle_slopes = carve(free_bytes, most_terms * n_bytes)
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


# ---- which j and which k


cdef inline void find_span(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, Tile *tile,
    Py_ssize_t lanes,
) noexcept nogil:
    """Set begin and all_end of j's first tile; equal if no function has j.

    The intervals of all radial parts that j has overlap, since j is in each of them. So what they
    cover together is one interval.
    """
    cdef const TripletBlock *block = tile.block
    cdef const int32_t *of_j = parts.first + tile.a * (set.n_breaks + 2)
    cdef const int32_t *of_k = parts.first + tile.b * (set.n_breaks + 2)
    cdef Py_ssize_t begin = neighborhood.end[tile.b], end = 0, g, first, last
    for g in range(block.n_groups):
        first = set.first_bin[block.radial[g]]
        last = set.last_bin[block.radial[g]]
        if of_j[first] <= tile.j < of_j[last]:
            begin = min(begin, of_k[first])
            end = max(end, of_k[last])
    if tile.a == tile.b:
        begin = max(begin, tile.j + 1)
    if begin >= end:
        tile.begin = tile.all_end = 0
        return
    tile.begin = begin // lanes * lanes
    tile.all_end = (end + lanes - 1) // lanes * lanes


cdef bint next_tile(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    Py_ssize_t pair, Tile *tile, const vec *type_tag,
) noexcept nogil:
    """Go on to the next tile of a pair of classes; False if there is none.

    ``tile.j`` is -1 and ``tile.block`` set before the first call.
    """
    cdef const TripletBlock *block = tile.block
    cdef Py_ssize_t lanes = lanes_of(type_tag), n_first, n_second
    if tile.j < 0:
        tile.a = block.first[pair]
        tile.b = block.second[pair]
        tile.weight = block.weight[pair]
        n_first = neighborhood.end[tile.a] - neighborhood.begin[tile.a]
        n_second = neighborhood.end[tile.b] - neighborhood.begin[tile.b]
        # Fewer vectors, if the longer list is that of k.
        if n_second * ((n_first + lanes - 1) // lanes) < n_first * ((n_second + lanes - 1) // lanes):
            tile.a, tile.b = tile.b, tile.a
        tile.j = neighborhood.begin[tile.a]
        if tile.j < neighborhood.end[tile.a]:
            find_span(set, neighborhood, parts, tile, lanes)
    else:
        tile.begin = tile.end
    while tile.j < neighborhood.end[tile.a] and tile.begin >= tile.all_end:
        tile.j += 1
        if tile.j < neighborhood.end[tile.a]:
            find_span(set, neighborhood, parts, tile, lanes)
    tile.end = min(tile.all_end, tile.begin + NEIGHBORS_AT_ONCE)
    return tile.j < neighborhood.end[tile.a]


# ---- what all functions of a tile share


cdef inline void fill_angles(
    const Intervals *angles, Py_ssize_t term, const vec *theta, Py_ssize_t n, bint with_slopes,
    vec *values, vec *slopes,
) noexcept nogil:
    """One angular part of all k. Always inlined with a constant ``with_slopes``."""
    cdef Py_ssize_t v
    cdef vec slope
    for v in range(n):
        values[v] = compact_function(angles, term, theta[v], &slope)
        if with_slopes:
            slopes[v] = slope


cdef void fill_tile(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, Purpose purpose,
    const vec *type_tag,
) noexcept nogil:
    """Fill all arrays but radial, radial_slope and what the verbs fill; with VALUES no slopes."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), first = tile.begin // lanes, j = tile.j
    cdef Py_ssize_t n = (tile.end - tile.begin) // lanes, stride = tile_stride(type_tag), v, term
    cdef const vec *x = <const vec *> neighborhood.x + first
    cdef const vec *y = <const vec *> neighborhood.y + first
    cdef const vec *z = <const vec *> neighborhood.z + first
    cdef const vec *inverse = <const vec *> neighborhood.inverse + first
    cdef vec *cosine = <vec *> work.cosine
    cdef vec *minus_slope = <vec *> work.minus_slope
    cdef vec *angles = <vec *> work.angles
    cdef vec *slopes = <vec *> work.angle_slopes
    cdef vec *theta = <vec *> work.second
    cdef vec xj = splat_at(<const vec *> neighborhood.x, j)
    cdef vec yj = splat_at(<const vec *> neighborhood.y, j)
    cdef vec zj = splat_at(<const vec *> neighborhood.z, j)
    cdef vec inverse_j = splat_at(<const vec *> neighborhood.inverse, j)
    cdef vec slope
    for v in range(n):
        cosine[v] = (x[v] * xj + y[v] * yj + z[v] * zj) * (inverse[v] * inverse_j)
        theta[v] = varccos(cosine[v], &slope)
        if purpose != VALUES:
            minus_slope[v] = slope
    for term in range(tile.block.angles.n):
        if purpose == VALUES:
            fill_angles(
                &tile.block.angles, term, theta, n, False, angles + term * stride,
                slopes + term * stride,
            )
        else:
            fill_angles(
                &tile.block.angles, term, theta, n, True, angles + term * stride,
                slopes + term * stride,
            )
    if tile.a == tile.b and tile.begin <= j:
        leave_out(tile, work, j + 1 - tile.begin, purpose, type_tag)
    if purpose == TANGENTS:
        fill_changes(tile, neighborhood, work, type_tag)
    if tile.block.with_jk:
        fill_distances(tile, neighborhood, work, type_tag)


cdef inline void leave_out(
    const Tile *tile, TripletScratch *work, Py_ssize_t n, Purpose purpose, const vec *type_tag
) noexcept nogil:
    """Set the angular parts of the first n < lanes + 1 neighbors to 0."""
    cdef Py_ssize_t stride = tile_stride(type_tag), term, lane
    cdef vec *angles = <vec *> work.angles
    cdef vec *slopes = <vec *> work.angle_slopes
    cdef vec mask
    for lane in range(lanes_of(type_tag)):
        put(&mask, lane, lane >= n)
    for term in range(tile.block.angles.n):
        angles[term * stride] = angles[term * stride] * mask
        if purpose != VALUES:
            slopes[term * stride] = slopes[term * stride] * mask


cdef inline void fill_distances(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, const vec *type_tag
) noexcept nogil:
    """R_jk, from the difference of the vectors: exact where j and k are close."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), first = tile.begin // lanes, j = tile.j, v
    cdef const vec *x = <const vec *> neighborhood.x + first
    cdef const vec *y = <const vec *> neighborhood.y + first
    cdef const vec *z = <const vec *> neighborhood.z + first
    cdef vec *distance = <vec *> work.distance
    cdef vec *inverse = <vec *> work.inverse
    cdef vec xj = splat_at(<const vec *> neighborhood.x, j)
    cdef vec yj = splat_at(<const vec *> neighborhood.y, j)
    cdef vec zj = splat_at(<const vec *> neighborhood.z, j)
    cdef vec dx, dy, dz, square
    for v in range((tile.end - tile.begin) // lanes):
        dx = x[v] - xj
        dy = y[v] - yj
        dz = z[v] - zj
        square = vmax(dx * dx + dy * dy + dz * dz, splat(1e-30, type_tag))
        inverse[v] = vrsqrt(square)
        distance[v] = square * inverse[v]


cdef inline void fill_changes(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, const vec *type_tag
) noexcept nogil:
    """The changes of cosθ and R_jk² along the directions."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), first = tile.begin // lanes, j = tile.j, v
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
    cdef vec xj = splat_at(<const vec *> neighborhood.x, j)
    cdef vec yj = splat_at(<const vec *> neighborhood.y, j)
    cdef vec zj = splat_at(<const vec *> neighborhood.z, j)
    cdef vec dxj = splat_at(<const vec *> neighborhood.dx, j)
    cdef vec dyj = splat_at(<const vec *> neighborhood.dy, j)
    cdef vec dzj = splat_at(<const vec *> neighborhood.dz, j)
    cdef vec inverse_j = splat_at(<const vec *> neighborhood.inverse, j)
    cdef vec square_dot_j = splat_at(<const vec *> neighborhood.square_dot, j)
    cdef vec dot, product
    for v in range((tile.end - tile.begin) // lanes):
        dot = xj * dx[v] + x[v] * dxj + yj * dy[v] + y[v] * dyj + zj * dz[v] + z[v] * dzj
        product = inverse_j * inverse[v]
        cosine_dot[v] = dot * product - 0.5 * cosine[v] * (
            square_dot_j * inverse_j * inverse_j + square_dot[v] * inverse[v] * inverse[v]
        )
        square_jk_dot[v] = 2 * (
            (x[v] - xj) * (dx[v] - dxj) + (y[v] - yj) * (dy[v] - dyj) + (z[v] - zj) * (dz[v] - dzj)
        )


cdef void fill_radial_of_jk(
    const CompactSet *set, const Tile *tile, TripletScratch *work, Py_ssize_t radial,
    Py_ssize_t begin, Py_ssize_t end, const vec *type_tag,
) noexcept nogil:
    """Fill radial and radial_slope of these vectors of the tile; for c5 with 1 and 0."""
    cdef const vec *distance = <const vec *> work.distance
    cdef const vec *inverse = <const vec *> work.inverse
    cdef vec *values = <vec *> work.radial
    cdef vec *slopes = <vec *> work.radial_slope
    cdef vec slope
    cdef Py_ssize_t v
    for v in range(begin, end):
        values[v] = compact_function(&set.radials, radial, distance[v], &slope)
        slopes[v] = slope * inverse[v]
