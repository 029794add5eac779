"""The particles of a configuration: atoms, and numbered images of them as ghosts."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.ghosts cimport Ghosts
from torchml_core.cells.structures cimport Search

from torchml_core.signals cimport SignalWatch


# Atoms and their ghosts, and the arrays of a configuration, (n_atoms + n_ghosts, ...).
cdef struct Particles:
    int64_t n_atoms
    const Ghosts *ghosts
    const double *atoms       # positions
    const double *cell
    const int32_t *codes
    double *positions
    int32_t *shifts
    int32_t *parents
    int32_t *species
    char *contributing
    int32_t *centers          # (n_atoms,)


cdef bint number_ghosts(
    Search *search, int64_t n_layers, int64_t most, Ghosts *ghosts, int32_t *neighbors
) noexcept nogil
cdef void write_particles(Particles *particles, int n_threads, SignalWatch *watch) noexcept nogil
