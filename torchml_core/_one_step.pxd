"""Lists as arrays."""

from libc.stdint cimport int64_t

from torchml_core.cells.rows cimport Lists
from torchml_core.cells.search cimport Criterion


cdef int bytes_per_pair(quantities) except -1
cdef int limit_memory(Criterion *criterion, int64_t n_bytes) except -1
cdef list_array(Py_UCS4 letter, int64_t n)
cdef int point_to(Lists *lists, Py_UCS4 letter, array, int64_t first) except -1
