cimport numpy as cnp
from libc.stdint cimport int64_t

cdef extern from "plain.h" nogil:
    bint all_finite(const double *x, int64_t n)
    bint all_equal(const double *x, const double *y, int64_t n)


cdef inline bint is_array_of(int number, array):
    """Whether it is an array of this type of numbers, which follow each other in memory."""
    return (
        cnp.PyArray_CheckExact(array)
        and cnp.PyArray_TYPE(array) == number
        and cnp.PyArray_ISCARRAY_RO(array)
    )


cpdef bint are_same(one, other) except -1
