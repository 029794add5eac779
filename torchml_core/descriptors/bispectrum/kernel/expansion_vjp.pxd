"""The gradient of an energy with respect to neighbors. See the .pyx."""

from torchml_core.descriptors.bispectrum.kernel.expansion cimport Expansion, ExpansionPlan
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport vec


cdef void expand_vjp(
    Expansion *work, const ExpansionPlan *plan, const Environment *group, Py_ssize_t stride,
    Py_ssize_t component, vec *out,
) noexcept nogil
