"""The one meaning of ``n_threads`` in this library."""

import os
import threading
from typing import NamedTuple

from torchml_core import checks

# GNU's OpenMP waits forever in a forked child whose parent has used threads, as workers of
# multiprocessing and of torch's data loaders are. There one thread has to do.
_forked = False


def _in_child():
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


class Threads(NamedTuple):
    """How many threads may work on a loop.

    Attributes
    ----------
    most : int
        The caller's among them.
    by_work : bool
        Whether others than the caller's are called in only where there is enough to do.
    """

    most: int
    by_work: bool


def resolve_threads(n_threads=None):
    """Return the threads to use.

    Parameters
    ----------
    n_threads : int, optional
        So many threads, but not more than four for each processor of the machine (or 16, if
        that is more), nor than there are pieces of work. None: as many as there is work for, up
        to what ``OMP_NUM_THREADS`` says, else to the processors that this process may run on.
        Results never depend on it, to the last bit.

    Returns
    -------
    Threads
    """
    limit = max(16, 4 * (os.cpu_count() or 1))
    if n_threads is not None:
        return Threads(min(checks.whole("n_threads", n_threads, least=1), limit), False)
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if setting.isdecimal() and setting.isascii() and setting.strip("0"):
        # one too long for int() is large in any case
        return Threads(limit if len(setting) > 9 else min(int(setting), limit), True)
    return Threads(n_processors(), True)


def resolve_n_threads(n_threads=None):
    """Return the number of threads of OpenMP to use: 1 in a forked child."""
    threads = resolve_threads(n_threads)
    return 1 if _forked else threads.most


def n_processors():
    """Return how many processors this process may use, by its affinity."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_main_thread():
    """Whether this is the thread in which Python runs signal handlers."""
    return threading.get_ident() == threading.main_thread().ident
