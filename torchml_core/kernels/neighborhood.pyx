"""The neighbors of one environment, sorted by class, as padded vectors.

A *class* holds species that no function can tell apart (equal cutoffs, weights and channels), so
that loops over neighbors meet one cutoff and one channel at a time. Inside a class neighbors keep
the order of the list. Each class begins at a whole vector; padding has fc = 0 and counts nothing.
"""

from torchml_core.kernels.cutoff cimport PairCutoff, cutoff_of_square
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport MOST_LANES, carve, lanes_of, put, splat, vec


cdef void lay_out_neighborhood(
    Neighborhood *neighborhood, Py_ssize_t n_neighbors, Py_ssize_t n_classes, char **free_bytes
) noexcept nogil:
    """Cut the arrays for so many neighbors off the scratch buffer, for either precision."""
    cdef Py_ssize_t most = n_neighbors + (n_classes + 1) * MOST_LANES
    neighborhood.n_classes = n_classes
    neighborhood.begin = <Py_ssize_t *> carve(free_bytes, n_classes * sizeof(Py_ssize_t))
    neighborhood.end = <Py_ssize_t *> carve(free_bytes, n_classes * sizeof(Py_ssize_t))
    neighborhood.source = <int32_t *> carve(free_bytes, most * sizeof(int32_t))
    neighborhood.x = carve(free_bytes, most * sizeof(double))
    neighborhood.y = carve(free_bytes, most * sizeof(double))
    neighborhood.z = carve(free_bytes, most * sizeof(double))
    neighborhood.r = carve(free_bytes, most * sizeof(double))
    neighborhood.square = carve(free_bytes, most * sizeof(double))
    neighborhood.inverse = carve(free_bytes, most * sizeof(double))
    neighborhood.dx = carve(free_bytes, most * sizeof(double))
    neighborhood.dy = carve(free_bytes, most * sizeof(double))
    neighborhood.dz = carve(free_bytes, most * sizeof(double))
    neighborhood.square_dot = carve(free_bytes, most * sizeof(double))
    neighborhood.fc = carve(free_bytes, most * sizeof(double))
    neighborhood.slope = carve(free_bytes, most * sizeof(double))


cdef inline void count_classes(
    Neighborhood *neighborhood, const Environment *env, const int32_t *classes, Py_ssize_t lanes
) noexcept nogil:
    """Set begin and n; end where the first of each class will go."""
    cdef Py_ssize_t c, j
    for c in range(neighborhood.n_classes):
        neighborhood.end[c] = 0
    if neighborhood.n_classes == 1:
        neighborhood.end[0] = env.n
    for j in range(env.n if neighborhood.n_classes > 1 else 0):
        neighborhood.end[classes[env.neighbor_species[j]]] += 1
    neighborhood.n = 0
    for c in range(neighborhood.n_classes):
        neighborhood.begin[c] = neighborhood.n
        neighborhood.n += (neighborhood.end[c] + lanes - 1) // lanes * lanes
        neighborhood.end[c] = neighborhood.begin[c]


cdef inline void copy(const double *numbers, Py_ssize_t n, vec *out) noexcept nogil:
    cdef Py_ssize_t j
    for j in range(n):
        put(out, j, numbers[j])


cdef inline void copy_in_order(
    Neighborhood *neighborhood, const Environment *env, bint with_directions, const vec *type_tag
) noexcept nogil:
    """What sort_into_classes does if there is one class: there nothing is counted."""
    cdef Py_ssize_t n = env.n, j
    cdef int32_t *source = neighborhood.source
    for j in range(n):
        source[j] = <int32_t> j
    copy(env.x, n, <vec *> neighborhood.x)
    copy(env.y, n, <vec *> neighborhood.y)
    copy(env.z, n, <vec *> neighborhood.z)
    copy(env.r, n, <vec *> neighborhood.r)
    if with_directions:
        copy(env.dx, n, <vec *> neighborhood.dx)
        copy(env.dy, n, <vec *> neighborhood.dy)
        copy(env.dz, n, <vec *> neighborhood.dz)
    neighborhood.end[0] = n


cdef inline void pad(
    Neighborhood *neighborhood, Py_ssize_t v, double far, const vec *type_tag
) noexcept nogil:
    """Fill vector v of all arrays that come from the environment."""
    cdef vec zero = splat(0, type_tag)
    (<vec *> neighborhood.x)[v] = zero
    (<vec *> neighborhood.y)[v] = zero
    (<vec *> neighborhood.z)[v] = zero
    (<vec *> neighborhood.dx)[v] = zero
    (<vec *> neighborhood.dy)[v] = zero
    (<vec *> neighborhood.dz)[v] = zero
    (<vec *> neighborhood.r)[v] = splat(far, type_tag)


cdef void sort_into_classes(
    Neighborhood *neighborhood, const Environment *env, const int32_t *classes, double far,
    bint with_directions, const vec *type_tag,
) noexcept nogil:
    """Fill all but fc and slope. ``far``: the distance of padding, beyond every cutoff."""
    cdef vec *x = <vec *> neighborhood.x
    cdef vec *y = <vec *> neighborhood.y
    cdef vec *z = <vec *> neighborhood.z
    cdef vec *r = <vec *> neighborhood.r
    cdef vec *dx = <vec *> neighborhood.dx
    cdef vec *dy = <vec *> neighborhood.dy
    cdef vec *dz = <vec *> neighborhood.dz
    cdef vec *square = <vec *> neighborhood.square
    cdef vec *inverse = <vec *> neighborhood.inverse
    cdef vec *square_dot = <vec *> neighborhood.square_dot
    cdef Py_ssize_t lanes = lanes_of(type_tag), c, j, v, at
    neighborhood.center = classes[env.species]
    neighborhood.pair_cutoff = NULL
    count_classes(neighborhood, env, classes, lanes)
    for c in range(neighborhood.n_classes):  # the last vector of each class, before it is filled
        at = neighborhood.begin[c + 1] if c + 1 < neighborhood.n_classes else neighborhood.n
        if at == neighborhood.begin[c]:
            continue
        pad(neighborhood, at // lanes - 1, far, type_tag)
        for j in range(at - lanes, at):
            neighborhood.source[j] = -1
    # One more after them, since loads at any place reach into it. Lanes of it are never used, but
    # a processor can take a hundred times as long for numbers as small as chance may leave there.
    v = neighborhood.n // lanes
    pad(neighborhood, v, far, type_tag)
    (<vec *> neighborhood.fc)[v] = (<vec *> neighborhood.slope)[v] = splat(0, type_tag)
    if neighborhood.n_classes == 1:
        copy_in_order(neighborhood, env, with_directions, type_tag)
    for j in range(env.n if neighborhood.n_classes > 1 else 0):
        c = classes[env.neighbor_species[j]]
        at = neighborhood.end[c]
        neighborhood.end[c] += 1
        neighborhood.source[at] = <int32_t> j
        put(x, at, env.x[j])
        put(y, at, env.y[j])
        put(z, at, env.z[j])
        put(r, at, env.r[j])
        if with_directions:
            put(dx, at, env.dx[j])
            put(dy, at, env.dy[j])
            put(dz, at, env.dz[j])
    for v in range(neighborhood.n // lanes + 1):
        square[v] = r[v] * r[v]
        inverse[v] = 1 / r[v]
        if with_directions:
            square_dot[v] = 2 * (x[v] * dx[v] + y[v] * dy[v] + z[v] * dz[v])


cdef void apply_cutoff(
    Neighborhood *neighborhood, const PairCutoff *pair_cutoff, const vec *type_tag
) noexcept nogil:
    """Fill fc and slope, unless they are those of this pair_cutoff already."""
    cdef const vec *square = <const vec *> neighborhood.square
    cdef vec *fc = <vec *> neighborhood.fc
    cdef vec *slope = <vec *> neighborhood.slope
    cdef Py_ssize_t lanes = lanes_of(type_tag), c, v
    cdef double rc
    cdef vec per_square, weight, derivative
    if neighborhood.pair_cutoff == pair_cutoff:
        return
    neighborhood.pair_cutoff = pair_cutoff
    for c in range(neighborhood.n_classes):
        rc = pair_cutoff.cutoffs[neighborhood.center * neighborhood.n_classes + c]
        per_square = splat(1 / (rc * rc), type_tag)
        weight = splat(pair_cutoff.weights[c], type_tag)
        for v in range(neighborhood.begin[c] // lanes, (neighborhood.end[c] + lanes - 1) // lanes):
            fc[v] = weight * cutoff_of_square(
                pair_cutoff.function, pair_cutoff.inner, square[v] * per_square, &derivative
            )
            slope[v] = weight * derivative * per_square
