"""The particles of a configuration: atoms, and numbered images of them as ghosts."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.ghosts cimport Ghosts
from torchml_core.cells.structures cimport Search


cdef bint number_ghosts(
    Search *search, int64_t n_layers, int64_t most, Ghosts *ghosts, int32_t *neighbors
) noexcept nogil
cdef void place_images(
    const double *atoms, const double *cell, const int32_t *parents, const int32_t *shifts,
    int64_t n, double *out,
) noexcept nogil
