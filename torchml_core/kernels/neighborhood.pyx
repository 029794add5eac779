"""The neighbors of one environment, sorted by class, as padded vectors.

A *class* holds species that no function can tell apart (equal cutoffs, weights and channels), so
that loops over neighbors meet one cutoff and one channel at a time. Inside a class neighbors keep
the order of the list. Each class begins at a whole vector; padding has fc = 0 and counts nothing.
"""

from torchml_core.kernels.cutoff cimport PairCutoff, cutoff_of_square
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport MOST_LANES, carve, lanes_of, splat, vec


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


cdef inline void number_neighbors(
    Neighborhood *neighborhood, const Environment *env, const int32_t *classes, Py_ssize_t lanes
) noexcept nogil:
    """Fill source and end: which neighbor of the environment each entry is, class by class."""
    cdef int32_t *source = neighborhood.source
    cdef Py_ssize_t n = neighborhood.n, c, j
    if neighborhood.n_classes == 1:
        for j in range(env.n):
            source[j] = <int32_t> j
        for j in range(env.n, n + lanes):
            source[j] = -1
        neighborhood.end[0] = env.n
        return
    for j in range(n + lanes):
        source[j] = -1
    for j in range(env.n):
        c = classes[env.neighbor_species[j]]
        source[neighborhood.end[c]] = <int32_t> j
        neighborhood.end[c] += 1


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
    cdef Py_ssize_t lanes = lanes_of(type_tag), n = env.n, v
    cdef vec distance
    neighborhood.center = classes[env.species]
    neighborhood.pair_cutoff = NULL
    count_classes(neighborhood, env, classes, lanes)
    number_neighbors(neighborhood, env, classes, lanes)
    # One vector more, since loads at any place reach into it. Lanes of it are never used, but
    # a processor can take a hundred times as long for numbers as small as chance may leave there.
    for v in range(neighborhood.n // lanes + 1):
        x[v] = taken(neighborhood, env.x, n, v, 0, type_tag)
        y[v] = taken(neighborhood, env.y, n, v, 0, type_tag)
        z[v] = taken(neighborhood, env.z, n, v, 0, type_tag)
        distance = taken(neighborhood, env.r, n, v, far, type_tag)
        r[v] = distance
        square[v] = distance * distance
        inverse[v] = 1 / distance
        if with_directions:
            dx[v] = taken(neighborhood, env.dx, n, v, 0, type_tag)
            dy[v] = taken(neighborhood, env.dy, n, v, 0, type_tag)
            dz[v] = taken(neighborhood, env.dz, n, v, 0, type_tag)
            square_dot[v] = 2 * (x[v] * dx[v] + y[v] * dy[v] + z[v] * dz[v])
    v = neighborhood.n // lanes
    (<vec *> neighborhood.fc)[v] = (<vec *> neighborhood.slope)[v] = splat(0, type_tag)


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
