"""Density coefficients of one environment as values. See the .pyx."""

from torchml_core.kernels.verbs cimport Verbs
from torchml_core.simd.vectors cimport vec


# The plan is an ExpansionPlan.
cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept
