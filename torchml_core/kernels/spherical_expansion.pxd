"""Density coefficients of one environment as values. See the .pyx."""

from torchml_core.kernels.simd cimport vec
from torchml_core.kernels.verbs cimport Verbs


# The plan is an ExpansionPlan.
cdef void fill_verbs(Verbs *verbs, const vec *like) noexcept
