# Lattices: periodic vectors made short and completed to a frame, and what follows from them.

from libc.stdint cimport int64_t


cdef struct Lattice:
    int[3] periodic
    double[3][3] vectors      # rows: reduced lattice vectors; unit vectors where not periodic
    double[3][3] dual         # columns: u = x @ dual are coordinates along the vectors
    double[3] heights         # distance between opposite faces, Å; 1 where not periodic
    int64_t[3][3] transform   # reduced vectors = transform @ the user's
    bint orthogonal


cdef void make_lattice(const double *cell, const int *periodic, Lattice *out) noexcept nogil
