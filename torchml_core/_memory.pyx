"""A pool of result buffers, each reused once no array refers to it.

A fresh array of some megabytes costs more than what is computed into it: the system hands out its
pages one by one, each filled with zeros first. So the memory of dropped results is kept, up to a
limit, and given to later ones, as torch does on GPUs. An array and all its views hold their block;
it is given back when the last of them is gone.
"""

import numpy as np

cimport numpy as cnp
from cpython.buffer cimport PyBuffer_FillInfo
from libc.stdint cimport int64_t
from libc.stdlib cimport free

from torchml_core import checks


cdef extern from "huge_pages.h" nogil:
    void *large_block(size_t size)

cnp.import_array()

cdef enum:
    SLOTS = 32                    # blocks that are kept at most

cdef:
    void *kept[SLOTS]             # NULL where a slot is free; all under the GIL
    int64_t kept_size[SLOTS]
    int64_t kept_total = 0
    int64_t limit = 512 << 20
    int k
for k in range(SLOTS):
    kept[k] = NULL


cdef class Block:
    """Some memory, for numpy to make an array of."""

    cdef void *memory
    cdef int64_t size, used

    def __cinit__(self, int64_t used):
        self.used = used
        self.memory = take(used, &self.size)
        if self.memory == NULL:
            raise MemoryError(f"{used} bytes for results")

    def __getbuffer__(self, Py_buffer *buffer, int flags):
        PyBuffer_FillInfo(buffer, self, self.memory, self.used, False, flags)

    def __dealloc__(self):
        give_back(self.memory, self.size)


cdef void *take(int64_t size, int64_t *got) noexcept:
    """The smallest kept block that is large enough, and not much larger; else a new one."""
    global kept_total
    cdef int slot, best = -1
    cdef void *memory
    for slot in range(SLOTS):
        if kept[slot] != NULL and size <= kept_size[slot] <= size + size // 4 + WORTH_KEEPING:
            if best < 0 or kept_size[slot] < kept_size[best]:
                best = slot
    if best >= 0:
        memory = kept[best]
        got[0] = kept_size[best]
        kept_total -= kept_size[best]
        kept[best] = NULL
        return memory
    # a little more than asked for, so that it does when there are a few more pairs next time
    got[0] = size + size // 16 + 64
    return large_block(got[0])


cdef void give_back(void *memory, int64_t size) noexcept:
    global kept_total
    cdef int slot
    if memory == NULL:
        return
    if WORTH_KEEPING <= size <= limit:
        for slot in range(SLOTS):  # in turn, the oldest lowest: make room
            if kept[slot] != NULL and kept_total + size > limit:
                drop(slot)
        for slot in range(SLOTS):
            if kept[slot] == NULL:
                kept[slot] = memory
                kept_size[slot] = size
                kept_total += size
                return
    free(memory)


cdef void drop(int slot) noexcept:
    global kept_total
    kept_total -= kept_size[slot]
    free(kept[slot])
    kept[slot] = NULL


def empty(shape, dtype):
    """Like numpy.empty, from memory that was used before where there is some."""
    dtype = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    size = dtype.itemsize
    for extent in shape:
        size *= extent
    if size < WORTH_KEEPING:
        return np.empty(shape, dtype)
    return np.frombuffer(Block(size), dtype).reshape(shape)


cdef new_array(int n_dims, cnp.npy_intp *shape, int number):
    """An array without contents; a large one in memory that was used before, if there is some."""
    cdef int64_t size = cnp.PyArray_DescrFromType(number).itemsize
    cdef int k
    for k in range(n_dims):
        size *= shape[k]
    if size < WORTH_KEEPING:
        return cnp.PyArray_EMPTY(n_dims, shape, number, 0)
    return empty([shape[k] for k in range(n_dims)], cnp.PyArray_DescrFromType(number))


def set_kept_memory(n_bytes):
    """Set how many bytes of dropped results are kept for later ones; 0 keeps nothing.

    Returns
    -------
    int
        What it was before; 512 MiB at first.
    """
    global limit
    cdef int64_t before = limit
    cdef int slot
    limit = checks.whole("n_bytes", n_bytes, 0, 2**63 - 1)
    for slot in range(SLOTS):
        if kept[slot] != NULL and kept_total > limit:
            drop(slot)
    return before


def kept_memory():
    """Return how many bytes of dropped results are kept now."""
    return kept_total
