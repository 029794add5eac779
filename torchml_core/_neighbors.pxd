"""Searches for pairs as Python objects."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.faults cimport Fault
from torchml_core.cells.rows cimport Lists
from torchml_core.cells.search cimport Criterion
from torchml_core.cells.structures cimport Search, Structures


cdef class PairSearch:
    cdef:
        bint in_use
        Search search

    cdef int take(self) except -1
    cdef Fault find(
        self, const Structures *structures, const Criterion *criterion, int n_threads,
        int64_t *faulty,
    ) except *
    cdef copied_offsets(self)
    cdef int write(self, const Lists *lists, int32_t first_atom) except -1
    cdef dict number_particles(
        self, const double *positions, const double *cell, const int32_t *codes, int64_t n_layers,
        double most,
    )


cpdef PairSearch take_idle(n_atoms)
cpdef keep_idle(PairSearch search)
