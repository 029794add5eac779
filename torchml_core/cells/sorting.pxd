"""Sorting by 64-bit keys."""

from libc.stdint cimport int64_t, uint64_t


cdef struct Keyed:
    uint64_t key
    int64_t value


cdef Keyed *sort_keyed(Keyed *items, Keyed *spare, int64_t n) noexcept nogil
