"""g4 and g5 of one environment. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.kernels.simd cimport vec
from torchml_core.kernels.triplets cimport Selection, Triplets


# Functions that share all but zeta, lambda and eta. A *shape* is one (zeta, lambda), a *group* the
# rows of one eta; each group has a multiple of four rows, the last ones may be there for padding.
# Sum number channel * n_rows + row.
cdef struct AngularBlock:
    Selection which
    Py_ssize_t n_channels
    Py_ssize_t n_rows
    Py_ssize_t n_shapes
    const double *zeta          # (n_shapes,)
    const int32_t *whole_zeta   # (n_shapes,) zeta where it is a whole number, else 0
    const double *lam           # (n_shapes,)
    Py_ssize_t n_groups
    const double *eta           # (n_groups,)
    const int32_t *group        # (n_groups + 1,) first row of each
    const int32_t *shape        # (n_rows,)


# Arrays over triplets; of vec, but void * since a struct has no fused members.
cdef struct AngularScratch:
    Triplets triplets
    void *values                # (n_shapes, stride) of shapes
    void *slopes                # (n_shapes, stride) their derivatives by cosθ
    void *first                 # (stride,) and so on: what the verbs put into them
    void *second
    void *by_cosine
    void *by_square
    void *by_cutoff
    void *factors               # (9, stride) for the Jacobian


cdef void lay_out_angular(
    AngularScratch *work, Py_ssize_t most_shapes, char **free_bytes
) noexcept nogil
cdef void angular_value(
    const AngularBlock *block, const Neighborhood *hood, AngularScratch *work, vec *sums
) noexcept nogil
cdef void angular_vjp(
    const AngularBlock *block, const Neighborhood *hood, AngularScratch *work,
    const vec *weights, vec *along, vec *x, vec *y, vec *z,
) noexcept nogil
cdef void angular_jvp(
    const AngularBlock *block, const Neighborhood *hood, AngularScratch *work, vec *sums
) noexcept nogil
cdef void angular_jacobian(
    const AngularBlock *block, const Neighborhood *hood, AngularScratch *work,
    const int32_t *components, const Py_ssize_t *slot, Py_ssize_t width, vec *out,
) noexcept nogil
