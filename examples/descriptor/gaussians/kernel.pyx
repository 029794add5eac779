"""Sums of Gaussians over the neighbors of one atom: the kernel, and the class that packs it.

    D_k = Σ_j exp(-η_k R_j²) fc(R_j)

With R² as the variable, dD_k/dr_j = 2 r_j s_kj with s_kj = d(exp(-η_k R²) fc)/d(R²). The inputs and
outputs of a kernel are described in torchml_core/kernels/verbs.pxd, and how to read a kernel in
torchml_core/simd/vectors.pxd.
"""

import numpy as np

from libc.stdint cimport int32_t

from torchml_core._descriptors cimport Kernel
from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.kernels.neighborhood cimport (
    Neighborhood, apply_cutoff, lay_out_neighborhood, sort_into_classes,
)
from torchml_core.kernels.verbs cimport Environment, ScratchSize, Verb, Verbs
from torchml_core.simd.elementary cimport vexp
from torchml_core.simd.vectors cimport (
    SIMD_BYTES, get, lanes_of, put, splat, total, vdouble, vec, vfloat,
)


# ---- parameters


cdef struct GaussiansPlan:
    Py_ssize_t width
    const double *eta           # (width,)
    const int32_t *classes      # (n_species,) all 0: every neighbor has the same weight
    double far                  # a distance beyond the cutoff, for padding
    PairCutoff pair_cutoff


cdef class GaussiansKernel(Kernel):
    """Packs the parameters, and fills the table of verbs."""

    cdef GaussiansPlan plan

    def __init__(self, n_species, cutoff, eta):
        self.plan.width = len(eta)
        self.plan.eta = self.doubles(eta)
        self.plan.classes = self.ints(np.zeros(n_species))
        self.plan.far = 2 * cutoff
        self.pair_cutoff(&self.plan.pair_cutoff, "cos", 0, [[cutoff]], [1])
        fill_verbs(&self.info.single, <const vfloat *> NULL)
        fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, len(eta), np.full((n_species, n_species), cutoff), SIMD_BYTES)


# ---- one environment


cdef Py_ssize_t scratch_size(const GaussiansPlan *plan, Py_ssize_t n) noexcept nogil:
    """Return the number of bytes that the neighborhood of n neighbors needs."""
    cdef Neighborhood unused
    cdef char *free_bytes = NULL
    lay_out_neighborhood(&unused, n, 1, &free_bytes)
    return <Py_ssize_t> free_bytes


cdef inline void begin(
    const GaussiansPlan *plan, const Environment *env, bint with_directions, void *scratch,
    Neighborhood *neighborhood, const vec *type_tag,
) noexcept nogil:
    """Lay out the neighbors as vectors, with fc and its slope."""
    cdef char *free_bytes = <char *> scratch
    lay_out_neighborhood(neighborhood, env.n, 1, &free_bytes)
    sort_into_classes(neighborhood, env, plan.classes, plan.far, with_directions, type_tag)
    apply_cutoff(neighborhood, &plan.pair_cutoff, type_tag)


cdef inline vec gaussian(
    const GaussiansPlan *plan, Py_ssize_t k, const Neighborhood *neighborhood, Py_ssize_t v,
    vec *slope, const vec *type_tag,
) noexcept nogil:
    """Return exp(-η_k R²) fc for a vector of neighbors, and s in ``slope``."""
    cdef vec eta = splat(plan.eta[k], type_tag)
    cdef vec value = vexp(-eta * (<const vec *> neighborhood.square)[v])
    cdef vec fc = (<const vec *> neighborhood.fc)[v]
    slope[0] = value * ((<const vec *> neighborhood.slope)[v] - eta * fc)
    return value * fc


# ---- the verbs


cdef void value(
    const GaussiansPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Neighborhood neighborhood
    cdef Py_ssize_t k, v
    cdef vec sum, unused
    begin(plan, env, False, scratch, &neighborhood, out)
    for k in range(plan.width):
        sum = splat(0, out)
        for v in range(neighborhood.n // lanes_of(out)):
            sum = sum + gaussian(plan, k, &neighborhood, v, &unused, out)
        put(out, k, total(sum))


cdef void jvp(
    const GaussiansPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Neighborhood neighborhood
    cdef Py_ssize_t k, v
    cdef vec sum, slope
    begin(plan, env, True, scratch, &neighborhood, out)
    for k in range(plan.width):
        sum = splat(0, out)
        for v in range(neighborhood.n // lanes_of(out)):
            gaussian(plan, k, &neighborhood, v, &slope, out)
            sum = sum + slope * (<const vec *> neighborhood.square_dot)[v]
        put(out, k, total(sum))


cdef void vjp(
    const GaussiansPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef const vec *dE_dD = <const vec *> env.dE_dD
    cdef Neighborhood neighborhood
    cdef Py_ssize_t k, v, lane
    cdef vec along, slope
    begin(plan, env, False, scratch, &neighborhood, out)
    for v in range(neighborhood.n // lanes_of(out)):
        along = splat(0, out)
        for k in range(plan.width):
            gaussian(plan, k, &neighborhood, v, &slope, out)
            along = along + splat(2 * get(dE_dD, k), out) * slope
        for lane in range(lanes_of(out)):
            put_vector(&neighborhood, env, v * lanes_of(out) + lane, get(&along, lane), out, 0, 1)


cdef void jacobian(
    const GaussiansPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Neighborhood neighborhood
    cdef Py_ssize_t k, v, lane
    cdef vec slope
    begin(plan, env, False, scratch, &neighborhood, out)
    for v in range(neighborhood.n // lanes_of(out)):
        for k in range(plan.width):
            gaussian(plan, k, &neighborhood, v, &slope, out)
            for lane in range(lanes_of(out)):
                put_vector(
                    &neighborhood, env, v * lanes_of(out) + lane, 2 * get(&slope, lane), out, k,
                    plan.width,
                )


cdef inline void put_vector(
    const Neighborhood *neighborhood, const Environment *env, Py_ssize_t i, double along, vec *out,
    Py_ssize_t component, Py_ssize_t width,
) noexcept nogil:
    """Write along * r_j of entry i to its neighbor's place in ``out``, unless it is padding."""
    cdef Py_ssize_t j = neighborhood.source[i], at
    if j >= 0:
        at = 3 * env.slot[j] * width + component
        put(out, at, along * get(<const vec *> neighborhood.x, i))
        put(out, at + width, along * get(<const vec *> neighborhood.y, i))
        put(out, at + 2 * width, along * get(<const vec *> neighborhood.z, i))


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = 1
