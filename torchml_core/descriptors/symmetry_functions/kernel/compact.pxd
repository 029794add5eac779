"""Compact symmetry functions of one environment: what they consist of. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.core_functions cimport Intervals
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport vec


# The c4 or c5 of one channel. Rows that share the radial part are a *group*.
cdef struct TripletBlock:
    bint with_jk                # c4
    Py_ssize_t first_sum        # of the set's sums; one for each row
    Py_ssize_t n_pairs          # pairs of classes
    const int32_t *first        # (n_pairs,)
    const int32_t *second       # (n_pairs,) >= first
    const double *weight        # (n_pairs,)
    Intervals angles            # n_terms of them: the angular parts
    Py_ssize_t n_groups
    const int32_t *radial       # (n_groups,) which of the set's radial parts
    const int32_t *group        # (n_groups + 1,) first row of each
    const int32_t *term         # (n_rows,) which angular part


# All compact functions of one element.
cdef struct CompactSet:
    Py_ssize_t n_breaks
    const double *breaks        # (n_breaks,) ascending distances where a radial part begins or ends
    Intervals radials
    const int32_t *first_bin    # (n_radials,) a radial part is 0 before this bin
    const int32_t *last_bin     # (n_radials,) and from this one on
    Py_ssize_t n_rows           # c2: pairs of a class and a function, sorted by class
    const int32_t *row_class    # (n_rows,)
    const int32_t *row_radial   # (n_rows,)
    const int32_t *row_sum      # (n_rows,)
    const double *row_weight    # (n_rows,)
    Py_ssize_t n_blocks
    TripletBlock *blocks


# The neighbors in the order of their bins, and their radial parts.
cdef struct RadialParts:
    Environment ordered
    int32_t *bin                # (n,) of each neighbor
    int32_t *ordered_bin        # (n,) the same, in the order of ``ordered``
    int32_t *first              # (n_classes, n_breaks + 2) first entry of each bin in a class
    Py_ssize_t stride           # vectors from one radial part to the next
    void *values                # (n_radials, stride) R, 0 in padding
    void *slopes                # (n_radials, stride) R'/r


cdef void lay_out_radial_parts(
    RadialParts *parts, Py_ssize_t n, Py_ssize_t n_classes, Py_ssize_t n_radials,
    Py_ssize_t n_breaks, char **free_bytes,
) noexcept nogil
cdef void order_by_distance(
    const CompactSet *set, const Environment *env, bint with_directions, RadialParts *parts
) noexcept nogil
cdef void fill_radial_parts(
    const CompactSet *set, const Neighborhood *neighborhood, RadialParts *parts,
    const vec *type_tag,
) noexcept nogil
cdef void compact_radial_value(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, vec *sums
) noexcept nogil
cdef void compact_radial_vjp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    const vec *weights, vec *along,
) noexcept nogil
cdef void compact_radial_jvp(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, vec *sums
) noexcept nogil
