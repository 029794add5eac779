# Ghosts: a growing set of periodic images, each with a number.

from libc.stdint cimport int32_t, int64_t


cdef struct Image:
    int32_t atom, a, b, c     # the atom, and by how many cells it is shifted


cdef struct Ghosts:
    int64_t n, most, capacity
    bint too_many             # there would have been more than the most
    Image *images             # in the order in which they were met
    int64_t n_slots           # of the hash table, a power of two
    int32_t *slots            # number of an image, or -1


cdef bint start_ghosts(Ghosts *ghosts, int64_t most) noexcept nogil
cdef void free_ghosts(Ghosts *ghosts) noexcept nogil
cdef int64_t number_of(Ghosts *ghosts, Image image) noexcept nogil
