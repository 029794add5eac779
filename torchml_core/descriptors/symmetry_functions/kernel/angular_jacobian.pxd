"""The Jacobian of g4 and g5 of one environment. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport (
    AngularBlock, AngularScratch,
)
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.simd.vectors cimport vec


cdef void angular_jacobian(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work,
    const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width, vec *out,
) noexcept nogil
