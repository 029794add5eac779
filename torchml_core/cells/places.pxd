"""Places of atoms: coordinates along a lattice's directions, wrapped, and without wide gaps."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.faults cimport Fault
from torchml_core.cells.lattice cimport Lattice
from torchml_core.signals cimport SignalWatch


cdef struct Place:
    double[3] t               # along the directions, in the unit of the search
    int32_t[3] added          # periods


cdef struct Span:
    double lowest, extent     # t is from lowest to lowest + extent; extent is a whole period


cdef Fault place_atoms(
    const double *positions, int64_t n_atoms, const Lattice *lattice, Place *places,
    double *rounding, bint *beyond, bint *wrapped, int n_threads, SignalWatch *watch,
) noexcept nogil
cdef void find_span(
    const Place *places, int64_t n_atoms, const Lattice *lattice, int k, double least, Span *out
) noexcept nogil
cdef bint close_gaps(
    Place *places, int64_t n_atoms, int k, bint periodic, double least, Span *span
) noexcept nogil
