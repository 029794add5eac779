"""Ghosts: a growing set of periodic images, each with a number.

A hash table with open addressing: images are few types of shift and many atoms, and are asked for
many times each.
"""

from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

cdef enum:
    FIRST_SLOTS = 512


cdef void start_ghosts(Ghosts *ghosts, int64_t most) noexcept nogil:
    """Make an empty set, without a table at first. To be freed by free_ghosts."""
    memset(ghosts, 0, sizeof(Ghosts))
    ghosts.most = most


cdef bint hash_images(Ghosts *ghosts, int64_t n_expected) noexcept nogil:
    """Make the table that number_of needs, if there is none; False if memory is short."""
    cdef int64_t n_slots = FIRST_SLOTS
    while n_slots <= 2 * max(ghosts.n, n_expected):
        n_slots *= 2
    return ghosts.slots != NULL or make_slots(ghosts, n_slots)


cdef void free_ghosts(Ghosts *ghosts) noexcept nogil:
    free(ghosts.images)
    free(ghosts.slots)


cdef int64_t number_of(Ghosts *ghosts, Image image) noexcept nogil:
    """Number of an image, a new one if it was not met before; -1 if there is no room for it."""
    cdef int64_t slot = slot_of(ghosts, image)
    cdef int64_t number = ghosts.slots[slot]
    if number >= 0:
        return number
    number = add_image(ghosts, image)
    if number < 0:
        return -1
    ghosts.slots[slot] = <int32_t> number
    if 2 * ghosts.n > ghosts.n_slots and not make_slots(ghosts, 4 * ghosts.n_slots):
        return -1
    return number


cdef int64_t add_image(Ghosts *ghosts, Image image) noexcept nogil:
    """Number of an image that was not met before; -1 if there is no room for it."""
    cdef Image *images
    if ghosts.n >= ghosts.most:
        ghosts.too_many = True
        return -1
    if ghosts.n == ghosts.capacity:
        images = <Image *> realloc(ghosts.images, (2 * ghosts.n + 64) * sizeof(Image))
        if images == NULL:
            return -1
        ghosts.images = images
        ghosts.capacity = 2 * ghosts.n + 64
    ghosts.images[ghosts.n] = image
    ghosts.n += 1
    return ghosts.n - 1


cdef int64_t slot_of(const Ghosts *ghosts, Image image) noexcept nogil:
    """The slot that holds an image, or the free one where it belongs."""
    cdef uint64_t key = (
        <uint64_t> image.atom * 0x9E3779B97F4A7C15ULL
        + <uint64_t> image.a * 0xC2B2AE3D27D4EB4FULL
        + <uint64_t> image.b * 0x165667B19E3779F9ULL
        + <uint64_t> image.c * 0x27D4EB2F165667C5ULL
    )
    cdef int64_t slot = <int64_t> ((key ^ (key >> 29)) & <uint64_t> (ghosts.n_slots - 1))
    cdef int32_t number
    cdef const Image *other
    while True:
        number = ghosts.slots[slot]
        if number < 0:
            return slot
        other = &ghosts.images[number]
        if (
            other.atom == image.atom
            and other.a == image.a
            and other.b == image.b
            and other.c == image.c
        ):
            return slot
        slot = (slot + 1) & (ghosts.n_slots - 1)


cdef bint make_slots(Ghosts *ghosts, int64_t n_slots) noexcept nogil:
    """Make a hash table of another size, with all images in it."""
    cdef int64_t number
    free(ghosts.slots)
    ghosts.slots = <int32_t *> malloc(n_slots * sizeof(int32_t))
    ghosts.n_slots = n_slots
    if ghosts.slots == NULL:
        return False
    memset(ghosts.slots, 0xFF, n_slots * sizeof(int32_t))
    for number in range(ghosts.n):
        ghosts.slots[slot_of(ghosts, ghosts.images[number])] = <int32_t> number
    return True
