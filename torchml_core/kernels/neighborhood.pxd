"""The neighbors of one environment, sorted by class, as padded vectors. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport vec


cdef struct Neighborhood:
    Py_ssize_t n               # entries with padding, whole vectors
    Py_ssize_t n_classes
    int center                 # class of the center
    Py_ssize_t *begin          # (n_classes,) first entry of a class, at a whole vector
    Py_ssize_t *end            # (n_classes,) after its last one; padding follows
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
    void *slope                # (n,) d fc / d(R²)
    const PairCutoff *pair_cutoff  # whose fc and slope these are, NULL: not filled


cdef void lay_out_neighborhood(
    Neighborhood *neighborhood, Py_ssize_t n_neighbors, Py_ssize_t n_classes, char **free_bytes
) noexcept nogil
cdef void sort_into_classes(
    Neighborhood *neighborhood, const Environment *env, const int32_t *classes, double far,
    bint with_directions, const vec *type_tag,
) noexcept nogil
cdef void apply_cutoff(
    Neighborhood *neighborhood, const PairCutoff *pair_cutoff, const vec *type_tag
) noexcept nogil
