"""A pool of result buffers."""

cimport numpy as cnp

cdef enum:
    WORTH_KEEPING = 65536         # bytes; smaller blocks are cheap to allocate


cdef new_array(int n_dims, cnp.npy_intp *shape, int number)
