"""Sums over neighbors of harmonics times radial functions. See the .pyx."""

from torchml_core.descriptors.density.kernel.radial_table cimport RadialPlaces, RadialTable
from torchml_core.simd.vectors cimport SIMD_BYTES, vec


cdef struct RowSums:
    const RadialTable *table
    const RadialPlaces *places
    Py_ssize_t begin, end       # entries; begin is a whole vector
    Py_ssize_t n_lm             # harmonics of a vector of entries
    Py_ssize_t out_row          # vectors from one (l, m) to the next


cdef inline bint sums_fit_registers(const RadialTable *table) noexcept nogil:
    """32 registers hold all sums of an l up to 6 with those of its neighbors; otherwise, rows in
    memory and short tiles are faster."""
    return SIMD_BYTES == 64 and table.n_l <= 7


cdef void sum_rows(
    const RowSums *p, int repeat, const vec *harmonics, Py_ssize_t n_vectors, vec *out
) noexcept nogil
