"""Whole arrays, in one pass: whether all numbers are finite, whether two arrays are the same.

In numpy each takes several calls and an array of flags, which a step of a simulation with a few
hundred atoms notices.
"""

import numpy as np

cimport numpy as cnp

cdef extern from "plain.h" nogil:
    bint all_same(const void *x, const void *y, size_t n_bytes)

cnp.import_array()


def are_finite(array):
    """Return whether all numbers of an array are finite."""
    if is_whole(array) and cnp.PyArray_TYPE(array) == cnp.NPY_DOUBLE:
        return all_finite(<const double *> cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))
    return bool(np.isfinite(array).all())


cpdef bint are_same(one, other) except -1:
    """Return what ``numpy.array_equal`` does: NaN differs from itself, 0 is -0."""
    cdef int type_number
    if not (is_whole(one) and is_whole(other) and cnp.PyArray_SAMESHAPE(one, other)):
        return np.array_equal(one, other)
    type_number = cnp.PyArray_TYPE(one)
    if type_number == cnp.PyArray_TYPE(other):
        first, second = cnp.PyArray_DATA(one), cnp.PyArray_DATA(other)
        if type_number == cnp.NPY_DOUBLE:
            return all_equal(<const double *> first, <const double *> second, cnp.PyArray_SIZE(one))
        if type_number == cnp.NPY_INT64 or type_number == cnp.NPY_BOOL:
            return all_same(first, second, cnp.PyArray_NBYTES(one))
    return np.array_equal(one, other)


cdef inline bint is_whole(array):
    """Whether it is an array whose numbers follow each other in memory."""
    return cnp.PyArray_CheckExact(array) and cnp.PyArray_ISCARRAY_RO(array)
