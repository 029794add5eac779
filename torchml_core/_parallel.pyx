"""Loops in threads, for all that is compiled; what they are is in parallel.h."""

cdef extern from "parallel.h" nogil:
    enum:
        LOOP_INTERRUPTED
        LOOP_FORKED

    int run_loop(
        Py_ssize_t n, Py_ssize_t at_once, int n_threads, bint by_work, Work work, void *context
    )
    int set_up()
    int helpers_there "pool.n_helpers"
    int count_idle "idle_processors"()


if set_up() != 0:
    raise MemoryError("pthread_atfork")


def idle_processors():
    """Return how many processors of the machine do nothing at the moment."""
    return count_idle()


def n_helpers():
    """Return how many threads this process has started for its loops."""
    return helpers_there


cdef int in_threads(
    Threads threads, Py_ssize_t n, Py_ssize_t at_once, Work work, void *context
) except -1 nogil:
    """Work on n items, at_once at a time; raise what the handler of a signal raises meanwhile.

    Which thread works on an item is not known beforehand: results must not depend on it.
    """
    cdef int result = run_loop(n, at_once, threads.most, threads.by_work, work, context)
    if result == LOOP_FORKED:
        raise RuntimeError(
            "this process was forked by a signal handler in the middle of a loop in threads: the"
            " loop cannot go on in the child"
        )
    return -1 if result == LOOP_INTERRUPTED else 0  # the exception is there already
