"""The Jacobian of g4 and g5 of one environment: every function's derivatives.

It is computed function by function and triplet by triplet, so its cost is its size. Exponentials
and powers are computed as for the gradient of an energy, see angular.pyx.
"""

from torchml_core.descriptors.symmetry_functions.kernel.angular cimport chain
from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport fill_terms, stride_of
from torchml_core.descriptors.symmetry_functions.kernel.triplets cimport (
    Cursor, Segment, Triplets, evaluate_cutoffs, next_triplets,
)
from torchml_core.kernels.verbs cimport GRADIENTS
from torchml_core.simd.elementary cimport vexp
from torchml_core.simd.vectors cimport get, lanes_of, put, splat, vec


cdef inline void chain_factors(
    const AngularBlock *block, AngularScratch *work, const vec *type_tag
) noexcept nogil:
    """Fill factors: for each triplet the nine numbers that lead from a function to its α, β, γ.

    With A = e_g a'_s and B = e_g a_s of a function, α = A f[0] + B (f[1] - η f[2]), then β, γ.
    """
    cdef const Triplets *t = &work.triplets
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *by_cutoff = <vec *> work.by_cutoff
    cdef const vec *alpha = <const vec *> work.alpha
    cdef const vec *beta = <const vec *> work.beta
    cdef const vec *gamma = <const vec *> work.gamma
    cdef vec *f = <vec *> work.factors
    cdef Py_ssize_t n = t.n // lanes_of(type_tag), stride = stride_of(type_tag), v, i
    for i in range(3):  # which of cosθ, C, S
        for v in range(n):
            by_cosine[v] = by_square[v] = by_cutoff[v] = splat(0, type_tag)
            if i == 0:
                by_cosine[v] = splat(1, type_tag)
            elif i == 1:
                by_cutoff[v] = splat(1, type_tag)
            else:
                by_square[v] = splat(1, type_tag)
        chain(block, work, type_tag)
        for v in range(n):
            f[i * stride + v] = alpha[v]
            f[(3 + i) * stride + v] = beta[v]
            f[(6 + i) * stride + v] = gamma[v]


cdef inline void add_blocks(
    const AngularBlock *block, AngularScratch *work, const Neighborhood *neighborhood,
    Py_ssize_t group, const Segment *segment, const int32_t *components, const Py_ssize_t *slot,
    Py_ssize_t width, const vec *e, vec *out,
) noexcept nogil:
    """Add one group's derivatives of the triplets of one segment."""
    cdef const vec *f = <const vec *> work.factors
    cdef const vec *values = <const vec *> work.values
    cdef const vec *slopes = <const vec *> work.slopes
    cdef Py_ssize_t step = stride_of(e) * lanes_of(e)
    cdef Py_ssize_t i, j, k, row, at, axis, of_j, of_k
    cdef double[3] rj, rk
    cdef double eta = block.eta[group], by_slope, by_value, alpha, beta, gamma
    cdef double alpha_value, beta_value, gamma_value
    cdef const vec *xs = <const vec *> neighborhood.x
    cdef const vec *ys = <const vec *> neighborhood.y
    cdef const vec *zs = <const vec *> neighborhood.z
    for i in range(segment.begin * lanes_of(e), segment.end * lanes_of(e)):
        if get(<const vec *> work.triplets.fc, i) == 0:  # padding
            continue
        j = work.triplets.j[i]
        k = work.triplets.k[i]
        rj = [get(xs, j), get(ys, j), get(zs, j)]
        rk = [get(xs, k), get(ys, k), get(zs, k)]
        of_j = slot[neighborhood.source[j]] * 3 * width
        of_k = slot[neighborhood.source[k]] * 3 * width
        alpha_value = get(f, step + i) - eta * get(f, 2 * step + i)
        beta_value = get(f, 4 * step + i) - eta * get(f, 5 * step + i)
        gamma_value = get(f, 7 * step + i) - eta * get(f, 8 * step + i)
        for row in range(block.group[group], block.group[group + 1]):
            if components[row] < 0:
                continue
            at = block.term[row] * step + i
            by_slope = get(e, i) * get(slopes, at)
            by_value = get(e, i) * get(values, at)
            alpha = by_slope * get(f, i) + by_value * alpha_value
            beta = by_slope * get(f, 3 * step + i) + by_value * beta_value
            gamma = by_slope * get(f, 6 * step + i) + by_value * gamma_value
            for axis in range(3):
                at = of_j + axis * width + components[row]
                put(out, at, get(out, at) + alpha * rj[axis] + gamma * rk[axis])
                at = of_k + axis * width + components[row]
                put(out, at, get(out, at) + beta * rk[axis] + gamma * rj[axis])


cdef void angular_jacobian(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work,
    const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width, vec *out,
) noexcept nogil:
    """Add every function's derivatives to ``out``, a (3, width) block for each list entry.

    ``components`` (n_channels * n_rows,): where each sum goes; -1 for padding. ``slot``: the list
    entry of each neighbor of the environment.
    """
    cdef const vec *square = <const vec *> work.triplets.square
    cdef vec *e = <vec *> work.first
    cdef Triplets *t = &work.triplets
    cdef Cursor cursor = Cursor(0, 0, 0)
    cdef Py_ssize_t g, v, s
    cdef vec eta
    while next_triplets(&block.which, neighborhood, GRADIENTS, &cursor, t, out):
        evaluate_cutoffs(&block.which, t, True, out)
        fill_terms(block, work, True, out)
        chain_factors(block, work, out)
        for g in range(block.n_groups):
            eta = splat(-block.eta[g], out)
            for v in range(t.n // lanes_of(out)):
                e[v] = vexp(eta * square[v])
            for s in range(t.n_segments):
                add_blocks(
                    block, work, neighborhood, g, &t.segments[s],
                    components + t.segments[s].channel * block.n_rows, slot, width, e, out,
                )
