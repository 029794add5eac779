"""Four numbers side by side, see the end of simd.h. Never to be made a Python object."""

from libc.stdint cimport int32_t


cdef extern from "simd.h" nogil:
    ctypedef double vec4d
    ctypedef int32_t vec4i
    vec4d load4d(const double *p)
    vec4i load4i(const int32_t *p)
    vec4i four4i(int32_t a, int32_t b, int32_t c, int32_t d)
    void store4d(double *p, vec4d v)
    void store4i(int32_t *p, vec4i v)
    vec4d combined4(vec4i s, vec4d a, vec4d b, vec4d c)
