from libc.stdint cimport int64_t

cdef extern from "plain.h" nogil:
    bint all_finite(const double *x, int64_t n)
    bint all_equal(const double *x, const double *y, int64_t n)


cpdef bint are_same(one, other) except -1
