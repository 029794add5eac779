"""What a class that packs a descriptor's parameters inherits. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.dispatch cimport KernelInfo, Kind


cdef class Kernel:
    cdef KernelInfo info
    cdef list arrays  # kept alive

    cdef set_info(self, Kind kind, const void *plan, Py_ssize_t width, cutoffs)
    cdef const double *doubles(self, values)
    cdef const float *floats(self, values)
    cdef const int32_t *ints(self, values)
    cdef kept(self, values, dtype)
