"""Kernels for tests of the contract: one that works on groups of atoms, and incomplete ones.

    D_k = Σ_j (1 - R_j²/rc²)^(k+2)
"""

import numpy as np

from torchml_core._descriptors cimport Kernel
from torchml_core.kernels.verbs cimport Environment, ScratchSize, Verb, Verbs
from torchml_core.simd.vectors cimport SIMD_BYTES, get, put, vdouble, vec, vfloat

cdef enum:
    GROUP = 4


cdef struct ToyPlan:
    Py_ssize_t width
    double cutoff
    double leak                 # how much of its neighbor's value a lane gets: 0 is right
    bint counts                 # the value is the number of environments in the group


cdef Py_ssize_t scratch_size(const ToyPlan *plan, Py_ssize_t n) noexcept nogil:
    return n * GROUP * sizeof(double)


cdef Py_ssize_t interleave(
    const ToyPlan *plan, const Environment *group, Py_ssize_t n_environments, double *q
) noexcept nogil:
    """q (n, GROUP): 1 - R²/rc² of each environment's neighbors, 0 where there are no more."""
    cdef Py_ssize_t longest = 0, lane, j
    for lane in range(n_environments):
        longest = max(longest, group[lane].n)
    for j in range(longest):
        for lane in range(GROUP):
            q[j * GROUP + lane] = 0
            if lane < n_environments and j < group[lane].n:
                q[j * GROUP + lane] = 1 - (group[lane].r[j] / plan.cutoff) ** 2
    return longest


cdef inline double power(double q, Py_ssize_t n) noexcept nogil:
    cdef double result = 1
    cdef Py_ssize_t _
    for _ in range(n):
        result *= q
    return result


cdef void value(
    const ToyPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef double *q = <double *> scratch
    cdef Py_ssize_t longest = interleave(plan, group, n_environments, q), lane, j, k
    cdef double[GROUP] sums
    for k in range(plan.width):
        for lane in range(GROUP):
            sums[lane] = 0
        for j in range(longest):
            for lane in range(GROUP):
                sums[lane] += power(q[j * GROUP + lane], k + 2)
        for lane in range(n_environments):
            if plan.counts:
                put(out, lane * plan.width + k, n_environments)
            else:
                put(
                    out, lane * plan.width + k,
                    sums[lane] + plan.leak * sums[(lane + 1) % n_environments],
                )


cdef inline double slope(const ToyPlan *plan, double r, Py_ssize_t k) noexcept nogil:
    """What r_j is multiplied with in dD_k/dr_j."""
    cdef double q = 1 - (r / plan.cutoff) ** 2
    return -2 * (k + 2) * power(q, k + 1) / plan.cutoff**2


cdef void jvp(
    const ToyPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef const Environment *env
    cdef Py_ssize_t lane, j, k
    cdef double sum
    for lane in range(n_environments):
        env = &group[lane]
        for k in range(plan.width):
            sum = 0
            for j in range(env.n):
                sum += slope(plan, env.r[j], k) * (
                    env.x[j] * env.dx[j] + env.y[j] * env.dy[j] + env.z[j] * env.dz[j]
                )
            put(out, lane * plan.width + k, sum)


cdef void vjp(
    const ToyPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef const Environment *env
    cdef Py_ssize_t lane, j, k, at
    cdef double along
    for lane in range(n_environments):
        env = &group[lane]
        for j in range(env.n):
            along = 0
            for k in range(plan.width):
                along += get(<const vec *> env.dE_dD, k) * slope(plan, env.r[j], k)
            at = 3 * env.slot[j]
            put(out, at, along * env.x[j])
            put(out, at + 1, along * env.y[j])
            put(out, at + 2, along * env.z[j])


cdef void jacobian(
    const ToyPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef const Environment *env
    cdef Py_ssize_t lane, j, k, at
    for lane in range(n_environments):
        env = &group[lane]
        for j in range(env.n):
            for k in range(plan.width):
                at = 3 * env.slot[j] * plan.width + k
                put(out, at, slope(plan, env.r[j], k) * env.x[j])
                put(out, at + plan.width, slope(plan, env.r[j], k) * env.y[j])
                put(out, at + 2 * plan.width, slope(plan, env.r[j], k) * env.z[j])


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = GROUP


cdef class ToyKernel(Kernel):
    """``without``: what is missing in the table of float32; ``vector_bytes``: what it claims."""

    cdef ToyPlan plan

    def __init__(
        self, width, cutoff, leak=0, counts=False, without=None, vector_bytes=SIMD_BYTES,
        set_up=True, n_species=2,
    ):
        cdef Verbs *verbs = &self.info.single
        self.plan.width, self.plan.cutoff, self.plan.leak = width, cutoff, leak
        self.plan.counts = counts
        fill_verbs(verbs, <const vfloat *> NULL)
        fill_verbs(&self.info.double_, <const vdouble *> NULL)
        if without == "value":
            verbs.value = NULL
        elif without == "vjp":
            verbs.vjp = NULL
        elif without == "jvp":
            verbs.jvp = NULL
        elif without == "jacobian":
            verbs.jacobian = NULL
        elif without == "scratch_size":
            verbs.scratch_size = NULL
        elif without == "group":
            verbs.group = 0
        if set_up:
            self.set_up(&self.plan, width, np.full((n_species, n_species), cutoff), vector_bytes)
