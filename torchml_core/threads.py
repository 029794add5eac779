"""The one meaning of ``n_threads`` in this library."""

import os

from torchml_core import checks

# GNU's OpenMP waits forever in a forked child whose parent has used threads, as workers of
# multiprocessing and of torch's data loaders are. There one thread has to do.
_forked = False


def _in_child():
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def resolve_n_threads(n_threads=None):
    """Return the number of threads to use, at least 1.

    Parameters
    ----------
    n_threads : int, optional
        Threads to use. None: what ``OMP_NUM_THREADS`` says, else the processors that this
        process may run on. Results never depend on it, to the last bit. In a forked child
        process it is always 1.
    """
    if n_threads is not None:
        n_threads = checks.whole("n_threads", n_threads, least=1)
    if _forked:
        return 1
    if n_threads is not None:
        return n_threads
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if setting.isdigit() and int(setting) > 0:
        return int(setting)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
