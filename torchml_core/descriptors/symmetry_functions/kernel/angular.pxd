"""g4 and g5 of one environment. See the .pyx."""

from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport (
    AngularBlock, AngularScratch,
)
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.simd.vectors cimport vec


cdef void lay_out_angular(
    AngularScratch *work, Py_ssize_t most_terms, Py_ssize_t most_neighbors, char **free_bytes
) noexcept nogil
cdef void angular_value(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work, vec *sums
) noexcept nogil
cdef void angular_vjp(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work,
    const vec *weights, vec *along, vec *x, vec *y, vec *z,
) noexcept nogil
cdef void angular_jvp(
    const AngularBlock *block, const Neighborhood *neighborhood, AngularScratch *work, vec *sums
) noexcept nogil
cdef void chain(
    const AngularBlock *block, AngularScratch *work, const vec *type_tag
) noexcept nogil
