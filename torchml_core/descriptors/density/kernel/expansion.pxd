"""Density expansion of one environment, and its gradient. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.density.kernel.radial_table cimport RadialPlaces, RadialTable
from torchml_core.kernels.neighborhood cimport Neighborhood, PairCutoff
from torchml_core.kernels.verbs cimport Environment, Purpose
from torchml_core.simd.vectors cimport get, lanes_of, put, vec, vectors_for


# What density.py makes.
cdef struct ExpansionPlan:
    int n_max
    int l_max
    Py_ssize_t n_lm             # (l_max + 1)²
    Py_ssize_t n_species
    Py_ssize_t n_channels
    const int32_t *classes      # (n_species,) the numbers 0, 1, ...
    const double *species_weights  # (n_species, n_channels), NULL: each species is a channel
    const double *norms         # (n_lm,) by which solid harmonics are multiplied
    # (density_vectors) of numbers: the same for each density, in either precision
    const double *norms_of_densities
    const float *norms_of_densities_single
    double cutoff
    PairCutoff pair_cutoff
    RadialTable table


cdef struct Expansion:
    Neighborhood neighborhood
    RadialPlaces places
    void *harmonics             # (n vectors of entries, n_lm)
    void *harmonic_changes      # as harmonics, with TANGENTS
    void *rows                  # of all entries, or of one vector, see radial_rows
    void *slopes                # of one vector of entries, see rows_and_slopes
    void *sums                  # (n_lm, n_species, n): vectors, before they are folded
    void *transposed            # of a vjp_by_neighbors: (functions, 2, n vectors) of a species
    void *by_harmonic           # (2, n vectors, n_lm) of a species
    void *weights               # of a vjp_by_functions: (n_lm, n_species, n): vectors
    void *terms                 # (n_lm, n, 4): vectors, of a species
    void *sums_of_groups        # (4, n_l, n, 4): vectors
    void *totals                # (lanes, 4): vectors
    void *gradients             # (3, n_lm) of one vector of entries


cdef inline int repeat_of(const ExpansionPlan *plan, const vec *type_tag) noexcept nogil:
    """How many entries share a vector: all n of each, interleaved."""
    cdef int repeat = 1
    while repeat < 4 and 2 * repeat * plan.n_max <= lanes_of(type_tag):
        repeat *= 2
    return repeat


cdef inline Py_ssize_t padded_n(const ExpansionPlan *plan, const vec *type_tag) noexcept nogil:
    """How many numbers there are for the n_max radial functions in densities."""
    cdef int repeat = repeat_of(plan, type_tag)
    return vectors_for(repeat * plan.n_max, type_tag) * lanes_of(type_tag) // repeat


cdef inline Py_ssize_t density_vectors(
    const ExpansionPlan *plan, const vec *type_tag
) noexcept nogil:
    """Of the densities (n_lm, n_species, padded_n) of one environment."""
    return vectors_for(plan.n_lm * plan.n_species * padded_n(plan, type_tag), type_tag)


cdef inline double weight_in_channel(
    const ExpansionPlan *plan, Py_ssize_t species, Py_ssize_t q
) noexcept nogil:
    if plan.species_weights == NULL:
        return species == q
    return plan.species_weights[species * plan.n_channels + q]


cdef inline void put_gradients(
    const Environment *env, const int32_t *source, Py_ssize_t n, const vec *x, const vec *y,
    const vec *z, vec *out,
) noexcept nogil:
    """Store those of n entries, whose numbers in the environment are ``source``."""
    cdef Py_ssize_t lane, slot
    for lane in range(n):
        slot = env.slot[source[lane]]
        put(out, 3 * slot, get(x, lane))
        put(out, 3 * slot + 1, get(y, lane))
        put(out, 3 * slot + 2, get(z, lane))


cdef void lay_out_expansion(
    Expansion *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil
cdef void begin_expansion(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, Expansion *work,
    const vec *type_tag,
) noexcept nogil
cdef void expand(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, Expansion *work,
    vec *densities, vec *changes,
) noexcept nogil
