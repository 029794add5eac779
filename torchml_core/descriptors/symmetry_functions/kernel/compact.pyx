"""The radial parts of compact functions, and c2, the sums over them.

A compact function is 0 for most neighbors and pairs of neighbors. To skip those, neighbors are
sorted by distance, as far as it matters: distances at which any radial part begins or ends divide
them into *bins*, and all neighbors of a bin have the same radial parts. Inside a bin they keep the
order of the list. So the neighbors of a class for which a radial part is not 0 are consecutive.

Each radial part R and R'/r is computed once per neighbor, whatever the number of functions that
have it. Since r dr = d(r²)/2, R'/r is what a gradient needs: dR/dr_j = (R'/r) r_j.
"""

from libc.string cimport memset

from torchml_core.descriptors.symmetry_functions.kernel.core_functions cimport compact_function
from torchml_core.simd.vectors cimport MOST_LANES, carve, lanes_of, splat, splat_at, vec


cdef void lay_out_radial_parts(
    RadialParts *parts, Py_ssize_t n, Py_ssize_t n_classes, Py_ssize_t n_radials,
    Py_ssize_t n_breaks, char **free_bytes,
) noexcept nogil:
    """Cut the arrays off the scratch buffer, for either precision."""
    cdef Py_ssize_t n_bytes = (n + (n_classes + 1) * MOST_LANES) * sizeof(double)
    cdef Environment *ordered = &parts.ordered
    n_bytes = (n_bytes + 63) // 64 * 64
    ordered.neighbor_species = <int32_t *> carve(free_bytes, n * sizeof(int32_t))
    ordered.slot = <Py_ssize_t *> carve(free_bytes, n * sizeof(Py_ssize_t))
    ordered.x = <double *> carve(free_bytes, n * sizeof(double))
    ordered.y = <double *> carve(free_bytes, n * sizeof(double))
    ordered.z = <double *> carve(free_bytes, n * sizeof(double))
    ordered.r = <double *> carve(free_bytes, n * sizeof(double))
    ordered.dx = <double *> carve(free_bytes, n * sizeof(double))
    ordered.dy = <double *> carve(free_bytes, n * sizeof(double))
    ordered.dz = <double *> carve(free_bytes, n * sizeof(double))
    parts.bin = <int32_t *> carve(free_bytes, n * sizeof(int32_t))
    parts.ordered_bin = <int32_t *> carve(free_bytes, n * sizeof(int32_t))
    parts.first = <int32_t *> carve(free_bytes, n_classes * (n_breaks + 2) * sizeof(int32_t))
    parts.stride = n_bytes
    parts.values = carve(free_bytes, n_radials * n_bytes)
    parts.slopes = carve(free_bytes, n_radials * n_bytes)


cdef void order_by_distance(
    const CompactSet *set, const Environment *env, bint with_directions, RadialParts *parts
) noexcept nogil:
    """Fill ``ordered``: the environment, its neighbors sorted by bin."""
    cdef Environment *ordered = &parts.ordered
    cdef int32_t *next = parts.first  # where the next neighbor of a bin goes
    cdef Py_ssize_t n_bins = set.n_breaks + 1, b, j, at
    cdef double limit
    memset(parts.bin, 0, env.n * sizeof(int32_t))
    for b in range(set.n_breaks):
        limit = set.breaks[b]
        for j in range(env.n):
            parts.bin[j] += env.r[j] >= limit
    memset(next, 0, (n_bins + 1) * sizeof(int32_t))
    for j in range(env.n):
        next[parts.bin[j] + 1] += 1
    for b in range(n_bins):
        next[b + 1] += next[b]
    ordered.n = env.n
    ordered.species = env.species
    ordered.dE_dD = env.dE_dD
    for j in range(env.n):
        b = parts.bin[j]
        at = next[b]
        next[b] += 1
        parts.ordered_bin[at] = <int32_t> b
        ordered.neighbor_species[at] = env.neighbor_species[j]
        ordered.slot[at] = env.slot[j]
        ordered.x[at] = env.x[j]
        ordered.y[at] = env.y[j]
        ordered.z[at] = env.z[j]
        ordered.r[at] = env.r[j]
        if with_directions:
            ordered.dx[at] = env.dx[j]
            ordered.dy[at] = env.dy[j]
            ordered.dz[at] = env.dz[j]


cdef void fill_radial_parts(
    const CompactSet *set, const Neighborhood *neighborhood, RadialParts *parts,
    const vec *type_tag,
) noexcept nogil:
    """Fill first, values and slopes; the neighborhood is that of ``ordered``."""
    cdef const vec *r = <const vec *> neighborhood.r
    cdef const vec *inverse = <const vec *> neighborhood.inverse
    cdef vec *values = <vec *> parts.values
    cdef vec *slopes = <vec *> parts.slopes
    cdef Py_ssize_t n = neighborhood.n // lanes_of(type_tag), c, b, at, a, v
    parts.stride = n
    for c in range(neighborhood.n_classes):
        at = neighborhood.begin[c]
        for b in range(set.n_breaks + 2):
            while (
                at < neighborhood.end[c] and parts.ordered_bin[neighborhood.source[at]] < b
            ):
                at += 1
            parts.first[c * (set.n_breaks + 2) + b] = <int32_t> at
    for a in range(set.radials.n):
        compact_function(&set.radials, a, r, n, True, values + a * n, slopes + a * n, 1)
        for v in range(n):
            slopes[a * n + v] = slopes[a * n + v] * inverse[v]


# ---- c2


cdef inline Py_ssize_t first_vector(
    const CompactSet *set, const RadialParts *parts, Py_ssize_t row, const vec *type_tag
) noexcept nogil:
    cdef Py_ssize_t bins = set.row_class[row] * (set.n_breaks + 2)
    return parts.first[bins + set.first_bin[set.row_radial[row]]] // lanes_of(type_tag)


cdef inline Py_ssize_t end_vector(
    const CompactSet *set, const RadialParts *parts, Py_ssize_t row, const vec *type_tag
) noexcept nogil:
    cdef Py_ssize_t bins = set.row_class[row] * (set.n_breaks + 2), lanes = lanes_of(type_tag)
    return (parts.first[bins + set.last_bin[set.row_radial[row]]] + lanes - 1) // lanes


cdef void compact_radial_value(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, vec *sums
) noexcept nogil:
    """Add the values, lane by lane, to ``sums`` of the set."""
    cdef const vec *values
    cdef Py_ssize_t row, v
    cdef vec sum
    for row in range(set.n_rows):
        values = <const vec *> parts.values + set.row_radial[row] * parts.stride
        sum = splat(0, sums)
        for v in range(
            first_vector(set, parts, row, sums), end_vector(set, parts, row, sums)
        ):
            sum = sum + values[v]
        v = set.row_sum[row]
        sums[v] = sums[v] + splat(set.row_weight[row], sums) * sum


cdef void compact_radial_vjp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    const vec *weights, vec *along,
) noexcept nogil:
    """Add the gradient of Σ weights · values: along * r_j."""
    cdef const vec *slopes
    cdef Py_ssize_t row, v
    cdef vec weight
    for row in range(set.n_rows):
        slopes = <const vec *> parts.slopes + set.row_radial[row] * parts.stride
        weight = splat_at(weights, set.row_sum[row]) * splat(set.row_weight[row], along)
        for v in range(
            first_vector(set, parts, row, along), end_vector(set, parts, row, along)
        ):
            along[v] = along[v] + weight * slopes[v]


cdef void compact_radial_jvp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, vec *sums
) noexcept nogil:
    """Add the changes of the values along the directions, lane by lane."""
    cdef const vec *square_dot = <const vec *> neighborhood.square_dot
    cdef const vec *slopes
    cdef Py_ssize_t row, v
    cdef vec sum
    for row in range(set.n_rows):
        slopes = <const vec *> parts.slopes + set.row_radial[row] * parts.stride
        sum = splat(0, sums)
        for v in range(
            first_vector(set, parts, row, sums), end_vector(set, parts, row, sums)
        ):
            sum = sum + slopes[v] * square_dot[v]
        v = set.row_sum[row]
        sums[v] = sums[v] + 0.5 * splat(set.row_weight[row], sums) * sum
