"""The gradient through c4 and c5 of one environment. See the .pyx."""

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport CompactSet, RadialParts
from torchml_core.descriptors.symmetry_functions.kernel.compact_triplets cimport TripletScratch
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.simd.vectors cimport vec


cdef void compact_angular_vjp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    TripletScratch *work, const vec *weights, vec *along, vec *x, vec *y, vec *z,
) noexcept nogil
