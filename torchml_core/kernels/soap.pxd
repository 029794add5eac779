"""SOAP of one environment. See the .pyx."""

from torchml_core.kernels.expansion cimport ExpansionPlan
from torchml_core.kernels.power_spectrum cimport PowerSpectrumPlan
from torchml_core.kernels.simd cimport vec
from torchml_core.kernels.verbs cimport Verbs


# What descriptors/soap.py makes.
cdef struct SoapPlan:
    ExpansionPlan expansion
    PowerSpectrumPlan spectrum
    bint unit_norm


cdef void fill_verbs(Verbs *verbs, const vec *like) noexcept
