"""Density expansion: the coefficients c of one environment, and their derivatives. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.density.kernel.radial_table cimport RadialPlaces, RadialTable
from torchml_core.kernels.neighborhood cimport Neighborhood, PairCutoff
from torchml_core.kernels.verbs cimport Environment, Purpose
from torchml_core.simd.vectors cimport vec, vectors_for


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
    double cutoff
    PairCutoff pair_cutoff
    RadialTable table


# Coefficients are (n_lm, n_channels, n_max), n_max padded to whole vectors with zeros.
cdef struct Expansion:
    Neighborhood neighborhood
    RadialPlaces places
    void *harmonics             # (n vectors of entries, n_lm)
    void *harmonic_changes      # the same, with TANGENTS
    void *rows                  # (n entries, n_l, n_max)
    void *slopes                # their derivatives with respect to R²; with TANGENTS, changes
    void *densities             # coefficients by species, where channels are not species
    void *coefficients
    void *changes               # of the coefficients, with TANGENTS
    void *transposed            # (n_l, n_max, 2): rows and slopes of one vector of entries
    void *by_harmonic           # (2, n_lm) of one vector of entries: A and B
    void *gradients             # (3, n_lm) of one vector of entries


cdef inline Py_ssize_t n_vectors(const ExpansionPlan *plan, const vec *type_tag) noexcept nogil:
    """Of all coefficients."""
    return plan.n_lm * plan.n_channels * vectors_for(plan.n_max, type_tag)


cdef inline double weight_in_channel(
    const ExpansionPlan *plan, Py_ssize_t species, Py_ssize_t q
) noexcept nogil:
    if plan.species_weights == NULL:
        return species == q
    return plan.species_weights[species * plan.n_channels + q]


cdef void lay_out_expansion(
    Expansion *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil
cdef void expand(
    const ExpansionPlan *plan, const Environment *env, Purpose purpose, Expansion *work,
    const vec *type_tag,
) noexcept nogil
cdef void rows_by_entry(
    const ExpansionPlan *plan, Expansion *work, Py_ssize_t b, const vec *type_tag
) noexcept nogil
cdef void expand_vjp(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_coefficient,
    vec *out,
) noexcept nogil
