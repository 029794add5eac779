"""Gradient of a density expansion, with neighbors in vectors. See the .pyx."""

from torchml_core.descriptors.density.kernel.expansion cimport Expansion, ExpansionPlan
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport vec


cdef void vjp_by_neighbors(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_density,
    vec *out,
) noexcept nogil
