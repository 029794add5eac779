"""Pairs of neighbors side by side in long vectors. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.kernels.verbs cimport Purpose
from torchml_core.simd.vectors cimport vec


cdef enum:
    TRIPLETS_AT_ONCE = 256      # so many at most: their arrays stay in the nearest cache


# Which pairs of neighbors count, and where.
cdef struct Selection:
    const PairCutoff *pair_cutoff
    bint with_jk                # g4: R_jk has a cutoff and is in the square; g5: neither
    double shift                # Rs
    Py_ssize_t n_pairs          # pairs of classes, sorted by channel
    const int32_t *first        # (n_pairs,)
    const int32_t *second       # (n_pairs,) >= first
    const int32_t *channel      # (n_pairs,)


cdef struct Segment:            # consecutive vectors of triplets with one channel
    Py_ssize_t channel, begin, end


# Where next_triplets continues: with vector v of the k.
cdef struct Cursor:
    Py_ssize_t pair, v, j


# Padding has fc = 0.
cdef struct Triplets:
    Py_ssize_t n                # with padding: whole vectors
    Py_ssize_t n_segments
    Segment *segments
    int32_t *j                  # which entries of the neighborhood, with GRADIENTS
    int32_t *k
    void *square_jk             # R_jk²
    void *per_square            # 1/rc² of j and k
    void *cosine                # cosθ = (R_j² + R_k² - R_jk²) / (2 R_j R_k)
    void *square                # S
    void *fc                    # fc(R_j) fc(R_k)
    void *inverse_j             # 1/R; from here on not with VALUES
    void *inverse_k
    void *slope_j               # d/d(R_j²) of fc(R_j) fc(R_k)
    void *slope_k
    void *square_jk_dot         # changes along the directions, with TANGENTS only
    void *square_j_dot
    void *square_k_dot
    void *cutoff                # C, filled by evaluate_cutoffs
    void *fc_jk                 # fc(R_jk) and its derivative with respect to R_jk², if wanted
    void *slope_jk


cdef void lay_out_triplets(Triplets *t, char **free_bytes) noexcept nogil
cdef bint next_triplets(
    const Selection *which, const Neighborhood *neighborhood, Purpose purpose, Cursor *cursor,
    Triplets *t, const vec *type_tag,
) noexcept nogil
cdef void evaluate_cutoffs(
    const Selection *which, Triplets *t, bint with_slopes, const vec *type_tag
) noexcept nogil
