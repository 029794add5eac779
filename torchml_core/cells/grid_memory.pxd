"""Memory of grids, used again where there is enough."""

from libc.stdint cimport int64_t

from torchml_core.cells.grid cimport Grid


cdef bint grown(void **array, int64_t held, int64_t n, size_t size) noexcept nogil
cdef bint renewed(void **array, size_t size) noexcept nogil
cdef bint reserve_atoms(Grid *grid, int64_t n) noexcept nogil
cdef bint reserve_cells(Grid *grid, int64_t n) noexcept nogil
cdef bint reserve_occupied(Grid *grid, int64_t n) noexcept nogil
cdef bint reserve_points(Grid *grid) noexcept nogil
cdef void free_atoms(Grid *grid) noexcept nogil
cdef void free_grid(Grid *grid) noexcept nogil
