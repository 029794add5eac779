"""Smooth overlap of atomic positions: the power spectrum of a density expansion.

    expansion.pyx        coefficients: radial_table.pyx times solid_harmonics.pyx, over neighbors
    power_spectrum.pyx   their products
    soap_jacobian.pyx    derivatives of every value
    here                 the verbs, and the norm

(A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013).) With unit_norm values are
p / |p|, whose change is (dp - p̂ (p̂ · dp)) / |p|; the same projects dE/dp̂ to dE/dp.
"""

from libc.math cimport sqrt

from torchml_core.descriptors.density.kernel.expansion cimport (
    Expansion, expand, expand_vjp, lay_out_expansion, n_vectors,
)
from torchml_core.descriptors.density.kernel.power_spectrum cimport (
    PowerSpectrum, lay_out_power_spectrum, power_spectrum, power_spectrum_jvp, power_spectrum_vjp,
)
from torchml_core.descriptors.density.kernel.soap_jacobian cimport (
    SpectrumJacobian, jacobian_of_entry, lay_out_jacobian,
)
from torchml_core.kernels.verbs cimport (
    GRADIENTS, TANGENTS, VALUES, Environment, Purpose, ScratchSize, Verb, Verbs,
)
from torchml_core.simd.vectors cimport SIMD_BYTES, carve, get, put, vdouble, vec


cdef struct Buffers:
    Expansion expansion
    PowerSpectrum spectrum
    SpectrumJacobian jacobian
    void *by_coefficient
    void *values                # (width,) of unit norm
    void *by_value              # (width,)


cdef Py_ssize_t lay_out_buffers(
    const SoapPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef const vdouble *type_tag = NULL
    cdef char *free_bytes = begin
    lay_out_expansion(&buffers.expansion, &plan.expansion, n, &free_bytes)
    lay_out_power_spectrum(&buffers.spectrum, &plan.spectrum, &free_bytes)
    lay_out_jacobian(&buffers.jacobian, &plan.expansion, &plan.spectrum, &free_bytes)
    buffers.by_coefficient = carve(&free_bytes, n_vectors(&plan.expansion, type_tag) * SIMD_BYTES)
    buffers.values = carve(&free_bytes, plan.spectrum.width * sizeof(double))
    buffers.by_value = carve(&free_bytes, plan.spectrum.width * sizeof(double))
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const SoapPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch an environment of n neighbors needs."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


cdef inline void begin(
    const SoapPlan *plan, const Environment *env, Purpose purpose, void *scratch,
    Buffers *buffers, const vec *type_tag,
) noexcept nogil:
    lay_out_buffers(plan, env.n, <char *> scratch, buffers)
    expand(&plan.expansion, env, purpose, &buffers.expansion, type_tag)


# ---- unit norm


cdef inline double dot(const vec *a, const vec *b, Py_ssize_t n) noexcept nogil:
    """In float64, and in four sums at once."""
    cdef double s0 = 0, s1 = 0, s2 = 0, s3 = 0
    cdef Py_ssize_t k = 0
    while k + 4 <= n:
        s0 += get(a, k) * get(b, k)
        s1 += get(a, k + 1) * get(b, k + 1)
        s2 += get(a, k + 2) * get(b, k + 2)
        s3 += get(a, k + 3) * get(b, k + 3)
        k += 4
    while k < n:
        s0 += get(a, k) * get(b, k)
        k += 1
    return (s0 + s1) + (s2 + s3)


cdef inline double normalize(vec *values, Py_ssize_t n) noexcept nogil:
    """Divide values by their norm, and return 1 / norm; 0 where all of them are 0."""
    cdef double norm = sqrt(dot(values, values, n)), inverse = 1 / norm if norm > 0 else 0
    cdef Py_ssize_t k
    for k in range(n):
        put(values, k, get(values, k) * inverse)
    return inverse


cdef inline void project(
    const vec *values, double inverse, const vec *changes, Py_ssize_t n, vec *out
) noexcept nogil:
    """(changes - values (values · changes)) / norm; out may be changes."""
    cdef double along = dot(values, changes, n)
    cdef Py_ssize_t k
    for k in range(n):
        put(out, k, (get(changes, k) - along * get(values, k)) * inverse)


# ---- the verbs


cdef void value(
    const SoapPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    begin(plan, env, VALUES, scratch, &buffers, out)
    power_spectrum(
        &plan.spectrum, <const vec *> buffers.expansion.coefficients, &buffers.spectrum, out
    )
    if plan.unit_norm:
        normalize(out, plan.spectrum.width)


cdef inline double unit_values(
    const SoapPlan *plan, Buffers *buffers, vec *values
) noexcept nogil:
    """Fill values, of unit norm, and return 1 / norm."""
    power_spectrum(
        &plan.spectrum, <const vec *> buffers.expansion.coefficients, &buffers.spectrum, values
    )
    return normalize(values, plan.spectrum.width)


cdef void vjp(
    const SoapPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef const vec *by_value = <const vec *> env.dE_dD
    cdef vec *values
    cdef double inverse
    begin(plan, env, GRADIENTS, scratch, &buffers, out)
    if plan.unit_norm:
        values = <vec *> buffers.values
        inverse = unit_values(plan, &buffers, values)
        project(values, inverse, by_value, plan.spectrum.width, <vec *> buffers.by_value)
        by_value = <const vec *> buffers.by_value
    power_spectrum_vjp(
        &plan.spectrum, <const vec *> buffers.expansion.coefficients, by_value,
        &buffers.spectrum, <vec *> buffers.by_coefficient,
    )
    expand_vjp(
        &plan.expansion, env, &buffers.expansion, <const vec *> buffers.by_coefficient, out
    )


cdef void jvp(
    const SoapPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef vec *values
    cdef double inverse
    begin(plan, env, TANGENTS, scratch, &buffers, out)
    power_spectrum_jvp(
        &plan.spectrum, <const vec *> buffers.expansion.coefficients,
        <const vec *> buffers.expansion.changes, &buffers.spectrum, out,
    )
    if plan.unit_norm:
        values = <vec *> buffers.values
        inverse = unit_values(plan, &buffers, values)
        project(values, inverse, out, plan.spectrum.width, out)


cdef void jacobian(
    const SoapPlan *plan, const Environment *env, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef Py_ssize_t width = plan.spectrum.width, at, i, axis, k
    cdef const vec *values
    cdef const vec *block
    cdef vec *row
    cdef double inverse = 0
    begin(plan, env, GRADIENTS, scratch, &buffers, out)
    values = <const vec *> buffers.values
    if plan.unit_norm:
        inverse = unit_values(plan, &buffers, <vec *> buffers.values)
    for i in range(buffers.expansion.neighborhood.n):
        if buffers.expansion.neighborhood.source[i] < 0:
            continue
        jacobian_of_entry(
            &plan.expansion, &plan.spectrum, &buffers.expansion, i,
            env.neighbor_species[buffers.expansion.neighborhood.source[i]], &buffers.jacobian, out,
        )
        at = env.slot[buffers.expansion.neighborhood.source[i]] * 3 * width
        for axis in range(3):
            block = <const vec *> buffers.jacobian.block[axis]
            row = <vec *> buffers.jacobian.block[axis]
            if plan.unit_norm:
                project(values, inverse, block, width, row)
            for k in range(width):
                put(out, at + k, get(block, k))
            at += width


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.group = 1
