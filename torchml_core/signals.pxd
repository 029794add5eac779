# Signal handlers during calculations without the GIL; see signals.h.

from libc.stdint cimport int64_t


cdef extern from "signals.h" nogil:
    ctypedef struct SignalWatch:
        bint stopped
    void watch_signals(SignalWatch *watch, bint in_main_thread)
    bint interrupted(SignalWatch *watch, int64_t work)
    void stop(SignalWatch *watch)


cdef inline int raise_interruption(const SignalWatch *watch) except -1:
    """Raise what a signal handler raised; to be called with the GIL, by the thread that asks."""
    return -1 if watch.stopped else 0
