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
    if is_array_of(cnp.NPY_DOUBLE, array):
        return all_finite(<const double *> cnp.PyArray_DATA(array), cnp.PyArray_SIZE(array))
    return bool(np.isfinite(array).all())


cpdef bint are_same(one, other) except -1:
    """Return what ``numpy.array_equal`` does: NaN differs from itself, 0 is -0."""
    if not (cnp.PyArray_Check(one) and cnp.PyArray_Check(other)):
        return np.array_equal(one, other)
    first, second = cnp.PyArray_DATA(one), cnp.PyArray_DATA(other)
    if are_arrays_of(cnp.NPY_DOUBLE, one, other):
        return cnp.PyArray_SAMESHAPE(one, other) and all_equal(
            <const double *> first, <const double *> second, cnp.PyArray_SIZE(one)
        )
    if are_arrays_of(cnp.NPY_INT64, one, other) or are_arrays_of(cnp.NPY_BOOL, one, other):
        return cnp.PyArray_SAMESHAPE(one, other) and all_same(
            first, second, cnp.PyArray_NBYTES(one)
        )
    return np.array_equal(one, other)


cdef inline bint are_arrays_of(int number, one, other):
    return is_array_of(number, one) and is_array_of(number, other)
