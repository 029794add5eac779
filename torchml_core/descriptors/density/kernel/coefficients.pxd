"""Density coefficients of a group of atoms, one in each lane. See the .pyx."""

from torchml_core.descriptors.density.kernel.expansion cimport Expansion, ExpansionPlan
from torchml_core.kernels.verbs cimport Environment, Purpose
from torchml_core.simd.vectors cimport vec


# Coefficients and their like are (n_lm, n_channels, n_max) vectors, a lane for each atom.
cdef struct Coefficients:
    Expansion expansion         # of one atom after another
    void *of_atoms              # (lanes, density_vectors): densities of each atom
    void *changes_of_atoms
    void *densities             # (n_lm, n_species, padded_n) of all atoms
    void *values                # or where they are kept
    void *changes
    void *gradient              # dE/dc


cdef inline Py_ssize_t n_coefficients(const ExpansionPlan *plan) noexcept nogil:
    return plan.n_lm * plan.n_channels * plan.n_max


cdef void lay_out_coefficients(
    Coefficients *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil
cdef Py_ssize_t most_neighbors(const Environment *group, Py_ssize_t n_environments) noexcept nogil
cdef void fill_coefficients(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments,
    Purpose purpose, Coefficients *work, const vec *type_tag,
) noexcept nogil
cdef void coefficients_vjp(
    const ExpansionPlan *plan, const Environment *group, Py_ssize_t n_environments,
    Coefficients *work, vec *out,
) noexcept nogil
cdef void gather_gradients(
    const Environment *group, Py_ssize_t n_environments, Py_ssize_t width, vec *by_value
) noexcept nogil
cdef void write_rows(
    const vec *values, Py_ssize_t begin, Py_ssize_t end, Py_ssize_t width,
    Py_ssize_t n_environments, vec *out, vec *bad,
) noexcept nogil
