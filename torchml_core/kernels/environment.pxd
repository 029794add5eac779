"""One atom's environment, as every kernel sees it; and the two precisions, from one source."""

from libc.stdint cimport int32_t


ctypedef fused real:
    float
    double


# Always float64, in either precision of the kernel: a difference of two positions far from the
# origin has lost its digits before float32 could hold it. Kernels round what they make of it.
cdef struct Environment:
    Py_ssize_t n               # neighbors with r <= the cutoff of their pair of species
    int species                # code of the centre
    int32_t *neighbor_species  # (n,) codes of the neighbors
    double *x                  # (n,) r_j - r_i, component by component
    double *y
    double *z
    double *r                  # (n,) its length, never 0
    double *dx                 # (n,) dr_j - dr_i: the direction of a jvp; undefined otherwise
    double *dy
    double *dz
    Py_ssize_t *slot           # (n,) where the neighbor stands in the centre's row of the list
