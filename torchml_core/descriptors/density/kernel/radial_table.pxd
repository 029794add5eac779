"""Radial functions looked up in a table. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.neighborhood cimport Neighborhood
from torchml_core.simd.vectors cimport vec, vectors_for, vfloat


# What radial_basis.py makes.
cdef struct RadialTable:
    int n_l
    const int32_t *n_of_l       # (n_l,) how many functions there are for each l
    # (n_l + 1,) where those of each l begin in a row: at a whole vector, or at half or a fourth
    # of one where entries share a vector; or without gaps, where these would be long
    const int32_t *first
    const int32_t *first_single
    Py_ssize_t n_intervals
    double softening            # a: intervals are of equal length in s = √(R² + a²)
    double per_interval         # intervals per length
    # (n_intervals + 1, 3, row): a row has the functions of all l, and is padded to whole vectors
    # at its end. After the last one there is room for loads that begin in it.
    const double *nodes
    const float *nodes_single


cdef enum:
    N_WEIGHTS = 12              # of an entry: 6 of the value, 6 of the slope


cdef enum Part:                 # where the weights of either begin
    ROWS = 0
    SLOPES = 6


# For each entry of a neighborhood.
cdef struct RadialPlaces:
    int32_t *whole              # (n neighbors,) how many intervals from the first node
    double *fraction            # (n neighbors,) and how much of the next one
    double *by_square           # (n neighbors,) its derivative with respect to R²
    int32_t *interval
    void *t                     # where in it, 0 ... 1
    void *slope                 # dt/d(R²)
    void *weights               # a (N_WEIGHTS,) block for each vector of entries


cdef inline Py_ssize_t first_of_l(
    const RadialTable *table, int l, const vec *type_tag
) noexcept nogil:
    """Which number of a row is the first of this l."""
    if vec is vfloat:
        return table.first_single[l]
    else:
        return table.first[l]


cdef inline Py_ssize_t row_length(const RadialTable *table, const vec *type_tag) noexcept nogil:
    """Vectors of a row."""
    return vectors_for(first_of_l(table, table.n_l, type_tag), type_tag)


cdef inline const vec *nodes_of(
    const RadialTable *table, Py_ssize_t interval, const vec *type_tag
) noexcept nogil:
    """The six rows of an interval."""
    cdef const vec *nodes
    if vec is vfloat:
        nodes = <const vec *> table.nodes_single
    else:
        nodes = <const vec *> table.nodes
    return nodes + interval * 3 * row_length(table, type_tag)


cdef void lay_out_places(RadialPlaces *places, Py_ssize_t most, char **free_bytes) noexcept nogil
cdef void look_up(
    const RadialTable *table, const Neighborhood *neighborhood, const double *r, Py_ssize_t n,
    RadialPlaces *places, const vec *type_tag,
) noexcept nogil
cdef void multiply_slopes(
    RadialPlaces *places, Py_ssize_t n_blocks, const vec *change
) noexcept nogil
cdef void rows_and_slopes(
    const RadialTable *table, const RadialPlaces *places, Py_ssize_t begin, Py_ssize_t end,
    vec *rows, vec *slopes,
) noexcept nogil
cdef void radial_rows(
    const RadialTable *table, const RadialPlaces *places, Part part, Py_ssize_t begin,
    Py_ssize_t end, int repeat, vec *rows,
) noexcept nogil
