"""A pool of result buffers."""

cdef enum:
    WORTH_KEEPING = 65536         # bytes; smaller blocks are cheap to allocate
