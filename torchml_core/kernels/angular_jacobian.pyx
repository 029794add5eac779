"""The Jacobian of g4 and g5 of one environment: every function's derivatives.

It is written down function by function and triplet by triplet, so what it costs is its size. The
exponentials and powers are computed as for the gradient of an energy, see angular.pyx.
"""

from torchml_core.kernels.angular cimport chain
from torchml_core.kernels.elementary cimport vexp
from torchml_core.kernels.shapes cimport shapes, stride_of
from torchml_core.kernels.simd cimport get, lanes_of, put, splat, vec
from torchml_core.kernels.triplets cimport Cursor, Run, Triplets, next_triplets, see
from torchml_core.kernels.verbs cimport GRADIENTS


cdef inline void chain_factors(
    const AngularBlock *block, AngularScratch *work, const vec *like
) noexcept nogil:
    """For each triplet the nine numbers that lead from one function to its α, β, γ.

    With A = e_g a'_s and B = e_g a_s of a function, α = A f[0] + B (f[1] - η f[2]), then β, γ.
    """
    cdef const Triplets *t = &work.triplets
    cdef vec *by_cosine = <vec *> work.by_cosine
    cdef vec *by_square = <vec *> work.by_square
    cdef vec *by_cutoff = <vec *> work.by_cutoff
    cdef vec *f = <vec *> work.factors
    cdef Py_ssize_t n = t.n // lanes_of(like), stride = stride_of(like), v, i
    for i in range(3):  # which of cosθ, C, S
        for v in range(n):
            by_cosine[v] = by_square[v] = by_cutoff[v] = splat(0, like)
            if i == 0:
                by_cosine[v] = splat(1, like)
            elif i == 1:
                by_cutoff[v] = splat(1, like)
            else:
                by_square[v] = splat(1, like)
        chain(block, work, like)
        for v in range(n):
            f[i * stride + v] = by_square[v]
            f[(3 + i) * stride + v] = by_cutoff[v]
            f[(6 + i) * stride + v] = by_cosine[v]


cdef inline void add_blocks(
    const AngularBlock *block, AngularScratch *work, const Neighborhood *hood, Py_ssize_t group,
    const Run *run, const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width,
    const vec *e, vec *out,
) noexcept nogil:
    """Add one group's derivatives of the triplets of one run."""
    cdef const vec *f = <const vec *> work.factors
    cdef const vec *values = <const vec *> work.values
    cdef const vec *slopes = <const vec *> work.slopes
    cdef Py_ssize_t step = stride_of(e) * lanes_of(e)
    cdef Py_ssize_t i, k, row, at, axis, of_j, of_k
    cdef double[3] rj, rk
    cdef double eta = block.eta[group], by_slope, by_value, alpha, beta, gamma
    cdef double alpha_value, beta_value, gamma_value
    rj = [get(<const vec *> hood.x, run.j), get(<const vec *> hood.y, run.j),
          get(<const vec *> hood.z, run.j)]
    for i in range(run.begin, run.end):
        k = work.triplets.k[i]
        rk = [get(<const vec *> hood.x, k), get(<const vec *> hood.y, k),
              get(<const vec *> hood.z, k)]
        of_j = slot[hood.source[run.j]] * 3 * width
        of_k = slot[hood.source[k]] * 3 * width
        alpha_value = get(f, step + i) - eta * get(f, 2 * step + i)
        beta_value = get(f, 4 * step + i) - eta * get(f, 5 * step + i)
        gamma_value = get(f, 7 * step + i) - eta * get(f, 8 * step + i)
        for row in range(block.group[group], block.group[group + 1]):
            if components[row] < 0:
                continue
            at = block.shape[row] * step + i
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
    const AngularBlock *block, const Neighborhood *hood, AngularScratch *work,
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
    cdef Py_ssize_t g, v, r, s
    cdef vec eta
    while next_triplets(&block.which, hood, GRADIENTS, &cursor, t, out):
        see(&block.which, t, out)
        shapes(block, work, True, out)
        chain_factors(block, work, out)
        for g in range(block.n_groups):
            eta = splat(-block.eta[g], out)
            for v in range(t.n // lanes_of(out)):
                e[v] = vexp(eta * square[v])
            s = 0
            for r in range(t.n_runs):
                while t.runs[r].begin >= t.segments[s].end * lanes_of(out):
                    s += 1
                add_blocks(
                    block, work, hood, g, &t.runs[r],
                    components + t.segments[s].channel * block.n_rows, slot, width, e, out,
                )
