"""Loops in threads: see parallel.h."""

from torchml_core.signals cimport SignalWatch


# Works on items first ... end - 1. No two threads have the same number, from 0, at a time.
ctypedef void (*Work)(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil


cdef struct Threads:
    int most                   # that may work, the caller among them
    bint by_work               # whether others are called in only where there is enough to do


cdef int in_threads(
    Threads threads, Py_ssize_t n, Py_ssize_t at_once, Work work, void *context
) except -1 nogil
cdef void share(
    int n_threads, Py_ssize_t n, Py_ssize_t least, Work work, void *context, SignalWatch *watch
) noexcept nogil
