"""Points of a grid: atoms and images where they belong."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.grid cimport Grid
from torchml_core.cells.lattice cimport Lattice
from torchml_core.signals cimport SignalWatch


cdef void put_atoms(
    const double *positions, int64_t n_atoms, const Lattice *lattice, const int32_t *home_of,
    Grid *grid, int n_threads, SignalWatch *watch,
) noexcept nogil
cdef void put_image(
    const Lattice *lattice, Grid *grid, int64_t from_, int64_t to, int64_t n, const int64_t *shift
) noexcept nogil
