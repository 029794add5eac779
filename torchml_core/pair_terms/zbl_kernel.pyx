"""The ZBL repulsion of one atom and its neighbors: the kernel, and the class that packs it.

    D = ½ Σ_j V(R_j),    V(R) = E(R) + S(R)
    E(R) = q/R Σ_k c_k exp(-b_k R),    S(R) = t³ (s_3 + s_4 t) + s_0 with t = max(R - inner, 0)

The derivative of V is taken with respect to R². See zbl.py for the numbers, verbs.pxd for what a
kernel is given and fills, and vectors.pxd for how to read it.
"""

import numpy as np

from libc.stdint cimport int32_t

from torchml_core._descriptors cimport Kernel
from torchml_core.kernels.neighborhood cimport (
    Neighborhood, lay_out_neighborhood, sort_into_classes,
)
from torchml_core.kernels.verbs cimport Environment, ScratchSize, Verb, Verbs
from torchml_core.simd.elementary cimport vexp
from torchml_core.simd.vectors cimport (
    SIMD_BYTES, get, lanes_of, put, splat, total, vdouble, vec, vfloat, vmax, vstep,
)


# ---- parameters


cdef enum:
    N_EXPONENTIALS = 4


cdef struct PairOfSpecies:
    double q_c[N_EXPONENTIALS]  # q c_k
    double b[N_EXPONENTIALS]
    double s0                   # of the switching function
    double s3
    double s4


cdef struct ZBLPlan:
    int n_species
    double inner
    double outer
    const int32_t *classes      # (n_species,) each species is a class of its own
    const PairOfSpecies *pairs  # (n_species, n_species)


cdef class ZBLKernel(Kernel):
    """Packs the parameters, and fills the table of verbs."""

    cdef ZBLPlan plan

    def __init__(self, inner, outer, pairs):
        """``pairs`` (n_species, n_species, 11): the members of PairOfSpecies, in their order."""
        n_species = len(pairs)
        self.plan.n_species = n_species
        self.plan.inner = inner
        self.plan.outer = outer
        self.plan.classes = self.ints(np.arange(n_species))
        self.plan.pairs = <const PairOfSpecies *> self.doubles(pairs)
        fill_verbs(&self.info.single, <const vfloat *> NULL)
        fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, 1, np.full((n_species, n_species), outer), SIMD_BYTES)


# ---- one environment


cdef Py_ssize_t scratch_size(const ZBLPlan *plan, Py_ssize_t n) noexcept nogil:
    """Return the number of bytes that the neighborhood of n neighbors needs."""
    cdef Neighborhood unused
    cdef char *free_bytes = NULL
    lay_out_neighborhood(&unused, n, plan.n_species, &free_bytes)
    return <Py_ssize_t> free_bytes


cdef inline void begin(
    const ZBLPlan *plan, const Environment *env, bint with_directions, void *scratch,
    Neighborhood *neighborhood, const vec *type_tag,
) noexcept nogil:
    """Fill ``fc`` with ½ V of each neighbor and ``slope`` with its derivative, 0 in padding."""
    cdef char *free_bytes = <char *> scratch
    cdef const PairOfSpecies *pairs = plan.pairs + env.species * plan.n_species
    cdef vec *energy = NULL
    cdef vec *slope = NULL
    cdef const vec *r = NULL
    cdef const vec *inverse = NULL
    cdef vec beyond = splat(1.5 * plan.outer, type_tag), half
    cdef Py_ssize_t lanes = lanes_of(type_tag), c, v
    lay_out_neighborhood(neighborhood, env.n, plan.n_species, &free_bytes)
    sort_into_classes(
        neighborhood, env, plan.classes, 2 * plan.outer, with_directions, type_tag
    )
    energy = <vec *> neighborhood.fc
    slope = <vec *> neighborhood.slope
    r = <const vec *> neighborhood.r
    inverse = <const vec *> neighborhood.inverse
    for c in range(plan.n_species):
        for v in range(neighborhood.begin[c] // lanes, (neighborhood.end[c] + lanes - 1) // lanes):
            energy[v] = pair_energy(&pairs[c], plan.inner, r[v], inverse[v], &slope[v])
            half = 0.5 * vstep(beyond - r[v])
            energy[v] = energy[v] * half
            slope[v] = slope[v] * half


cdef inline vec pair_energy(
    const PairOfSpecies *pair, double inner, vec r, vec inverse, vec *slope
) noexcept nogil:
    """Return V, and dV/d(R²) in ``slope``."""
    cdef vec sum = splat(0, &r), derivative = splat(0, &r), term
    cdef vec t = vmax(r - splat(inner, &r), splat(0, &r))
    cdef vec s3 = splat(pair.s3, &r), s4 = splat(pair.s4, &r)
    cdef int k
    for k in range(N_EXPONENTIALS):
        term = splat(pair.q_c[k], &r) * vexp(splat(-pair.b[k], &r) * r)
        sum = sum + term
        derivative = derivative - splat(pair.b[k], &r) * term
    derivative = (derivative - sum * inverse) * inverse + t * t * (3 * s3 + 4 * s4 * t)
    slope[0] = 0.5 * derivative * inverse
    return sum * inverse + t * t * t * (s3 + s4 * t) + splat(pair.s0, &r)


# ---- the verbs


cdef void value(
    const ZBLPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch, vec *out
) noexcept nogil:
    cdef Neighborhood neighborhood
    begin(plan, env, False, scratch, &neighborhood, out)
    put(out, 0, sum_of_energies(&neighborhood, out))


cdef inline double sum_of_energies(
    const Neighborhood *neighborhood, const vec *type_tag
) noexcept nogil:
    """D, from what begin has filled."""
    cdef vec sum = splat(0, type_tag)
    cdef Py_ssize_t v
    for v in range(neighborhood.n // lanes_of(type_tag)):
        sum = sum + (<const vec *> neighborhood.fc)[v]
    return total(sum)


cdef void jvp(
    const ZBLPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch, vec *out
) noexcept nogil:
    cdef Neighborhood neighborhood
    cdef vec sum = splat(0, out)
    cdef Py_ssize_t v
    begin(plan, env, True, scratch, &neighborhood, out)
    for v in range(neighborhood.n // lanes_of(out)):
        sum = sum + (<const vec *> neighborhood.slope)[v] * (
            <const vec *> neighborhood.square_dot
        )[v]
    put(out, 0, total(sum))


cdef void vjp(
    const ZBLPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch, vec *out
) noexcept nogil:
    put_gradients(plan, env, get(<const vec *> env.dE_dD, 0), env.energy, scratch, out)


cdef void jacobian(
    const ZBLPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch, vec *out
) noexcept nogil:
    put_gradients(plan, env, 1.0, NULL, scratch, out)


cdef inline void put_gradients(
    const ZBLPlan *plan, const Environment *env, double weight, double *energy, void *scratch,
    vec *out,
) noexcept nogil:
    """Write weight * dD/dr_j of each neighbor, 2 slope r_j, to its place in ``out``.

    ``energy``: for weight * D, unless it is NULL.
    """
    cdef Neighborhood neighborhood
    cdef Py_ssize_t entry, j, at
    cdef double along
    begin(plan, env, False, scratch, &neighborhood, out)
    if energy != NULL:
        energy[0] = weight * sum_of_energies(&neighborhood, out)
    for entry in range(neighborhood.n):
        j = neighborhood.source[entry]
        if j >= 0:
            at = 3 * env.slot[j]
            along = 2 * weight * get(<const vec *> neighborhood.slope, entry)
            put(out, at, along * get(<const vec *> neighborhood.x, entry))
            put(out, at + 1, along * get(<const vec *> neighborhood.y, entry))
            put(out, at + 2, along * get(<const vec *> neighborhood.z, entry))


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = 1
    verbs.with_energies = True
