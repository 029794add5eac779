"""Arguments that are right as they are, which need no conversion and no message."""

from libc.stdint cimport int64_t


# A structure whose arrays are used as they are; they must be held as long as it is used.
cdef struct PlainStructure:
    int64_t n_atoms
    const double *positions
    double[9] cell
    int[3] periodic


cdef bint is_plain(positions, cell, pbc, PlainStructure *out)
cdef bint are_plain_numbers(numbers)
cdef arrays_of(structure)
cdef copy_of_cell(const PlainStructure *structure)
cdef copy_of_pbc(const PlainStructure *structure)
