"""Which kernel is meant: one function for each verb, with one branch for each kind.

A new descriptor adds a member to ``Kind`` and a branch to each function. ``env`` (IN), ``scratch``
(kernel_scratch_size bytes, private to the caller), ``out`` (OUT, overwritten).
"""

from torchml_core.kernels cimport soap, spherical_expansion, symmetry_functions
from torchml_core.kernels.environment cimport Environment, real
from torchml_core.kernels.expansion cimport ExpansionPlan
from torchml_core.kernels.soap cimport SoapPlan
from torchml_core.kernels.symmetry_functions cimport SymmetryFunctionPlan


cdef enum Kind:
    SYMMETRY_FUNCTIONS
    SPHERICAL_EXPANSION
    SOAP


# What the loops need to know of any descriptor.
cdef struct KernelInfo:
    Kind kind
    const void *plan           # the kernel's own
    Py_ssize_t width
    int n_species
    const double *cutoffs      # (n_species, n_species)


cdef inline Py_ssize_t kernel_scratch_size(const KernelInfo *kernel, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch an environment of n neighbors needs."""
    if kernel.kind == SOAP:
        return soap.scratch_size(<const SoapPlan *> kernel.plan, n)
    if kernel.kind == SPHERICAL_EXPANSION:
        return spherical_expansion.scratch_size(<const ExpansionPlan *> kernel.plan, n)
    return symmetry_functions.scratch_size(<const SymmetryFunctionPlan *> kernel.plan, n)


cdef inline void kernel_value(
    const KernelInfo *kernel, const Environment *env, void *scratch, real *out
) noexcept nogil:
    """``out`` (width,): the values."""
    if kernel.kind == SOAP:
        soap.value(<const SoapPlan *> kernel.plan, env, scratch, out)
    elif kernel.kind == SPHERICAL_EXPANSION:
        spherical_expansion.value(<const ExpansionPlan *> kernel.plan, env, scratch, out)
    else:
        symmetry_functions.value(<const SymmetryFunctionPlan *> kernel.plan, env, scratch, out)


cdef inline void kernel_vjp(
    const KernelInfo *kernel, const Environment *env, const real *dE_dD, void *scratch, real *out
) noexcept nogil:
    """``out`` (3, n): dE/dr_j of the energy whose gradient by the values is dE_dD."""
    if kernel.kind == SOAP:
        soap.vjp(<const SoapPlan *> kernel.plan, env, dE_dD, scratch, out)
    elif kernel.kind == SPHERICAL_EXPANSION:
        spherical_expansion.vjp(<const ExpansionPlan *> kernel.plan, env, dE_dD, scratch, out)
    else:
        symmetry_functions.vjp(
            <const SymmetryFunctionPlan *> kernel.plan, env, dE_dD, scratch, out
        )


cdef inline void kernel_jvp(
    const KernelInfo *kernel, const Environment *env, void *scratch, real *out
) noexcept nogil:
    """``out`` (width,): the change of the values for the change of r_j that env holds."""
    if kernel.kind == SOAP:
        soap.jvp(<const SoapPlan *> kernel.plan, env, scratch, out)
    elif kernel.kind == SPHERICAL_EXPANSION:
        spherical_expansion.jvp(<const ExpansionPlan *> kernel.plan, env, scratch, out)
    else:
        symmetry_functions.jvp(<const SymmetryFunctionPlan *> kernel.plan, env, scratch, out)


cdef inline void kernel_jacobian(
    const KernelInfo *kernel, const Environment *env, void *scratch, real *out
) noexcept nogil:
    """``out``: the (3, width) block of each neighbor, at env.slot."""
    if kernel.kind == SOAP:
        soap.jacobian(<const SoapPlan *> kernel.plan, env, scratch, out)
    elif kernel.kind == SPHERICAL_EXPANSION:
        spherical_expansion.jacobian(<const ExpansionPlan *> kernel.plan, env, scratch, out)
    else:
        symmetry_functions.jacobian(<const SymmetryFunctionPlan *> kernel.plan, env, scratch, out)
