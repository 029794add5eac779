"""Smooth overlap of atomic positions of a group of atoms: power spectra of density expansions.

    coefficients.pyx     coefficients of the group: those of one atom after another are made by
    expansion.pyx        radial_table.pyx times solid_harmonics.pyx, summed over neighbors
    expansion_vjp.pyx    and the gradient of these sums
    power_spectrum.pyx   their products
    soap_jacobian.pyx    derivatives of every value
    here                 the verbs, and the norm

(A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013).) With unit_norm values are
p / |p|, whose change is (dp - p̂ (p̂ · dp)) / |p|; the same projects dE/dp̂ to dE/dp.

What is kept from values to their vjp are the coefficients.
"""

from libc.math cimport sqrt
from libc.string cimport memcpy

from torchml_core.descriptors.density.kernel.coefficients cimport (
    Coefficients, coefficients_vjp, fill_coefficients, gather_gradients, lay_out_coefficients,
    most_neighbors, n_coefficients,
)
from torchml_core.descriptors.density.kernel.expansion cimport Expansion
from torchml_core.descriptors.density.kernel.power_spectrum cimport (
    power_spectrum, power_spectrum_jvp, power_spectrum_vjp, values_at_once,
)
from torchml_core.descriptors.density.kernel.soap_jacobian cimport (
    SpectrumJacobian, begin_entries, begin_jacobian, jacobian_of_entry, lay_out_jacobian,
)
from torchml_core.kernels.verbs cimport (
    GRADIENTS, TANGENTS, VALUES, Environment, KeptSize, Purpose, ScratchSize, Verb, Verbs,
)
from torchml_core.simd.vectors cimport (
    MOST_LANES, SIMD_BYTES, carve, finite, get, lanes_of, number_at, put, simd_end_stream, stream,
    vec, vfloat,
)


cdef struct Buffers:
    Coefficients coefficients
    SpectrumJacobian jacobian
    void *some_values           # of all atoms, see power_spectrum
    void *by_value              # (width,) of all atoms: dE/dp
    void *values                # (n_environments, width) of unit norm
    void *projected             # (width,) of one atom, or (n_environments, width) dE/dp
    double[MOST_LANES] inverse  # 1 / norm of each atom


cdef Py_ssize_t lay_out_buffers(
    const SoapPlan *plan, Py_ssize_t n, char *begin, Buffers *buffers
) noexcept nogil:
    """Cut all arrays off the scratch buffer; return how many bytes that were."""
    cdef Py_ssize_t width = plan.spectrum.width, rows = 0
    cdef char *free_bytes = begin
    lay_out_coefficients(&buffers.coefficients, &plan.expansion, n, &free_bytes)
    lay_out_jacobian(&buffers.jacobian, &plan.expansion, &plan.spectrum, &free_bytes)
    buffers.some_values = carve(&free_bytes, values_at_once(&plan.spectrum) * SIMD_BYTES)
    buffers.by_value = carve(&free_bytes, width * SIMD_BYTES)
    if plan.unit_norm:
        rows = width * SIMD_BYTES
    buffers.values = carve(&free_bytes, rows)
    buffers.projected = carve(&free_bytes, rows)
    return free_bytes - begin


cdef Py_ssize_t scratch_size(const SoapPlan *plan, Py_ssize_t n) noexcept nogil:
    """How many bytes of scratch environments of n neighbors need."""
    cdef Buffers unused
    return lay_out_buffers(plan, n, NULL, &unused)


cdef Py_ssize_t kept_size(const SoapPlan *plan) noexcept nogil:
    """Coefficients."""
    return n_coefficients(&plan.expansion) * SIMD_BYTES


cdef inline void begin(
    const SoapPlan *plan, const Environment *group, Py_ssize_t n_environments, Purpose purpose,
    void *scratch, Buffers *buffers, const vec *type_tag,
) noexcept nogil:
    """Fill the coefficients of all atoms, unless they are those that are kept."""
    lay_out_buffers(plan, most_neighbors(group, n_environments), <char *> scratch, buffers)
    if group[0].kept != NULL:
        buffers.coefficients.values = group[0].kept
        if purpose == GRADIENTS:
            return
    fill_coefficients(
        &plan.expansion, group, n_environments, purpose, &buffers.coefficients, type_tag
    )


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


cdef inline void unit_values(
    const SoapPlan *plan, Py_ssize_t n_environments, Buffers *buffers, vec *values,
    bint *not_finite,
) noexcept nogil:
    """Fill values, of unit norm if so wanted, and then ``inverse``; see power_spectrum."""
    cdef Py_ssize_t width = plan.spectrum.width, k
    power_spectrum(
        &plan.spectrum, <const vec *> buffers.coefficients.values, n_environments,
        <vec *> buffers.some_values, values, NULL if plan.unit_norm else not_finite,
    )
    if plan.unit_norm:
        for k in range(n_environments):
            buffers.inverse[k] = normalize(number_at(values, k * width), width)
        if not_finite != NULL and not finite(values, n_environments * width):
            not_finite[0] = True


# ---- the verbs


cdef void value(
    const SoapPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    begin(plan, group, n_environments, VALUES, scratch, &buffers, out)
    unit_values(plan, n_environments, &buffers, out, group[0].not_finite)
    if group[0].not_finite != NULL:
        simd_end_stream()


cdef inline void gather_projected(
    const SoapPlan *plan, const Environment *group, Py_ssize_t n_environments, Buffers *buffers,
    const vec *type_tag,
) noexcept nogil:
    """by_value, from dE/dD with respect to values of unit norm."""
    cdef Environment[MOST_LANES] projected
    cdef vec *values = <vec *> buffers.values
    cdef vec *rows = <vec *> buffers.projected
    cdef Py_ssize_t width = plan.spectrum.width, k
    unit_values(plan, n_environments, buffers, values, NULL)
    for k in range(n_environments):
        projected[k].dE_dD = number_at(rows, k * width)
        project(
            number_at(values, k * width), buffers.inverse[k], <const vec *> group[k].dE_dD, width,
            number_at(rows, k * width),
        )
    gather_gradients(projected, n_environments, width, <vec *> buffers.by_value)


cdef void vjp(
    const SoapPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef vec *by_value
    begin(plan, group, n_environments, GRADIENTS, scratch, &buffers, out)
    by_value = <vec *> buffers.by_value
    if plan.unit_norm:
        gather_projected(plan, group, n_environments, &buffers, out)
    else:
        gather_gradients(group, n_environments, plan.spectrum.width, by_value)
    power_spectrum_vjp(
        &plan.spectrum, <const vec *> buffers.coefficients.values, by_value,
        <vec *> buffers.coefficients.gradient,
    )
    coefficients_vjp(&plan.expansion, group, n_environments, &buffers.coefficients, out)


cdef void jvp(
    const SoapPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    cdef Buffers buffers
    cdef vec *row
    cdef Py_ssize_t width = plan.spectrum.width, k
    begin(plan, group, n_environments, TANGENTS, scratch, &buffers, out)
    power_spectrum_jvp(
        &plan.spectrum, <const vec *> buffers.coefficients.values,
        <const vec *> buffers.coefficients.changes, n_environments, <vec *> buffers.some_values,
        out,
    )
    if plan.unit_norm:
        unit_values(plan, n_environments, &buffers, <vec *> buffers.values, NULL)
        for k in range(n_environments):
            row = number_at(out, k * width)
            project(
                number_at(<vec *> buffers.values, k * width), buffers.inverse[k], row, width, row
            )


cdef inline void store(
    const vec *block, Py_ssize_t n, vec *out, Py_ssize_t at, bint *not_finite
) noexcept nogil:
    """Copy n numbers to ``out``; past the caches where ``not_finite`` is given."""
    if not_finite != NULL:
        if not stream(block, n, out, at):
            not_finite[0] = True
    elif vec is vfloat:
        memcpy(number_at(out, at), block, n * sizeof(float))
    else:
        memcpy(number_at(out, at), block, n * sizeof(double))


cdef inline void entries_of_atom(
    const SoapPlan *plan, const Environment *env, Buffers *buffers, vec *out
) noexcept nogil:
    """The blocks of all neighbors of one atom."""
    cdef Expansion *expansion = &buffers.coefficients.expansion
    cdef Py_ssize_t width = plan.spectrum.width, b, i, j, axis
    cdef vec *block
    for b in range(expansion.neighborhood.n // lanes_of(out)):
        begin_entries(&plan.expansion, &plan.spectrum, expansion, b, &buffers.jacobian, out)
        for i in range(lanes_of(out)):
            j = expansion.neighborhood.source[b * lanes_of(out) + i]
            if j < 0:
                continue
            jacobian_of_entry(
                &plan.expansion, &plan.spectrum, expansion, b, i, env.neighbor_species[j],
                &buffers.jacobian, out,
            )
            for axis in range(3):
                block = <vec *> buffers.jacobian.block[axis]
                if plan.unit_norm:
                    project(
                        <const vec *> buffers.values, buffers.inverse[0], block, width, block,
                    )
                store(block, width, out, (3 * env.slot[j] + axis) * width, env.not_finite)


cdef void jacobian(
    const SoapPlan *plan, const Environment *group, Py_ssize_t n_environments, void *scratch,
    vec *out,
) noexcept nogil:
    """Of one atom after another: ``expansion`` is that of the coefficients."""
    cdef Buffers buffers
    cdef Py_ssize_t k
    for k in range(n_environments):
        begin(plan, group + k, 1, VALUES, scratch, &buffers, out)
        if plan.unit_norm:
            unit_values(plan, 1, &buffers, <vec *> buffers.values, NULL)
        begin_jacobian(
            &plan.expansion, &plan.spectrum, &buffers.coefficients, &buffers.jacobian, out
        )
        entries_of_atom(plan, group + k, &buffers, out)
    simd_end_stream()


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept:
    verbs.value = <Verb> value[vec]
    verbs.vjp = <Verb> vjp[vec]
    verbs.jvp = <Verb> jvp[vec]
    verbs.jacobian = <Verb> jacobian[vec]
    verbs.scratch_size = <ScratchSize> scratch_size
    verbs.kept_size = <KeptSize> kept_size
    verbs.group = lanes_of(type_tag)
    verbs.jacobian_group = 1
    verbs.values_stream = verbs.jacobian_streams = True
