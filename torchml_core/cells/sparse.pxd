"""Grids of which only cells with points are there."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.faults cimport Fault
from torchml_core.cells.grid cimport Grid
from torchml_core.cells.lattice cimport Lattice
from torchml_core.signals cimport SignalWatch


cdef Fault lay_out_sparse(
    const double *positions, int64_t n_atoms, const Lattice *lattice, int32_t *home_of,
    Grid *grid, int n_threads, SignalWatch *watch,
) noexcept nogil
