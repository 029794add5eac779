"""SOAP of one environment. See the .pyx."""

from torchml_core.descriptors.density.kernel.expansion cimport ExpansionPlan
from torchml_core.descriptors.density.kernel.power_spectrum cimport PowerSpectrumPlan
from torchml_core.kernels.verbs cimport Verbs
from torchml_core.simd.vectors cimport vec


# What soap.py makes.
cdef struct SoapPlan:
    ExpansionPlan expansion
    PowerSpectrumPlan spectrum
    bint unit_norm


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept
