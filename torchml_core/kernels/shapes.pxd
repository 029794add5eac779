"""Shapes, 2^(1-ζ) (1 + λ cosθ)^ζ, of all triplets; and what a block of g4 or g5 consists of."""

from libc.stdint cimport int32_t

from torchml_core.kernels.elementary cimport any_power, power_below_one, whole_power
from torchml_core.kernels.simd cimport MOST_LANES, lanes_of, splat, vec, vmax, vstep
from torchml_core.kernels.triplets cimport TRIPLETS_AT_ONCE, Selection, Triplets


# Functions that share all but zeta, lambda and eta. A *shape* is one (zeta, lambda), a *group* the
# rows of one eta; each group has a multiple of four rows, the last ones may be there for padding.
# Sum number channel * n_rows + row.
cdef struct AngularBlock:
    Selection which
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


cdef inline Py_ssize_t stride_of(const vec *like) noexcept nogil:
    """Vectors from one array over triplets to the next."""
    return (TRIPLETS_AT_ONCE + MOST_LANES) // lanes_of(like)


cdef inline vec shape_point(
    double zeta, int whole_zeta, double lam, vec cosine, vec *derivative
) noexcept nogil:
    """a(cosθ), written as 2 b^ζ with b = (1 + λ cosθ)/2, so that a large ζ overflows nothing.

    Both a and da/dcosθ are 0 where b <= 0.
    """
    cdef vec b = (1 + splat(lam, &cosine) * cosine) * 0.5
    cdef vec power
    b = vmax(b, splat(0, &cosine))
    if whole_zeta == 1:
        power = vstep(b)
    elif whole_zeta > 1:
        power = whole_power(b, whole_zeta - 1)
    elif -1 <= lam <= 1:
        power = power_below_one(b, zeta - 1)
    else:
        power = any_power(b, zeta - 1)
    derivative[0] = splat(zeta * lam, &cosine) * power
    return 2 * power * b


cdef inline void shapes(
    const AngularBlock *block, AngularScratch *work, bint with_slopes, const vec *like
) noexcept nogil:
    """All shapes (and their derivatives) of all triplets."""
    cdef const vec *cosine = <const vec *> work.triplets.cosine
    cdef vec *values
    cdef vec *slopes
    cdef vec slope
    cdef Py_ssize_t s, v, n = work.triplets.n // lanes_of(like)
    cdef double zeta, lam
    cdef int whole_zeta
    for s in range(block.n_shapes):
        values = <vec *> work.values + s * stride_of(like)
        slopes = <vec *> work.slopes + s * stride_of(like)
        zeta = block.zeta[s]
        lam = block.lam[s]
        whole_zeta = block.whole_zeta[s]
        if with_slopes:
            for v in range(n):
                values[v] = shape_point(zeta, whole_zeta, lam, cosine[v], &slope)
                slopes[v] = slope
        else:
            for v in range(n):
                values[v] = shape_point(zeta, whole_zeta, lam, cosine[v], &slope)


cdef inline const vec *shape_of(
    const AngularBlock *block, const void *shape_values, Py_ssize_t row, const vec *like
) noexcept nogil:
    return <const vec *> shape_values + block.shape[row] * stride_of(like)
