"""Derivatives of every value of a power spectrum by the neighbors. See the .pyx."""

from torchml_core.kernels.expansion cimport Expansion, ExpansionPlan
from torchml_core.kernels.power_spectrum cimport PowerSpectrumPlan
from torchml_core.kernels.simd cimport vec


cdef struct SpectrumJacobian:
    void *gradients             # (n_lm, 4) of one vector of entries: 2 S and ∇S
    void *sums                  # (n_l, 4, n_channels, n_max) of one entry: 2 X and Y
    void *turned                # (4, n_channels, n_max, n_l): the same, n_l padded to vectors
    void *rows                  # (n_max, n_l): f
    void *slopes                # (n_max, n_l): f'
    void *block[3]              # (width,) of one entry, and room for a vector behind


cdef void lay_out_jacobian(
    SpectrumJacobian *work, const ExpansionPlan *expansion, const PowerSpectrumPlan *spectrum,
    char **free_bytes,
) noexcept nogil
cdef void jacobian_of_entry(
    const ExpansionPlan *plan, const PowerSpectrumPlan *spectrum, const Expansion *expanded,
    Py_ssize_t entry, int species, SpectrumJacobian *work, const vec *like,
) noexcept nogil
