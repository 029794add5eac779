"""Density coefficients of one environment as values. See the .pyx."""

from torchml_core.kernels.environment cimport Environment, real
from torchml_core.kernels.expansion cimport ExpansionPlan


cdef Py_ssize_t scratch_size(const ExpansionPlan *plan, Py_ssize_t n) noexcept nogil
cdef void value(
    const ExpansionPlan *plan, const Environment *env, void *scratch, real *out
) noexcept nogil
cdef void vjp(
    const ExpansionPlan *plan, const Environment *env, const real *dE_dD, void *scratch,
    real *out,
) noexcept nogil
cdef void jvp(
    const ExpansionPlan *plan, const Environment *env, void *scratch, real *out
) noexcept nogil
cdef void jacobian(
    const ExpansionPlan *plan, const Environment *env, void *scratch, real *out
) noexcept nogil
