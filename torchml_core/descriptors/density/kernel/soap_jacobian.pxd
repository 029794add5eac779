"""Derivatives of every value of a power spectrum with respect to the neighbors. See the .pyx."""

from torchml_core.descriptors.density.kernel.coefficients cimport Coefficients
from torchml_core.descriptors.density.kernel.expansion cimport Expansion, ExpansionPlan
from torchml_core.descriptors.density.kernel.power_spectrum cimport PowerSpectrumPlan
from torchml_core.simd.vectors cimport vec


cdef struct SpectrumJacobian:
    void *coefficients          # (n_lm, n_channels, n_max) of one atom
    void *gradients             # (n_lm, 4) of one vector of entries: 2 S and ∇S
    void *sums                  # (n_l, 4, lanes, n_channels * n_max): 2 X and Y of these entries
    void *rows                  # (n_max, n_l) of one entry: f, padded to vectors
    void *slopes                # the same: f'
    void *padded                # (n_l, n_max) of one entry, both padded to vectors
    void *factors               # (n_channels * n_max, FACTORS, n_l) of one entry, padded
    void *block[3]              # (width,) of one entry, and room for a vector after it


cdef void lay_out_jacobian(
    SpectrumJacobian *work, const ExpansionPlan *expansion, const PowerSpectrumPlan *spectrum,
    char **free_bytes,
) noexcept nogil
cdef void begin_jacobian(
    const ExpansionPlan *expansion, const PowerSpectrumPlan *spectrum,
    const Coefficients *coefficients, SpectrumJacobian *work, const vec *type_tag,
) noexcept nogil
cdef void begin_entries(
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, Expansion *expansion,
    Py_ssize_t b, SpectrumJacobian *work, const vec *type_tag,
) noexcept nogil
cdef void jacobian_of_entry(
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, const Expansion *expansion,
    Py_ssize_t b, Py_ssize_t lane, int species, SpectrumJacobian *work,
    const vec *type_tag,
) noexcept nogil
