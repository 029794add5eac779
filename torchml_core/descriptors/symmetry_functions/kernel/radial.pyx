"""g1, g2, g3 of one environment: sums over neighbors, and their derivatives.

Each is Σ_j f(R_j) fc(R_j). With R² as the variable, its gradient with respect to r_j is
2 r_j d(f fc)/d(R²): along r_j, so that one number per neighbor, ``along``, collects those of all
functions, and is multiplied with r_j once, at the end.
"""

from libc.math cimport cos, sin

from torchml_core.simd.elementary cimport vexp
from torchml_core.simd.vectors cimport get, lanes_of, put, splat, splat_at, vec, vectors_for


cdef inline vec point(
    const RadialBlock *block, Py_ssize_t row, vec r, vec inverse, vec *derivative
) noexcept nogil:
    """f(R) and, in ``derivative``, df/d(R²) = f'(R) / (2 R)."""
    cdef vec eta, distance, result
    if block.type == 2:
        eta = splat(block.eta[row], &r)
        distance = r - splat(block.shift[row], &r)
        result = vexp(-eta * distance * distance)
        derivative[0] = -eta * distance * inverse * result
        return result
    if block.type == 3:
        return cosine(block.kappa[row], r, inverse, derivative)
    derivative[0] = splat(0, &r)
    return splat(1, &r)


cdef inline vec cosine(double kappa, vec r, vec inverse, vec *derivative) noexcept nogil:
    """cos(κ R), lane by lane: κ R may be large, and g3 is rare."""
    cdef vec value, slope
    cdef Py_ssize_t lane
    for lane in range(lanes_of(&r)):
        put(&value, lane, cos(kappa * get(&r, lane)))
        put(&slope, lane, -0.5 * kappa * sin(kappa * get(&r, lane)))
    derivative[0] = slope * inverse
    return value


cdef void radial_value(
    const RadialBlock *block, const Neighborhood *neighborhood, vec *sums
) noexcept nogil:
    """Add the values, lane by lane, to ``sums`` (n_channels * n_rows,)."""
    cdef const vec *r = <const vec *> neighborhood.r
    cdef const vec *inverse = <const vec *> neighborhood.inverse
    cdef const vec *fc = <const vec *> neighborhood.fc
    cdef Py_ssize_t lanes = lanes_of(sums), c, v, row
    cdef vec sum, unused
    cdef vec *out
    for c in range(neighborhood.n_classes):
        if block.channels[c] < 0:
            continue
        out = sums + block.channels[c] * block.n_rows
        for row in range(block.n_rows):
            sum = out[row]
            for v in range(neighborhood.begin[c] // lanes, vectors_for(neighborhood.end[c], sums)):
                sum = sum + point(block, row, r[v], inverse[v], &unused) * fc[v]
            out[row] = sum


cdef void radial_vjp(
    const RadialBlock *block, const Neighborhood *neighborhood, const vec *weights, vec *along
) noexcept nogil:
    """Add to ``along`` (n,) the factors of r_j in the gradient of Σ weights · values.

    ``weights`` (n_channels * n_rows,) are single numbers.
    """
    cdef const vec *r = <const vec *> neighborhood.r
    cdef const vec *inverse = <const vec *> neighborhood.inverse
    cdef const vec *fc = <const vec *> neighborhood.fc
    cdef const vec *slope = <const vec *> neighborhood.slope
    cdef Py_ssize_t lanes = lanes_of(along), c, v, row, first
    cdef vec f, df, weight
    for c in range(neighborhood.n_classes):
        if block.channels[c] < 0:
            continue
        first = block.channels[c] * block.n_rows
        for row in range(block.n_rows):
            weight = 2 * splat_at(weights, first + row)
            for v in range(neighborhood.begin[c] // lanes, vectors_for(neighborhood.end[c], along)):
                f = point(block, row, r[v], inverse[v], &df)
                along[v] = along[v] + weight * (df * fc[v] + f * slope[v])


cdef void radial_jvp(
    const RadialBlock *block, const Neighborhood *neighborhood, vec *sums
) noexcept nogil:
    """Add the changes of the values along the directions, lane by lane."""
    cdef const vec *r = <const vec *> neighborhood.r
    cdef const vec *inverse = <const vec *> neighborhood.inverse
    cdef const vec *fc = <const vec *> neighborhood.fc
    cdef const vec *slope = <const vec *> neighborhood.slope
    cdef const vec *square_dot = <const vec *> neighborhood.square_dot
    cdef Py_ssize_t lanes = lanes_of(sums), c, v, row
    cdef vec sum, f, df
    cdef vec *out
    for c in range(neighborhood.n_classes):
        if block.channels[c] < 0:
            continue
        out = sums + block.channels[c] * block.n_rows
        for row in range(block.n_rows):
            sum = out[row]
            for v in range(neighborhood.begin[c] // lanes, vectors_for(neighborhood.end[c], sums)):
                f = point(block, row, r[v], inverse[v], &df)
                sum = sum + (df * fc[v] + f * slope[v]) * square_dot[v]
            out[row] = sum


cdef void radial_slope(
    const RadialBlock *block, const Neighborhood *neighborhood, Py_ssize_t row, vec *out
) noexcept nogil:
    """``out`` (n,): the factors of r_j in the gradient of one function, for the Jacobian."""
    cdef const vec *r = <const vec *> neighborhood.r
    cdef const vec *inverse = <const vec *> neighborhood.inverse
    cdef const vec *fc = <const vec *> neighborhood.fc
    cdef const vec *slope = <const vec *> neighborhood.slope
    cdef Py_ssize_t v
    cdef vec f, df
    for v in range(neighborhood.n // lanes_of(out)):
        f = point(block, row, r[v], inverse[v], &df)
        out[v] = 2 * (df * fc[v] + f * slope[v])
