"""The Jacobian of the compact functions of one environment. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport CompactSet, RadialParts
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport TripletScratch
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.simd.vectors cimport vec


cdef void compact_jacobian(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width,
    vec *out,
) noexcept nogil
