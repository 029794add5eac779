"""g1, g2, g3 of one environment. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.simd.vectors cimport vec


# Functions that share type, cutoffs and weights. Sum number channel * n_rows + row.
cdef struct RadialBlock:
    int type                    # 1, 2, 3
    const PairCutoff *pair_cutoff
    const int32_t *channels     # (n_classes,) of a neighbor, -1: does not count
    Py_ssize_t n_rows
    const double *eta           # (n_rows,) g2
    const double *shift         # (n_rows,) g2: Rs
    const double *kappa         # (n_rows,) g3


cdef void radial_value(
    const RadialBlock *block, const Neighborhood *neighborhood, vec *sums
) noexcept nogil
cdef void radial_vjp(
    const RadialBlock *block, const Neighborhood *neighborhood, const vec *weights, vec *along
) noexcept nogil
cdef void radial_jvp(
    const RadialBlock *block, const Neighborhood *neighborhood, vec *sums
) noexcept nogil
cdef void radial_slope(
    const RadialBlock *block, const Neighborhood *neighborhood, Py_ssize_t row, vec *out
) noexcept nogil
