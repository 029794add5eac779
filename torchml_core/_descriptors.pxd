"""What a class that packs a descriptor's parameters inherits. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.kernels.verbs cimport KernelInfo


cdef class Kernel:
    cdef KernelInfo info
    cdef list arrays  # kept alive

    cdef set_up(self, const void *plan, Py_ssize_t width, cutoffs, int vector_bytes)
    cdef const double *doubles(self, values)
    cdef const float *floats(self, values)
    cdef const int32_t *ints(self, values)
    cdef pair_cutoff(self, PairCutoff *packed, function, double inner, cutoffs, weights)
    cdef keep_alive(self, values, dtype)
