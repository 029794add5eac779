"""The neighbors of one environment, sorted by class, as padded vectors. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.cutoff cimport CutoffFunction
from torchml_core.kernels.simd cimport vec
from torchml_core.kernels.verbs cimport Environment


# How neighbors fade out, and what they weigh.
cdef struct Fading:
    CutoffFunction function
    double inner               # see cutoff_of_square
    const double *cutoffs      # (n_classes, n_classes)
    const double *weights      # (n_classes,), of a neighbor


# Arrays of vec are void * here, since a struct has no fused members.
cdef struct Neighborhood:
    Py_ssize_t n               # entries with padding, whole vectors
    Py_ssize_t n_classes
    int center                 # class of the centre
    Py_ssize_t *begin          # (n_classes,) first entry of a class, at a whole vector
    Py_ssize_t *end            # (n_classes,) behind the last one; padding follows
    int32_t *source            # (n,) which neighbor of the environment it is; -1: padding
    void *x                    # (n,) r_j - r_i
    void *y
    void *z
    void *r                    # (n,) its length R
    void *square               # (n,) R²
    void *inverse              # (n,) 1/R
    void *dx                   # (n,) directions, in a jvp only
    void *dy
    void *dz
    void *square_dot           # (n,) the change of R² along them
    void *fc                   # (n,) weight * fc(R), 0 in padding
    void *slope                # (n,) its derivative by R²
    const Fading *fading       # which fc and slope are, NULL none


cdef void lay_out(
    Neighborhood *hood, Py_ssize_t n_neighbors, Py_ssize_t n_classes, char **free_bytes
) noexcept nogil
cdef void settle(
    Neighborhood *hood, const Environment *env, const int32_t *classes, double far,
    bint with_directions, const vec *like,
) noexcept nogil
cdef void fade(Neighborhood *hood, const Fading *fading, const vec *like) noexcept nogil
