"""Xi of as many atoms as a vector has lanes. See the .pyx."""

from torchml_core.descriptors.density.kernel.expansion cimport ExpansionPlan
from torchml_core.descriptors.xi.kernel.products cimport ProductsPlan
from torchml_core.kernels.verbs cimport Verbs
from torchml_core.simd.vectors cimport vec


cdef struct XiPlan:
    ExpansionPlan expansion     # one species, one channel
    ProductsPlan products


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept
