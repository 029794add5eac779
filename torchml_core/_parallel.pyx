"""Loops in threads, for all that is compiled; what they are is in parallel.h."""

from cpython.exc cimport PyErr_Occurred, PyErr_SetString

from torchml_core.signals cimport stop

cdef extern from "parallel.h" nogil:
    enum:
        LOOP_DONE
        LOOP_FORKED

    int run_loop(
        Py_ssize_t n, Py_ssize_t at_once, int n_threads, bint by_work, Work work, void *context
    )
    int set_up()
    int helpers_there "pool.n_helpers"
    int count_idle "idle_processors"()


cdef enum:
    PARTS_OF_A_THREAD = 8

cdef const char *FORKED = (
    "this process was forked by a signal handler in the middle of a loop in threads: the loop"
    " cannot go on in the child"
)

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
    return 0 if is_done(threads, n, at_once, work, context) else -1


cdef void share(
    int n_threads, Py_ssize_t n, Py_ssize_t least, Work work, void *context, SignalWatch *watch
) noexcept nogil:
    """Work on n items, at least so many at a time, where the work itself asks a watch.

    What is raised waits in this thread, as what ``interrupted`` meets does: the watch says so.
    """
    # Parts that are as long as can be: where two threads write to one page, both wait for it.
    cdef Py_ssize_t at_once = max(least, n // (PARTS_OF_A_THREAD * n_threads))
    if n_threads == 1 or n <= at_once:
        work(context, 0, n, 0)  # which may be within a thread of another loop
    elif not is_done(Threads(n_threads, False), n, at_once, work, context):
        stop(watch)


cdef bint is_done(
    Threads threads, Py_ssize_t n, Py_ssize_t at_once, Work work, void *context
) noexcept nogil:
    """Run a loop; False if there is an exception in this thread then."""
    cdef int result = run_loop(n, at_once, threads.most, threads.by_work, work, context)
    if result == LOOP_FORKED:
        with gil:
            if PyErr_Occurred() == NULL:  # the handler itself may have raised, SystemExit say
                PyErr_SetString(RuntimeError, FORKED)
    return result == LOOP_DONE
