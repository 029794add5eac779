"""The one meaning of ``n_threads`` in this library."""

import os

from torchml_core.errors import InputError


def resolve_n_threads(n_threads=None):
    """Return the number of threads to use, at least 1.

    Parameters
    ----------
    n_threads : int, optional
        Threads to use. None: what ``OMP_NUM_THREADS`` says, else the processors that this
        process may run on. Results never depend on it, to the last bit.
    """
    if n_threads is None:
        setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        if setting.isdigit() and int(setting) > 0:
            return int(setting)
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    if isinstance(n_threads, bool) or int(n_threads) != n_threads or n_threads < 1:
        raise InputError(f"n_threads = {n_threads!r}: a whole number of at least 1, or None")
    return int(n_threads)
