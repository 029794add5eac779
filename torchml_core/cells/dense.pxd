"""Grids of which all cells are there, also those without points."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.grid cimport Grid
from torchml_core.cells.lattice cimport Lattice
from torchml_core.signals cimport SignalWatch


cdef bint count_atoms(
    int64_t n_atoms, Grid *grid, int n_threads, SignalWatch *watch
) noexcept nogil
cdef bint lay_out(
    int64_t n_atoms, const Lattice *lattice, int32_t *home_of, Grid *grid
) noexcept nogil
cdef void put_images(
    const Lattice *lattice, Grid *grid, int n_threads, SignalWatch *watch
) noexcept nogil
