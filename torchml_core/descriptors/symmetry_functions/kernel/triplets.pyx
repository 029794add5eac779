"""Pairs of neighbors side by side in long vectors: what g4 and g5 are summed over.

Of all pairs j < k of neighbors only those with R_jk < rc count (about half, in a solid). They are
collected into arrays without gaps, some hundreds at a time, so that everything expensive runs over
full vectors, and the buffers are no larger for 2000 neighbors than for 20.

For one j, R_jk² of all k is computed in vectors, with what follows from it in a few operations
(cosθ, S); then the lanes within the cutoff are packed after those collected before, without a
branch or a loop of unpredictable length (a wrong guess costs more than a vector of work). A pair of
classes is collected in one go, with all that is the same for it in registers: in resolved mode a j
meets many short lists of k, and what is done once for each would cost as much as the triplets.

Triplets of one channel are next to each other, so that in resolved mode exponentials and powers run
over all channels at once.
"""

from torchml_core.kernels.cutoff cimport CutoffFunction, cutoff_of_square
from torchml_core.kernels.verbs cimport GRADIENTS, TANGENTS, VALUES, Purpose
from torchml_core.simd.vectors cimport (
    MOST_LANES, below, carve, fill, get, lanes_of, load_at, pack_at, simd_count, simd_pack_index,
    splat, splat_at, store_at, vec, vsqrt,
)


cdef void lay_out_triplets(Triplets *t, char **free_bytes) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n_bytes = (TRIPLETS_AT_ONCE + MOST_LANES) * sizeof(double)
    t.runs = <Run *> carve(free_bytes, TRIPLETS_AT_ONCE * sizeof(Run))
    t.segments = <Segment *> carve(free_bytes, TRIPLETS_AT_ONCE * sizeof(Segment))
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


cdef inline unsigned first_lanes(Py_ssize_t n, Py_ssize_t lanes) noexcept nogil:
    """The first n > 0 lanes of a vector, or all: one bit each."""
    cdef unsigned every = (1 << lanes) - 1
    cdef int behind = <int> max(lanes - n, 0)
    return every >> behind


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
    cdef int32_t *indices = t.k
    cdef Run *run = t.runs + t.n_runs
    cdef Selection chosen = which[0]
    cdef Py_ssize_t lanes = lanes_of(type_tag), at = t.n, j = cursor.j, begin, k
    cdef Py_ssize_t begin_b = neighborhood.begin[b], end_b = neighborhood.end[b]
    cdef double rc = which.pair_cutoff.cutoffs[a * neighborhood.n_classes + b], limit = rc * rc
    cdef bint full = False
    cdef unsigned near
    cdef vec dx, dy, dz, w, xj, yj, zj, sum
    cdef vec square_of_j, half_inverse, fc_of_j, square_of_k, inverse_of_k, fc_of_k
    for j in range(max(cursor.j, neighborhood.begin[a]), neighborhood.end[a]):
        begin = max(cursor.k, j + 1 if a == b else begin_b)
        cursor.k = 0
        # Beyond its cutoff, where those of other functions are longer.
        if get(fc, j) == 0:
            continue
        xj = splat_at(x, j)
        yj = splat_at(y, j)
        zj = splat_at(z, j)
        square_of_j = splat_at(square, j)
        half_inverse = splat_at(inverse, j) * 0.5
        fc_of_j = splat_at(fc, j)
        run.begin = at
        # Vectors begin at k, aligned or not: short lists fit into fewer.
        k = begin
        while k < end_b:
            if at + lanes > TRIPLETS_AT_ONCE:
                full = True
                cursor.j = j
                cursor.k = k
                break
            dx = load_at(x, k) - xj
            dy = load_at(y, k) - yj
            dz = load_at(z, k) - zj
            w = dx * dx + dy * dy + dz * dz
            near = first_lanes(end_b - k, lanes)
            if chosen.with_jk:
                near &= below(w, limit)
            square_of_k = load_at(square, k)
            inverse_of_k = load_at(inverse, k)
            fc_of_k = load_at(fc, k)
            sum = square_of_j + square_of_k
            pack_at(square_jk, at, w, near)
            pack_at(cosines, at, (sum - w) * (half_inverse * inverse_of_k), near)
            pack_at(squares, at, square_sum(&chosen, square_of_j, square_of_k, w), near)
            pack_at(fcs, at, fc_of_j * fc_of_k, near)
            if purpose != VALUES:
                store_at(inverse_j, at, splat_at(inverse, j))
                pack_at(inverse_k, at, inverse_of_k, near)
                pack_at(slope_j, at, splat_at(slope, j) * fc_of_k, near)
                pack_at(slope_k, at, fc_of_j * load_at(slope, k), near)
            if purpose == GRADIENTS:
                simd_pack_index(indices + at, <int32_t> k, near, <int> lanes)
            if purpose == TANGENTS:
                collect_changes(neighborhood, t, at, j, k, dx, dy, dz, near)
            at += simd_count(near)
            k += lanes
        if purpose == GRADIENTS and at > run.begin:
            run.j = j
            run.end = at
            run += 1
        if full:
            break
    if purpose == GRADIENTS:
        t.n_runs = run - t.runs
    fill(<vec *> t.per_square, t.n, at, splat(1 / limit, type_tag))
    t.n = at
    return not full


cdef inline void collect_changes(
    const Neighborhood *neighborhood, Triplets *t, Py_ssize_t at, Py_ssize_t j, Py_ssize_t k,
    vec dx, vec dy, vec dz, unsigned near,
) noexcept nogil:
    """The changes of the squares along the directions."""
    cdef const vec *along_x = <const vec *> neighborhood.dx
    cdef const vec *along_y = <const vec *> neighborhood.dy
    cdef const vec *along_z = <const vec *> neighborhood.dz
    cdef const vec *square_dot = <const vec *> neighborhood.square_dot
    dx = dx * (load_at(along_x, k) - splat_at(along_x, j))
    dy = dy * (load_at(along_y, k) - splat_at(along_y, j))
    dz = dz * (load_at(along_z, k) - splat_at(along_z, j))
    pack_at(<vec *> t.square_jk_dot, at, 2 * (dx + dy + dz), near)
    pack_at(<vec *> t.square_k_dot, at, load_at(square_dot, k), near)
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
    t.n = t.n_runs = t.n_segments = 0
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
        cursor.j = 0
        if cursor.pair == which.n_pairs or which.channel[cursor.pair] != channel:
            close_segment(t, channel, purpose, type_tag)
    return t.n > 0


cdef void evaluate_cutoffs(const Selection *which, Triplets *t, const vec *type_tag) noexcept nogil:
    """Fill cutoff, C = fc(R_j) fc(R_k) fc(R_jk), with fc_jk and slope_jk; for g5 without R_jk."""
    cdef const vec *square_jk = <const vec *> t.square_jk
    cdef const vec *per_square = <const vec *> t.per_square
    cdef const vec *fc = <const vec *> t.fc
    cdef vec *cutoff = <vec *> t.cutoff
    cdef vec *fc_jk = <vec *> t.fc_jk
    cdef vec *slope_jk = <vec *> t.slope_jk
    cdef CutoffFunction function = which.pair_cutoff.function
    cdef double inner = which.pair_cutoff.inner
    cdef vec slope
    cdef Py_ssize_t v, n = t.n // lanes_of(type_tag)
    if not which.with_jk:
        for v in range(n):
            fc_jk[v] = splat(1, type_tag)
            slope_jk[v] = splat(0, type_tag)
            cutoff[v] = fc[v]
        return
    for v in range(n):
        fc_jk[v] = cutoff_of_square(function, inner, square_jk[v] * per_square[v], &slope)
        slope_jk[v] = slope * per_square[v]
        cutoff[v] = fc[v] * fc_jk[v]
