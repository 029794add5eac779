"""Memory of grids, used again where there is enough."""

from libc.stdint cimport int64_t

from torchml_core.cells.grid cimport Grid


cdef bint room_for_atoms(Grid *grid, int64_t n) noexcept nogil
cdef bint room_for_cells(Grid *grid, int64_t n) noexcept nogil
cdef bint room_for_occupied(Grid *grid, int64_t n) noexcept nogil
cdef bint room_for_points(Grid *grid) noexcept nogil
cdef void forget_atoms(Grid *grid) noexcept nogil
cdef void free_grid(Grid *grid) noexcept nogil
