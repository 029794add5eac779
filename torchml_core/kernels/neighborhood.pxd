"""The neighbors of one environment, sorted by class, as padded vectors. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport (
    gather_doubles, lane_numbers, lanes_of, load_doubles, splat, vec, vpick,
)


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


cdef inline vec taken(
    const Neighborhood *neighborhood, const double *numbers, Py_ssize_t n, Py_ssize_t v,
    double padding, const vec *type_tag,
) noexcept nogil:
    """Vector v of entries, of some numbers of the environment's n neighbors.

    A vector at a time: one that was stored number by number could be loaded only after a while.
    """
    cdef Py_ssize_t lanes = lanes_of(type_tag), at = v * lanes
    if neighborhood.n_classes > 1:
        return gather_doubles(numbers, neighborhood.source + at, padding, type_tag)
    if at + lanes <= n:
        return load_doubles(numbers, at, type_tag)
    if at >= n:
        return splat(padding, type_tag)
    return vpick(
        splat(n - at, type_tag) - lane_numbers(type_tag), load_doubles(numbers, at, type_tag),
        splat(padding, type_tag),
    )


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
