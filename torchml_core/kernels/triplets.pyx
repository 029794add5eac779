"""Pairs of neighbors side by side in long vectors: what g4 and g5 are summed over.

Of all pairs j < k of neighbors only those with R_jk < rc count (about half, in a solid). They are
collected into arrays without gaps, some hundred at a time, so that all that costs something runs
over full vectors; and the buffers are no larger for 2000 neighbors than for 20.

For one j: R_jk² of all k in vectors; the lanes within the cutoff are packed behind what is there,
the other numbers of k with them, without a branch or a loop whose length nobody can foresee
(a wrong guess costs more than a vector of work). The numbers of j are the same for all of them and
are stored by whole vectors. Triplets of one channel stand together, so that in resolved mode
exponentials and powers run over all channels at once.
"""

from torchml_core.kernels.cutoff cimport cutoff_of_square
from torchml_core.kernels.simd cimport (
    MOST_LANES, below, fill, get, lanes_of, pack_at, simd_count, simd_pack_index, splat, splat_at,
    store_at, take, vec, vsqrt,
)


cdef void lay_out_triplets(Triplets *t, char **free_bytes) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n_bytes = (TRIPLETS_AT_ONCE + 2 * MOST_LANES) * sizeof(double)
    t.runs = <Run *> take(free_bytes, TRIPLETS_AT_ONCE * sizeof(Run))
    t.segments = <Segment *> take(free_bytes, TRIPLETS_AT_ONCE * sizeof(Segment))
    t.k = <int32_t *> take(free_bytes, n_bytes)
    t.square_jk = take(free_bytes, n_bytes)
    t.per_square = take(free_bytes, n_bytes)
    t.square_j = take(free_bytes, n_bytes)
    t.square_k = take(free_bytes, n_bytes)
    t.inverse_j = take(free_bytes, n_bytes)
    t.inverse_k = take(free_bytes, n_bytes)
    t.fc_j = take(free_bytes, n_bytes)
    t.fc_k = take(free_bytes, n_bytes)
    t.slope_j = take(free_bytes, n_bytes)
    t.slope_k = take(free_bytes, n_bytes)
    t.square_jk_dot = take(free_bytes, n_bytes)
    t.square_j_dot = take(free_bytes, n_bytes)
    t.square_k_dot = take(free_bytes, n_bytes)
    t.cosine = take(free_bytes, n_bytes)
    t.square = take(free_bytes, n_bytes)
    t.cutoff = take(free_bytes, n_bytes)
    t.fc_jk = take(free_bytes, n_bytes)
    t.slope_jk = take(free_bytes, n_bytes)


cdef inline unsigned lanes_within(
    Py_ssize_t v, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t lanes
) noexcept nogil:
    """Which lanes of vector v are among begin ... end - 1: one bit each."""
    cdef unsigned every = (1 << lanes) - 1, which = every
    if v * lanes < begin:
        which &= every << (begin - v * lanes)
    if (v + 1) * lanes > end:
        which &= every >> ((v + 1) * lanes - end)
    return which


cdef inline void append(
    const Selection *which, const Neighborhood *hood, Triplets *t, Py_ssize_t j,
    Py_ssize_t begin, Py_ssize_t end, double rc, Purpose purpose, const vec *like,
) noexcept nogil:
    """Add the triplets of j with k = begin ... end - 1."""
    cdef const vec *x = <const vec *> hood.x
    cdef const vec *y = <const vec *> hood.y
    cdef const vec *z = <const vec *> hood.z
    cdef const vec *dx = <const vec *> hood.dx
    cdef const vec *dy = <const vec *> hood.dy
    cdef const vec *dz = <const vec *> hood.dz
    # Pointers in variables of their own: a compiler that sees vectors stored cannot know that the
    # struct with the pointers is not overwritten, and would load them each time.
    cdef const vec *square_of = <const vec *> hood.square
    cdef const vec *inverse_of = <const vec *> hood.inverse
    cdef const vec *fc_of = <const vec *> hood.fc
    cdef const vec *slope_of = <const vec *> hood.slope
    cdef vec *square_jk = <vec *> t.square_jk
    cdef vec *square_k = <vec *> t.square_k
    cdef vec *inverse_k = <vec *> t.inverse_k
    cdef vec *fc_k = <vec *> t.fc_k
    cdef vec *slope_k = <vec *> t.slope_k
    cdef int32_t *indices = t.k
    cdef vec xj = splat_at(x, j), yj = splat_at(y, j), zj = splat_at(z, j)
    cdef vec a, b, c, square
    cdef Py_ssize_t lanes = lanes_of(like), v, at = t.n
    cdef double limit = rc * rc
    cdef bint with_jk = which.with_jk
    cdef unsigned near
    for v in range(begin // lanes, (end + lanes - 1) // lanes):
        a = x[v] - xj
        b = y[v] - yj
        c = z[v] - zj
        square = a * a + b * b + c * c
        near = lanes_within(v, begin, end, lanes)
        if with_jk:
            near &= below(square, limit)
        pack_at(square_jk, at, square, near)
        pack_at(square_k, at, square_of[v], near)
        pack_at(inverse_k, at, inverse_of[v], near)
        pack_at(fc_k, at, fc_of[v], near)
        if purpose != VALUES:
            pack_at(slope_k, at, slope_of[v], near)
        if purpose == GRADIENTS:
            simd_pack_index(indices + at, <int32_t> (v * lanes), near, <int> lanes)
        if purpose == TANGENTS:
            a = a * (dx[v] - splat_at(dx, j))
            b = b * (dy[v] - splat_at(dy, j))
            c = c * (dz[v] - splat_at(dz, j))
            square = 2 * (a + b + c)
            pack_at(<vec *> t.square_jk_dot, at, square, near)
            pack_at(<vec *> t.square_k_dot, at, (<const vec *> hood.square_dot)[v], near)
        at += simd_count(near)
    if at == t.n:
        return
    t.runs[t.n_runs].j = j
    t.runs[t.n_runs].begin = t.n
    t.runs[t.n_runs].end = at
    t.n_runs += 1
    repeat_j(hood, t, j, at, 1 / (rc * rc), purpose, like)
    t.n = at


cdef inline void repeat_j(
    const Neighborhood *hood, Triplets *t, Py_ssize_t j, Py_ssize_t end, double per_square,
    Purpose purpose, const vec *like,
) noexcept nogil:
    """What is the same for all triplets of j, from t.n to end - 1."""
    cdef Py_ssize_t at = t.n
    while at < end:
        store_at(<vec *> t.per_square, at, splat(per_square, like))
        store_at(<vec *> t.square_j, at, splat_at(<const vec *> hood.square, j))
        store_at(<vec *> t.inverse_j, at, splat_at(<const vec *> hood.inverse, j))
        store_at(<vec *> t.fc_j, at, splat_at(<const vec *> hood.fc, j))
        if purpose != VALUES:
            store_at(<vec *> t.slope_j, at, splat_at(<const vec *> hood.slope, j))
        if purpose == TANGENTS:
            store_at(<vec *> t.square_j_dot, at, splat_at(<const vec *> hood.square_dot, j))
        at += lanes_of(like)


cdef inline void close_segment(Triplets *t, Py_ssize_t channel, const vec *like) noexcept nogil:
    """Pad to a whole vector what was added since the last segment."""
    cdef Py_ssize_t lanes = lanes_of(like), begin = 0, end
    cdef vec one = splat(1, like), zero = splat(0, like)
    if t.n_segments:
        begin = t.segments[t.n_segments - 1].end * lanes
    if t.n == begin:
        return
    end = (t.n + lanes - 1) // lanes * lanes
    fill(<vec *> t.square_jk, t.n, end, one)
    fill(<vec *> t.per_square, t.n, end, one)
    fill(<vec *> t.square_j, t.n, end, one)
    fill(<vec *> t.square_k, t.n, end, one)
    fill(<vec *> t.inverse_j, t.n, end, one)
    fill(<vec *> t.inverse_k, t.n, end, one)
    fill(<vec *> t.fc_j, t.n, end, zero)
    fill(<vec *> t.fc_k, t.n, end, zero)
    fill(<vec *> t.slope_j, t.n, end, zero)
    fill(<vec *> t.slope_k, t.n, end, zero)
    fill(<vec *> t.square_jk_dot, t.n, end, zero)
    fill(<vec *> t.square_j_dot, t.n, end, zero)
    fill(<vec *> t.square_k_dot, t.n, end, zero)
    t.n = end
    t.segments[t.n_segments].channel = channel
    t.segments[t.n_segments].begin = begin // lanes
    t.segments[t.n_segments].end = end // lanes
    t.n_segments += 1


cdef inline bint is_shorter_turned(
    const Neighborhood *hood, Py_ssize_t a, Py_ssize_t b, Py_ssize_t lanes
) noexcept nogil:
    """Whether j in b and k in a takes fewer vectors than j in a and k in b."""
    cdef Py_ssize_t n_a = hood.end[a] - hood.begin[a], n_b = hood.end[b] - hood.begin[b]
    return n_b * ((n_a + lanes - 1) // lanes) < n_a * ((n_b + lanes - 1) // lanes)


cdef bint next_triplets(
    const Selection *which, const Neighborhood *hood, Purpose purpose, Cursor *cursor,
    Triplets *t, const vec *like,
) noexcept nogil:
    """Collect up to TRIPLETS_AT_ONCE triplets; False if there are no more.

    ``cursor`` is all 0 before the first call, fc and slope of the neighborhood are those of
    ``which.fading``.
    """
    cdef Py_ssize_t a, b, begin, end, room
    cdef double rc
    t.n = t.n_runs = t.n_segments = 0
    while cursor.pair < which.n_pairs:
        a = which.first[cursor.pair]
        b = which.second[cursor.pair]
        if is_shorter_turned(hood, a, b, lanes_of(like)):
            a, b = b, a
        rc = which.fading.cutoffs[a * hood.n_classes + b]
        cursor.j = max(cursor.j, hood.begin[a])
        while cursor.j < hood.end[a] and hood.begin[b] < hood.end[b]:
            begin = max(cursor.k, cursor.j + 1 if a == b else hood.begin[b])
            # A fading that ends before the others do: beyond it nothing counts.
            if get(<const vec *> hood.fc, cursor.j) == 0:
                begin = hood.end[b]
            while begin < hood.end[b]:
                end = min(begin + CANDIDATES_AT_ONCE, hood.end[b])
                # what closing the segment may add is kept free
                room = TRIPLETS_AT_ONCE - t.n
                if end - begin > room:
                    cursor.k = begin
                    close_segment(t, which.channel[cursor.pair], like)
                    return True
                append(which, hood, t, cursor.j, begin, end, rc, purpose, like)
                begin = end
            cursor.j += 1
            cursor.k = 0
        a = which.channel[cursor.pair]
        cursor.pair += 1
        cursor.j = 0
        if cursor.pair == which.n_pairs or which.channel[cursor.pair] != a:
            close_segment(t, a, like)
    return t.n > 0


cdef void see(const Selection *which, Triplets *t, const vec *like) noexcept nogil:
    """Fill cosine, square, cutoff, fc_jk, slope_jk: what g4 and g5 depend on.

    cosθ = (R_j² + R_k² - R_jk²) / (2 R_j R_k)
    S = (R_j - Rs)² + (R_k - Rs)² + (R_jk - Rs)², C = fc(R_j) fc(R_k) fc(R_jk);
    for g5 without R_jk.
    """
    cdef const vec *square_jk = <const vec *> t.square_jk
    cdef const vec *per_square = <const vec *> t.per_square
    cdef const vec *square_j = <const vec *> t.square_j
    cdef const vec *square_k = <const vec *> t.square_k
    cdef const vec *inverse_j = <const vec *> t.inverse_j
    cdef const vec *inverse_k = <const vec *> t.inverse_k
    cdef const vec *fc_j = <const vec *> t.fc_j
    cdef const vec *fc_k = <const vec *> t.fc_k
    cdef vec *cosine = <vec *> t.cosine
    cdef vec *square = <vec *> t.square
    cdef vec *cutoff = <vec *> t.cutoff
    cdef vec *fc_jk = <vec *> t.fc_jk
    cdef vec *slope_jk = <vec *> t.slope_jk
    cdef const Fading *fading = which.fading
    cdef vec a, b, c, shift = splat(which.shift, like), slope
    cdef Py_ssize_t v
    for v in range(t.n // lanes_of(like)):
        a = square_j[v]
        b = square_k[v]
        c = square_jk[v]
        cosine[v] = (a + b - c) * 0.5 * (inverse_j[v] * inverse_k[v])
        if which.with_jk:
            fc_jk[v] = cutoff_of_square(fading.function, fading.inner, c * per_square[v], &slope)
            slope_jk[v] = slope * per_square[v]
            cutoff[v] = fc_j[v] * fc_k[v] * fc_jk[v]
        else:
            fc_jk[v] = splat(1, like)
            slope_jk[v] = splat(0, like)
            cutoff[v] = fc_j[v] * fc_k[v]
            c = splat(0, like)
        if which.shift == 0:
            square[v] = a + b + c
            continue
        a = a * inverse_j[v] - shift
        b = b * inverse_k[v] - shift
        square[v] = a * a + b * b
        if which.with_jk:
            c = vsqrt(c) - shift
            square[v] = square[v] + c * c
