"""Power spectra of a group of atoms, one in each lane, and their derivatives. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.simd.vectors cimport vec


# What soap.py makes.
cdef struct PowerSpectrumPlan:
    int n_max
    int l_max
    Py_ssize_t n_channels
    Py_ssize_t width
    # (n_channels * n_max, n_channels * n_max), symmetric: which value comes first of those of a
    # pair, l = 0 ... l_max; -1 where it has none. From left to right and down, they are in order.
    const int32_t *places


cdef void power_spectrum(
    const PowerSpectrumPlan *plan, const vec *coefficients, Py_ssize_t n_environments, vec *values,
    vec *out, bint *not_finite,
) noexcept nogil
cdef void power_spectrum_jvp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *changes,
    Py_ssize_t n_environments, vec *values, vec *out,
) noexcept nogil
cdef void power_spectrum_vjp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *by_value, vec *gradient
) noexcept nogil
cdef Py_ssize_t values_at_once(const PowerSpectrumPlan *plan) noexcept nogil
