# Four numbers side by side; see vectors.h. Never to be made a Python object.

from libc.stdint cimport int32_t


cdef extern from "vectors.h" nogil:
    ctypedef double vec4d
    ctypedef int32_t vec4i
    vec4d load4d(const double *p)
    vec4i load4i(const int32_t *p)
    void store4d(double *p, vec4d v)
    void store4i(int32_t *p, vec4i v)
