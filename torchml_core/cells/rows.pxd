"""Rows of neighbor lists, written from points."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.grid cimport Grid


# Where lists are written; NULL for those that are not wanted.
cdef struct Lists:
    int32_t *i
    int32_t *j
    int32_t *S                # (n_pairs, 3)
    double *D                 # (n_pairs, 3)
    double *d


cdef void write_row(
    const Grid *grid, int32_t home, const int32_t *row, int64_t first, int64_t n,
    int32_t atom_offset, const Lists *lists,
) noexcept nogil
cdef void write_lengths(const Lists *lists, int64_t first, int64_t end) noexcept nogil
