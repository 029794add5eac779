"""One neighbor j and many k: what c4 and c5 are summed over. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.compact cimport (
    CompactSet, RadialParts, TripletBlock,
)
from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.kernels.verbs cimport Purpose
from torchml_core.simd.vectors cimport MOST_LANES, lanes_of, vec


cdef enum:
    NEIGHBORS_AT_ONCE = 128     # k: their angular parts stay in the nearest cache


# Arrays over k, (NEIGHBORS_AT_ONCE,) each; the angular parts at a stride of as many.
cdef struct TripletScratch:
    void *angles                # (most_terms, ...) A(θ)
    void *angle_slopes          # (most_terms, ...) dA/dθ
    void *cosine
    void *minus_slope           # -dθ/dcosθ = 1/sin θ
    void *cosine_dot            # the change of cosθ along the directions; only with TANGENTS
    void *square_dot            # of R_jk²
    void *distance              # c4: R_jk
    void *inverse               # c4: 1/R_jk
    void *radial                # R(R_jk); c5: not filled
    void *radial_slope          # R'(R_jk)/R_jk
    void *first                 # what a verb needs
    void *second
    void *by_cosine
    void *by_square             # dE/d(R_jk²) times 2


# Neighbors begin ... end - 1 of the class of k, whole vectors; j has their angular parts.
cdef struct Tile:
    const TripletBlock *block
    Py_ssize_t a, b             # classes of j and k
    double weight
    Py_ssize_t j
    Py_ssize_t all_end          # of j's last tile
    Py_ssize_t begin, end


cdef void lay_out_triplet_scratch(
    TripletScratch *work, Py_ssize_t most_terms, char **free_bytes
) noexcept nogil
cdef bint next_tile(
    const CompactSet *set, const Neighborhood *neighborhood, const RadialParts *parts,
    Py_ssize_t pair, Tile *tile, const vec *type_tag,
) noexcept nogil
cdef void fill_tile(
    const Tile *tile, const Neighborhood *neighborhood, TripletScratch *work, Purpose purpose,
    const vec *type_tag,
) noexcept nogil
cdef void fill_radial_of_jk(
    const CompactSet *set, const Tile *tile, TripletScratch *work, Py_ssize_t radial,
    Py_ssize_t begin, Py_ssize_t end, const vec *type_tag,
) noexcept nogil


cdef inline Py_ssize_t tile_stride(const vec *type_tag) noexcept nogil:
    """Vectors from one array over k to the next."""
    return NEIGHBORS_AT_ONCE // lanes_of(type_tag)


cdef inline bint active_vectors(
    const CompactSet *set, const RadialParts *parts, const Tile *tile, Py_ssize_t group,
    Py_ssize_t *begin, Py_ssize_t *end, const vec *type_tag,
) noexcept nogil:
    """Which vectors of the tile have neighbors with this group's radial part; whether any has.

    They are counted from the tile's first. None, if j has not this radial part.
    """
    cdef Py_ssize_t radial = tile.block.radial[group], lanes = lanes_of(type_tag)
    cdef const int32_t *of_j = parts.first + tile.a * (set.n_breaks + 2)
    cdef const int32_t *of_k = parts.first + tile.b * (set.n_breaks + 2)
    cdef Py_ssize_t first = set.first_bin[radial], last = set.last_bin[radial]
    if tile.j < of_j[first] or tile.j >= of_j[last]:
        return False
    begin[0] = (max(of_k[first], tile.begin) - tile.begin) // lanes
    end[0] = (min(of_k[last], tile.end) - tile.begin + lanes - 1) // lanes
    return begin[0] < end[0]
