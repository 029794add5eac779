"""Power spectrum of density coefficients, and its derivatives. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.simd.vectors cimport vec


# What soap.py makes.
cdef struct PowerSpectrumPlan:
    int n_max
    int l_max
    Py_ssize_t n_channels
    Py_ssize_t width
    # (n_channels * n_max, n_channels * n_max), symmetric: which value comes first of those of a
    # pair, l = 0 ... l_max; -1 where it has none.
    const int32_t *places


cdef struct PowerSpectrum:
    void *products              # (n_l, n_max, n_channels, n_max) of one channel with all
    void *weights               # (n_l, n_channels, n_max, n_channels, n_max)
    void *by_value              # (width,) and room for all l of a pair after it
    void *transposed                # (lanes, n_l): of one vector of pairs


cdef void lay_out_power_spectrum(
    PowerSpectrum *work, const PowerSpectrumPlan *plan, char **free_bytes
) noexcept nogil
cdef void power_spectrum(
    const PowerSpectrumPlan *plan, const vec *coefficients, PowerSpectrum *work, vec *out
) noexcept nogil
cdef void power_spectrum_jvp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *changes,
    PowerSpectrum *work, vec *out,
) noexcept nogil
cdef void power_spectrum_vjp(
    const PowerSpectrumPlan *plan, const vec *coefficients, const vec *by_value,
    PowerSpectrum *work, vec *by_coefficient,
) noexcept nogil
