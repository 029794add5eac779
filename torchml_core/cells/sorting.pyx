"""Sorting by 64-bit keys: a radix sort in linear time, which skips digits that do not vary."""

from libc.string cimport memset

cdef enum:
    DIGIT = 11                # bits; their counts fit the cache of a core


cdef Keyed *sort_keyed(Keyed *items, Keyed *spare, int64_t n) noexcept nogil:
    """Sort n items by key; those with the same key keep their order.

    spare : room for n more
    Returns the one of the two arrays that the result is in.
    """
    cdef int64_t i
    cdef int shift = 0
    cdef uint64_t varied = 0
    cdef bint ascending = True
    cdef Keyed *other
    for i in range(1, n):
        varied |= items[i].key ^ items[0].key
        ascending &= items[i - 1].key <= items[i].key
    if ascending:
        return items
    while shift < 64:
        if digit_of(varied, shift):
            sort_by_digit(items, spare, n, shift)
            other = items
            items = spare
            spare = other
        shift += DIGIT
    return items


cdef inline int digit_of(uint64_t key, int shift) noexcept nogil:
    return <int>(key >> shift & ((1 << DIGIT) - 1))


cdef inline void sort_by_digit(const Keyed *items, Keyed *out, int64_t n, int shift) noexcept nogil:
    cdef int64_t[1 << DIGIT] begin
    cdef int64_t i, count, at = 0
    cdef int digit
    memset(begin, 0, sizeof(begin))
    for i in range(n):
        begin[digit_of(items[i].key, shift)] += 1
    for digit in range(1 << DIGIT):
        count = begin[digit]
        begin[digit] = at
        at += count
    for i in range(n):
        digit = digit_of(items[i].key, shift)
        out[begin[digit]] = items[i]
        begin[digit] += 1
