"""Power spectrum of density coefficients, and its derivatives. See the .pyx."""

from torchml_core.kernels.simd cimport vec


cdef struct PowerSpectrumPlan:
    int n_max
    int l_max
    Py_ssize_t n_channels
    bint full                   # cross blocks hold every (n, n'), else n' >= n
    Py_ssize_t width


cdef struct PowerSpectrum:
    void *products              # (n_l, n_max, n_channels, n_max) of one channel
    void *weights               # (n_l, n_channels, n_max, n_channels, n_max), with derivatives


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
