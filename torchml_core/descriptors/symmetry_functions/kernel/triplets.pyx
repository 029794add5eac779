"""Pairs of neighbors side by side in long vectors: what g4 and g5 are summed over.

Of all pairs j < k of neighbors only those with R_jk < rc count (about half, in a solid). They are
collected into arrays without gaps, some hundreds at a time, so that everything expensive runs over
full vectors, and the buffers are no larger for 2000 neighbors than for 20.

A vector of k stays in registers while all j pass it. For each, R_jk² is computed, with what follows
from it in a few operations (cosθ, S); then the lanes within the cutoff are packed after those
collected before, without a branch or a loop of unpredictable length (a wrong guess costs more than
a vector of work). So nothing is set up for one j, which in resolved mode meets many short lists.

Triplets of one channel are next to each other, so that in resolved mode exponentials and powers run
over all channels at once.
"""

from torchml_core.kernels.cutoff cimport CutoffFunction, cutoff_of_square
from torchml_core.kernels.verbs cimport GRADIENTS, TANGENTS, VALUES, Purpose
from torchml_core.simd.vectors cimport (
    MOST_LANES, below, carve, fill, get, lanes_of, pack_at, simd_count, simd_fill_index,
    simd_pack_index, splat, splat_at, store_at, vec, vectors_for, vsqrt,
)


# One loop for each purpose: compilers must not make a function that asks for it at every vector.
cdef extern from *:
    """
    #undef CYTHON_INLINE
    #define CYTHON_INLINE inline __attribute__((always_inline))
    """


cdef void lay_out_triplets(Triplets *t, char **free_bytes) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n_bytes = (TRIPLETS_AT_ONCE + MOST_LANES) * sizeof(double)
    t.segments = <Segment *> carve(free_bytes, TRIPLETS_AT_ONCE * sizeof(Segment))
    t.j = <int32_t *> carve(free_bytes, n_bytes)
    t.k = <int32_t *> carve(free_bytes, n_bytes)
    t.square_jk = carve(free_bytes, n_bytes)
    t.per_square = carve(free_bytes, n_bytes)
    t.cosine = carve(free_bytes, n_bytes)
    t.square = carve(free_bytes, n_bytes)
    t.fc = carve(free_bytes, n_bytes)
    t.inverse_j = carve(free_bytes, n_bytes)
    t.inverse_k = carve(free_bytes, n_bytes)
    t.slope_j = carve(free_bytes, n_bytes)
    t.slope_k = carve(free_bytes, n_bytes)
    t.square_jk_dot = carve(free_bytes, n_bytes)
    t.square_j_dot = carve(free_bytes, n_bytes)
    t.square_k_dot = carve(free_bytes, n_bytes)
    t.cutoff = carve(free_bytes, n_bytes)
    t.fc_jk = carve(free_bytes, n_bytes)
    t.slope_jk = carve(free_bytes, n_bytes)


cdef inline unsigned lanes_between(
    Py_ssize_t begin, Py_ssize_t end, Py_ssize_t lanes
) noexcept nogil:
    """Lanes begin ... end - 1 of a vector, one bit each; begin may be below 0, end beyond lanes."""
    cdef unsigned every = (1 << lanes) - 1
    return (every >> max(lanes - end, 0)) & (every << max(begin, 0))


cdef inline vec square_sum(const Selection *which, vec u, vec v, vec w) noexcept nogil:
    """S = (R_j - Rs)² + (R_k - Rs)² + (R_jk - Rs)² of the squares u, v, w; for g5 without R_jk."""
    cdef vec shift, square
    if which.shift == 0:
        return u + v + w if which.with_jk else u + v
    shift = splat(which.shift, &u)
    u = vsqrt(u) - shift
    v = vsqrt(v) - shift
    w = vsqrt(w) - shift
    square = u * u + v * v
    return square + w * w if which.with_jk else square


cdef inline bint collect(
    const Selection *which, const Neighborhood *neighborhood, Purpose purpose, Cursor *cursor,
    Triplets *t, Py_ssize_t a, Py_ssize_t b, const vec *type_tag,
) noexcept nogil:
    """Add the triplets with j in class a and k in class b; False if there is no room for all.

    Always inlined with a constant ``purpose``.
    """
    # Pointers and numbers in local variables: a compiler that sees vectors stored cannot know that
    # the structs they come from are not overwritten, and would load them each time.
    cdef const vec *x = <const vec *> neighborhood.x
    cdef const vec *y = <const vec *> neighborhood.y
    cdef const vec *z = <const vec *> neighborhood.z
    cdef const vec *square = <const vec *> neighborhood.square
    cdef const vec *inverse = <const vec *> neighborhood.inverse
    cdef const vec *fc = <const vec *> neighborhood.fc
    cdef const vec *slope = <const vec *> neighborhood.slope
    cdef vec *square_jk = <vec *> t.square_jk
    cdef vec *cosines = <vec *> t.cosine
    cdef vec *squares = <vec *> t.square
    cdef vec *fcs = <vec *> t.fc
    cdef vec *inverse_j = <vec *> t.inverse_j
    cdef vec *inverse_k = <vec *> t.inverse_k
    cdef vec *slope_j = <vec *> t.slope_j
    cdef vec *slope_k = <vec *> t.slope_k
    cdef int32_t *indices_j = t.j
    cdef int32_t *indices_k = t.k
    cdef Selection chosen = which[0]
    cdef Py_ssize_t lanes = lanes_of(type_tag), at = t.n, j = 0, last, v
    cdef Py_ssize_t first = neighborhood.begin[a], end = neighborhood.end[a]
    cdef Py_ssize_t begin_b = neighborhood.begin[b] // lanes, end_b = neighborhood.end[b]
    cdef double rc = which.pair_cutoff.cutoffs[a * neighborhood.n_classes + b], limit = rc * rc
    cdef bint full = False
    cdef unsigned near
    cdef vec dx, dy, dz, w, sum, xk, yk, zk, square_of_k, half_inverse, inverse_of_k, fc_of_k
    cdef vec slope_of_k
    for v in range(max(cursor.v, begin_b), vectors_for(end_b, type_tag)):
        xk = x[v]
        yk = y[v]
        zk = z[v]
        square_of_k = square[v]
        inverse_of_k = inverse[v]
        half_inverse = 0.5 * inverse_of_k
        fc_of_k = fc[v]
        slope_of_k = slope[v]
        last = min(end, (v + 1) * lanes - 1) if a == b else end
        for j in range(max(cursor.j, first), last):
            # Beyond its cutoff, where those of other functions are longer.
            if get(fc, j) == 0:
                continue
            full = at + lanes > TRIPLETS_AT_ONCE
            if full:
                break
            dx = xk - splat_at(x, j)
            dy = yk - splat_at(y, j)
            dz = zk - splat_at(z, j)
            w = dx * dx + dy * dy + dz * dz
            near = lanes_between(j + 1 - v * lanes if a == b else 0, end_b - v * lanes, lanes)
            if chosen.with_jk:
                near &= below(w, limit)
            sum = splat_at(square, j) + square_of_k
            pack_at(square_jk, at, w, near)
            pack_at(cosines, at, (sum - w) * (half_inverse * splat_at(inverse, j)), near)
            pack_at(squares, at, square_sum(&chosen, splat_at(square, j), square_of_k, w), near)
            pack_at(fcs, at, splat_at(fc, j) * fc_of_k, near)
            if purpose != VALUES:
                store_at(inverse_j, at, splat_at(inverse, j))
                pack_at(inverse_k, at, inverse_of_k, near)
                pack_at(slope_j, at, splat_at(slope, j) * fc_of_k, near)
                pack_at(slope_k, at, splat_at(fc, j) * slope_of_k, near)
            if purpose == GRADIENTS:
                simd_fill_index(indices_j + at, <int32_t> j, <int> lanes)
                simd_pack_index(indices_k + at, <int32_t> (v * lanes), near, <int> lanes)
            if purpose == TANGENTS:
                collect_changes(neighborhood, t, at, j, v, dx, dy, dz, near)
            at += simd_count(near)
        if full:
            break
        cursor.j = 0
    cursor.v = v if full else 0
    cursor.j = j if full else 0
    fill(<vec *> t.per_square, t.n, at, splat(1 / limit, type_tag))
    t.n = at
    return not full


cdef inline void collect_changes(
    const Neighborhood *neighborhood, Triplets *t, Py_ssize_t at, Py_ssize_t j, Py_ssize_t v,
    vec dx, vec dy, vec dz, unsigned near,
) noexcept nogil:
    """The changes of the squares along the directions."""
    cdef const vec *along_x = <const vec *> neighborhood.dx
    cdef const vec *along_y = <const vec *> neighborhood.dy
    cdef const vec *along_z = <const vec *> neighborhood.dz
    cdef const vec *square_dot = <const vec *> neighborhood.square_dot
    dx = dx * (along_x[v] - splat_at(along_x, j))
    dy = dy * (along_y[v] - splat_at(along_y, j))
    dz = dz * (along_z[v] - splat_at(along_z, j))
    pack_at(<vec *> t.square_jk_dot, at, 2 * (dx + dy + dz), near)
    pack_at(<vec *> t.square_k_dot, at, square_dot[v], near)
    store_at(<vec *> t.square_j_dot, at, splat_at(square_dot, j))


cdef inline void close_segment(
    Triplets *t, Py_ssize_t channel, Purpose purpose, const vec *type_tag
) noexcept nogil:
    """Pad to a whole vector what was added since the last segment."""
    cdef Py_ssize_t lanes = lanes_of(type_tag), begin = 0
    cdef vec one = splat(1, type_tag), zero = splat(0, type_tag)
    if t.n_segments:
        begin = t.segments[t.n_segments - 1].end * lanes
    if t.n == begin:
        return
    # A whole vector always: cheaper than to find out how much is needed.
    store_at(<vec *> t.square_jk, t.n, one)
    store_at(<vec *> t.per_square, t.n, one)
    store_at(<vec *> t.cosine, t.n, zero)
    store_at(<vec *> t.square, t.n, one)
    store_at(<vec *> t.fc, t.n, zero)
    if purpose == GRADIENTS:
        simd_fill_index(t.j + t.n, 0, <int> lanes)
        simd_fill_index(t.k + t.n, 0, <int> lanes)
    if purpose != VALUES:
        store_at(<vec *> t.inverse_j, t.n, one)
        store_at(<vec *> t.inverse_k, t.n, one)
        store_at(<vec *> t.slope_j, t.n, zero)
        store_at(<vec *> t.slope_k, t.n, zero)
    if purpose == TANGENTS:
        store_at(<vec *> t.square_jk_dot, t.n, zero)
        store_at(<vec *> t.square_j_dot, t.n, zero)
        store_at(<vec *> t.square_k_dot, t.n, zero)
    t.n = (t.n + lanes - 1) // lanes * lanes
    t.segments[t.n_segments].channel = channel
    t.segments[t.n_segments].begin = begin // lanes
    t.segments[t.n_segments].end = t.n // lanes
    t.n_segments += 1


cdef inline bint is_shorter_swapped(
    const Neighborhood *neighborhood, Py_ssize_t a, Py_ssize_t b, Py_ssize_t lanes
) noexcept nogil:
    """Whether j in b and k in a takes fewer vectors than j in a and k in b."""
    cdef Py_ssize_t n_a = neighborhood.end[a] - neighborhood.begin[a]
    cdef Py_ssize_t n_b = neighborhood.end[b] - neighborhood.begin[b]
    return n_b * ((n_a + lanes - 1) // lanes) < n_a * ((n_b + lanes - 1) // lanes)


cdef bint next_triplets(
    const Selection *which, const Neighborhood *neighborhood, Purpose purpose, Cursor *cursor,
    Triplets *t, const vec *type_tag,
) noexcept nogil:
    """Collect up to TRIPLETS_AT_ONCE triplets; False if there are no more.

    ``cursor`` is all 0 before the first call; fc and slope of the neighborhood are those of
    ``which.pair_cutoff``.
    """
    cdef Py_ssize_t a, b, channel
    cdef bint all_of_them
    t.n = t.n_segments = 0
    while cursor.pair < which.n_pairs:
        a = which.first[cursor.pair]
        b = which.second[cursor.pair]
        channel = which.channel[cursor.pair]
        if is_shorter_swapped(neighborhood, a, b, lanes_of(type_tag)):
            a, b = b, a
        if purpose == VALUES:
            all_of_them = collect(which, neighborhood, VALUES, cursor, t, a, b, type_tag)
        elif purpose == GRADIENTS:
            all_of_them = collect(which, neighborhood, GRADIENTS, cursor, t, a, b, type_tag)
        else:
            all_of_them = collect(which, neighborhood, TANGENTS, cursor, t, a, b, type_tag)
        if not all_of_them:
            close_segment(t, channel, purpose, type_tag)
            return True
        cursor.pair += 1
        if cursor.pair == which.n_pairs or which.channel[cursor.pair] != channel:
            close_segment(t, channel, purpose, type_tag)
    return t.n > 0


cdef void evaluate_cutoffs(
    const Selection *which, Triplets *t, bint with_slopes, const vec *type_tag
) noexcept nogil:
    """Fill cutoff, C = fc(R_j) fc(R_k) fc(R_jk), for g5 without R_jk; with_slopes: all of it."""
    cdef const vec *square_jk = <const vec *> t.square_jk
    cdef const vec *per_square = <const vec *> t.per_square
    cdef const vec *fc = <const vec *> t.fc
    cdef vec *cutoff = <vec *> t.cutoff
    cdef vec *fc_jk = <vec *> t.fc_jk
    cdef vec *slope_jk = <vec *> t.slope_jk
    cdef CutoffFunction function = which.pair_cutoff.function
    cdef double inner = which.pair_cutoff.inner
    cdef vec value, slope
    cdef Py_ssize_t v, n = t.n // lanes_of(type_tag)
    if not which.with_jk:
        for v in range(n):
            fc_jk[v] = splat(1, type_tag)
            slope_jk[v] = splat(0, type_tag)
            cutoff[v] = fc[v]
    elif with_slopes:
        for v in range(n):
            value = cutoff_of_square(function, inner, square_jk[v] * per_square[v], &slope)
            fc_jk[v] = value
            slope_jk[v] = slope * per_square[v]
            cutoff[v] = fc[v] * value
    else:
        for v in range(n):
            value = cutoff_of_square(function, inner, square_jk[v] * per_square[v], &slope)
            cutoff[v] = fc[v] * value
