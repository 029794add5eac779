"""Neighbors j and k in tiles: what c4 and c5 are summed over. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport (
    CompactSet, RadialParts, TripletBlock,
)
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.kernels.verbs cimport Purpose
from torchml_core.simd.vectors cimport lanes_of, vec


cdef extern from *:
    """
    #define VECTORS_AT_ONCE (2048 / SIMD_BYTES)
    """
    enum:
        VECTORS_AT_ONCE         # of a tile: its arrays stay in the nearest cache


cdef enum:
    MOST_ROWS = 8               # at a time


# Neighbors j of one class and one bin, each with the same neighbors k of a class. Arrays over a
# tile have n vectors for each j.
cdef struct Tile:
    const TripletBlock *block
    Py_ssize_t a, b             # classes of j and k
    double weight
    Py_ssize_t first_j, n_j
    Py_ssize_t begin            # the first k, at a whole vector
    Py_ssize_t n                # vectors of k
    Py_ssize_t all_end          # the last k of these j, in all tiles


# Arrays over a tile.
cdef struct TripletScratch:
    void *angles                # for each term and vector A(θ) and, but with VALUES, dA/dθ
    void *cosine
    void *minus_slope           # -dθ/dcosθ = 1/sin θ
    void *cosine_dot            # the change of cosθ along the directions; only with TANGENTS
    void *square_dot            # of R_jk²
    void *distance              # c4: R_jk
    void *inverse               # c4: 1/R_jk
    void *radial                # c4: R(R_jk) of one group
    void *radial_slope          # c4: R'(R_jk)/R_jk
    void *first                 # what a verb needs
    void *second
    void *by_cosine             # dE/dθ
    void *by_square             # 2 dE/d(R_jk²)
    void *alphas                # (n_j,) vectors: dE/dr_j is α r_j + ..., what radial parts add to α


cdef void lay_out_triplet_scratch(
    TripletScratch *work, Py_ssize_t most_terms, char **free_bytes
) noexcept nogil
cdef void first_tile(
    const TripletBlock *block, const Neighborhood *neighborhood, Py_ssize_t pair, Tile *tile,
    const vec *type_tag,
) noexcept nogil
cdef bint next_tile(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts, Tile *tile,
    const vec *type_tag,
) noexcept nogil
cdef void fill_tile(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, Purpose purpose,
    const vec *type_tag,
) noexcept nogil
cdef void fill_radial_of_jk(
    const CompactSet *set, const Tile *tile, TripletScratch *work, Py_ssize_t radial,
    const vec *type_tag,
) noexcept nogil


cdef inline bint active_vectors(
    const CompactSet *set, const RadialParts *parts, const Tile *tile, Py_ssize_t radial,
    Py_ssize_t *begin, Py_ssize_t *end, const vec *type_tag,
) noexcept nogil:
    """Which vectors of k, counted from the first, have this radial part; False: none, or no j."""
    cdef Py_ssize_t lanes = lanes_of(type_tag)
    cdef const int32_t *of_j = parts.first + tile.a * (set.n_breaks + 2)
    cdef const int32_t *of_k = parts.first + tile.b * (set.n_breaks + 2)
    cdef Py_ssize_t first = set.first_bin[radial], last = set.last_bin[radial]
    if tile.first_j < of_j[first] or tile.first_j >= of_j[last]:
        return False
    begin[0] = (max(of_k[first], tile.begin) - tile.begin) // lanes
    end[0] = min(tile.n, (of_k[last] - tile.begin + lanes - 1) // lanes)
    return begin[0] < end[0]


cdef inline int rows_at_once(Py_ssize_t n) noexcept nogil:
    """How many of n rows to take next: a number for which there is a loop."""
    if n >= 8:
        return 8
    if n >= 6:
        return 6
    if n >= 4:
        return 4
    return 2 if n >= 2 else 1
