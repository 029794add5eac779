"""The neighbors of one environment, sorted by class, as padded vectors.

A *class* holds species that no function can tell apart (equal cutoffs, weights and channels), so
that loops over neighbors meet one cutoff and one channel at a time. Inside a class neighbors keep
the order of the list. Each class begins at a whole vector; padding has fc = 0 and counts nothing.
"""

from torchml_core.kernels.cutoff cimport cutoff_of_square
from torchml_core.kernels.simd cimport MOST_LANES, lanes_of, put, splat, take, vec


cdef void lay_out(
    Neighborhood *hood, Py_ssize_t n_neighbors, Py_ssize_t n_classes, char **free_bytes
) noexcept nogil:
    """Cut the arrays for so many neighbors off the scratch buffer, for either precision."""
    cdef Py_ssize_t most = n_neighbors + (n_classes + 1) * MOST_LANES
    hood.n_classes = n_classes
    hood.begin = <Py_ssize_t *> take(free_bytes, n_classes * sizeof(Py_ssize_t))
    hood.end = <Py_ssize_t *> take(free_bytes, n_classes * sizeof(Py_ssize_t))
    hood.source = <int32_t *> take(free_bytes, most * sizeof(int32_t))
    hood.x = take(free_bytes, most * sizeof(double))
    hood.y = take(free_bytes, most * sizeof(double))
    hood.z = take(free_bytes, most * sizeof(double))
    hood.r = take(free_bytes, most * sizeof(double))
    hood.square = take(free_bytes, most * sizeof(double))
    hood.inverse = take(free_bytes, most * sizeof(double))
    hood.dx = take(free_bytes, most * sizeof(double))
    hood.dy = take(free_bytes, most * sizeof(double))
    hood.dz = take(free_bytes, most * sizeof(double))
    hood.square_dot = take(free_bytes, most * sizeof(double))
    hood.fc = take(free_bytes, most * sizeof(double))
    hood.slope = take(free_bytes, most * sizeof(double))


cdef inline void count_classes(
    Neighborhood *hood, const Environment *env, const int32_t *classes, Py_ssize_t lanes
) noexcept nogil:
    """Set begin and n; end where the first of each class will go."""
    cdef Py_ssize_t c, j
    for c in range(hood.n_classes):
        hood.end[c] = 0
    if hood.n_classes == 1:
        hood.end[0] = env.n
    for j in range(env.n if hood.n_classes > 1 else 0):
        hood.end[classes[env.neighbor_species[j]]] += 1
    hood.n = 0
    for c in range(hood.n_classes):
        hood.begin[c] = hood.n
        hood.n += (hood.end[c] + lanes - 1) // lanes * lanes
        hood.end[c] = hood.begin[c]


cdef inline void copy(const double *numbers, Py_ssize_t n, vec *out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        put(out, j, numbers[j])


cdef inline void copy_in_order(
    Neighborhood *hood, const Environment *env, bint with_directions, const vec *like
) noexcept nogil:
    """What settle does for one class, where no neighbor waits for the count of those before."""
    cdef Py_ssize_t n = env.n, j
    cdef int32_t *source = hood.source
    for j in range(n):
        source[j] = <int32_t> j
    copy(env.x, n, <vec *> hood.x)
    copy(env.y, n, <vec *> hood.y)
    copy(env.z, n, <vec *> hood.z)
    copy(env.r, n, <vec *> hood.r)
    if with_directions:
        copy(env.dx, n, <vec *> hood.dx)
        copy(env.dy, n, <vec *> hood.dy)
        copy(env.dz, n, <vec *> hood.dz)
    hood.end[0] = n


cdef inline void pad(Neighborhood *hood, Py_ssize_t v, double far, const vec *like) noexcept nogil:
    """Fill vector v of all arrays that come from the environment."""
    cdef vec zero = splat(0, like)
    (<vec *> hood.x)[v] = (<vec *> hood.y)[v] = (<vec *> hood.z)[v] = zero
    (<vec *> hood.dx)[v] = (<vec *> hood.dy)[v] = (<vec *> hood.dz)[v] = zero
    (<vec *> hood.r)[v] = splat(far, like)


cdef void settle(
    Neighborhood *hood, const Environment *env, const int32_t *classes, double far,
    bint with_directions, const vec *like,
) noexcept nogil:
    """Fill all but fc and slope. ``far``: the distance of padding, beyond every cutoff."""
    cdef vec *x = <vec *> hood.x
    cdef vec *y = <vec *> hood.y
    cdef vec *z = <vec *> hood.z
    cdef vec *r = <vec *> hood.r
    cdef vec *dx = <vec *> hood.dx
    cdef vec *dy = <vec *> hood.dy
    cdef vec *dz = <vec *> hood.dz
    cdef vec *square = <vec *> hood.square
    cdef vec *inverse = <vec *> hood.inverse
    cdef vec *square_dot = <vec *> hood.square_dot
    cdef Py_ssize_t lanes = lanes_of(like), c, j, v, at
    hood.center = classes[env.species]
    hood.fading = NULL
    count_classes(hood, env, classes, lanes)
    for c in range(hood.n_classes):  # padding: the last vector of each class, before it is filled
        at = hood.begin[c + 1] if c + 1 < hood.n_classes else hood.n
        if at == hood.begin[c]:
            continue
        pad(hood, at // lanes - 1, far, like)
        for j in range(at - lanes, at):
            hood.source[j] = -1
    # One more behind them, since loads at any place reach into it. Lanes of it are never used, but
    # a processor can take a hundred times as long for numbers as small as chance may leave there.
    v = hood.n // lanes
    pad(hood, v, far, like)
    (<vec *> hood.fc)[v] = (<vec *> hood.slope)[v] = splat(0, like)
    if hood.n_classes == 1:
        copy_in_order(hood, env, with_directions, like)
    for j in range(env.n if hood.n_classes > 1 else 0):
        c = classes[env.neighbor_species[j]]
        at = hood.end[c]
        hood.end[c] += 1
        hood.source[at] = <int32_t> j
        put(x, at, env.x[j])
        put(y, at, env.y[j])
        put(z, at, env.z[j])
        put(r, at, env.r[j])
        if with_directions:
            put(dx, at, env.dx[j])
            put(dy, at, env.dy[j])
            put(dz, at, env.dz[j])
    for v in range(hood.n // lanes + 1):
        square[v] = r[v] * r[v]
        inverse[v] = 1 / r[v]
        if with_directions:
            square_dot[v] = 2 * (x[v] * dx[v] + y[v] * dy[v] + z[v] * dz[v])


cdef void fade(Neighborhood *hood, const Fading *fading, const vec *like) noexcept nogil:
    """Fill fc and slope, unless they are already this fading's."""
    cdef const vec *square = <const vec *> hood.square
    cdef vec *fc = <vec *> hood.fc
    cdef vec *slope = <vec *> hood.slope
    cdef Py_ssize_t lanes = lanes_of(like), c, v
    cdef double rc
    cdef vec per_square, weight, derivative
    if hood.fading == fading:
        return
    hood.fading = fading
    for c in range(hood.n_classes):
        rc = fading.cutoffs[hood.center * hood.n_classes + c]
        per_square = splat(1 / (rc * rc), like)
        weight = splat(fading.weights[c], like)
        for v in range(hood.begin[c] // lanes, (hood.end[c] + lanes - 1) // lanes):
            fc[v] = weight * cutoff_of_square(
                fading.function, fading.inner, square[v] * per_square, &derivative
            )
            slope[v] = weight * derivative * per_square
