"""Ghosts: a growing set of periodic images, each with a number."""

from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.stdlib cimport llabs


cdef struct Image:
    int32_t atom, a, b, c     # the atom, and by how many cells it is shifted


cdef struct Ghosts:
    int64_t n, most, capacity
    bint too_many             # there would have been more than the most, or too far away
    Image *images             # in the order in which they were met
    int64_t n_slots           # of the hash table, a power of two
    int32_t *slots            # number of an image, or -1; NULL until they are asked for


cdef inline bint add_shift(Image *image, const Image *other) noexcept nogil:
    """Shift an image by as many cells as another one; False if int32 does not hold that."""
    cdef int64_t a = <int64_t> image.a + other.a
    cdef int64_t b = <int64_t> image.b + other.b
    cdef int64_t c = <int64_t> image.c + other.c
    if max(llabs(a), llabs(b), llabs(c)) > INT32_MAX:
        return False
    image.a, image.b, image.c = <int32_t> a, <int32_t> b, <int32_t> c
    return True


cdef void start_ghosts(Ghosts *ghosts, int64_t most) noexcept nogil
cdef bint hash_images(Ghosts *ghosts, int64_t n_expected) noexcept nogil
cdef int64_t add_image(Ghosts *ghosts, Image image) noexcept nogil
cdef void free_ghosts(Ghosts *ghosts) noexcept nogil
cdef int64_t number_of(Ghosts *ghosts, Image image) noexcept nogil
