"""SOAP of one environment. See the .pyx."""

from torchml_core.kernels.environment cimport Environment, real
from torchml_core.kernels.expansion cimport Expansion, ExpansionPlan
from torchml_core.kernels.power_spectrum cimport PowerSpectrum, PowerSpectrumPlan


# What descriptors/soap.py makes.
cdef struct SoapPlan:
    ExpansionPlan expansion
    PowerSpectrumPlan spectrum
    bint unit_norm


cdef Py_ssize_t scratch_size(const SoapPlan *plan, Py_ssize_t n) noexcept nogil
cdef void value(
    const SoapPlan *plan, const Environment *env, void *scratch, real *out
) noexcept nogil
cdef void vjp(
    const SoapPlan *plan, const Environment *env, const real *dE_dD, void *scratch, real *out
) noexcept nogil
cdef void jvp(
    const SoapPlan *plan, const Environment *env, void *scratch, real *out
) noexcept nogil
cdef void jacobian(
    const SoapPlan *plan, const Environment *env, void *scratch, real *out
) noexcept nogil
