"""The shape of a grid: how many cells, and how wide."""

from libc.stdint cimport int64_t

from torchml_core.cells.faults cimport Fault
from torchml_core.cells.grid cimport Grid
from torchml_core.cells.lattice cimport Lattice


cdef enum:
    CROWDED = 20              # atoms in a cutoff cubed from which finer cells pay


cdef void choose_home(int64_t n_atoms, Grid *grid) noexcept nogil
cdef bint coarsen(double most_cells, Grid *grid) noexcept nogil
cdef Fault measure_cells(
    int64_t n_atoms, const Lattice *lattice, Grid *grid
) noexcept nogil
