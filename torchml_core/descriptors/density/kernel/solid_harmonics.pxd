"""Real solid harmonics by recursion, and their gradients. See the .pyx."""

from torchml_core.simd.vectors cimport vec


cdef enum:
    MOST_L = 15


cdef void solid_harmonics(int l_max, vec x, vec y, vec z, vec *out) noexcept nogil
cdef void solid_harmonics_vjp(
    int l_max, const vec *harmonics, const vec *weights, vec *x, vec *y, vec *z
) noexcept nogil
cdef void solid_harmonics_gradients(
    int l_max, const vec *harmonics, vec *x, vec *y, vec *z
) noexcept nogil
