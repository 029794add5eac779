"""Lattices: periodic vectors made short and completed to a frame, and what follows from them."""

from libc.stdint cimport int64_t

from torchml_core.cells.faults cimport Fault


cdef extern from *:
    """
    #define ROUNDING 1.8e-15  /* of a short sum of products, relative to its largest term */
    """
    const double ROUNDING


# A frame of three directions: a point is at t = x @ normals along them, in the unit of the search.
# In that, distances are compared with the limit in double precision; t @ along is a point again, in
# the unit of the test in single precision. Both are the limit up to a power of two, the first only
# as far as double precision reaches.
cdef struct Lattice:
    int[3] periodic
    double limit              # in the unit of the search
    double limit_of_test      # from 1/2 to 1
    double[3][3] normals      # columns: each is orthogonal to the other directions
    double[3][3] along        # rows
    double[3] stretch         # their lengths, for a unit along their normal
    double[3] period          # t of a reduced lattice vector; 0 where not periodic
    double[3] per_period      # one divided by it
    double[3] rounding        # of the sum of the user's vectors that it is
    bint[3] exact             # t is one of the coordinates, not rounded
    bint orthogonal
    bint too_oblique          # shorter vectors would be sums of too many of the user's
    int64_t[3][3] transform   # reduced vectors = transform @ the user's


cdef Fault make_lattice(
    const double *cell, const int *periodic, double limit, Lattice *out
) noexcept nogil
