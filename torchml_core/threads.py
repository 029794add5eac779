"""The meaning of ``n_threads``, the same in the whole library."""

import functools
import math
import os
import threading
from typing import NamedTuple

from torchml_core import _parallel, checks
from torchml_core.control_groups import control_groups, text_of

MOST_THREADS = max(16, 4 * (os.cpu_count() or 1))


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


def check_n_threads(n_threads):
    """Return None, or a number of threads of at least 1; InputError for anything else."""
    return None if n_threads is None else checks.whole("n_threads", n_threads, least=1)


def resolve_threads(n_threads=None):
    """Return the threads to use.

    Parameters
    ----------
    n_threads : int, optional
        So many threads, but not more than four for each processor of the machine (or 16, if
        that is more), nor than there are pieces of work. None: as many as there is work and are
        idle processors for, up to what ``OMP_NUM_THREADS`` says, else to the processors that this
        process may use. Results never depend on it, to the last bit.

    Returns
    -------
    Threads
    """
    if n_threads is not None:
        return _asked_for(min(check_n_threads(n_threads), MOST_THREADS))
    setting = threads_of_text(os.environ.get("OMP_NUM_THREADS", "").split(",")[0])
    return Threads(setting or n_processors(), True)


@functools.cache
def _asked_for(n_threads):
    return Threads(n_threads, False)


def threads_of_text(text):
    """Return the number of threads that a variable of the environment says, at most MOST_THREADS.

    It is None where it says none.
    """
    text = text.strip()
    if not (text.isdecimal() and text.isascii() and text.strip("0")):
        return None
    # int() refuses numbers of thousands of digits, which are too large in any case
    return min(int(text), MOST_THREADS) if len(text) < 10 else MOST_THREADS


def resolve_n_threads(n_threads=None, useful=MOST_THREADS):
    """Return the number of threads of a search, which shares out its work before it begins.

    It is at most ``useful``, and at least 1. Where no number was asked for, each but the caller's
    needs an idle processor: one that has to share a processor may keep the others waiting.
    """
    threads = resolve_threads(n_threads)
    most = max(1, min(threads.most, useful))
    if threads.by_work and most > 1:  # asking the system takes as long as a small search
        return min(most, 1 + _parallel.idle_processors())
    return most


def n_processors():
    """Return how many processors this process may use, by its affinity and its container."""
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    return math.ceil(max(1, min(there, processor_time())))


@functools.cache
def processor_time(root="/"):
    """Return how many processors' worth of time the control groups allow this process.

    Parameters
    ----------
    root : path-like
        Where ``proc`` and ``sys`` are; a test has its own.

    Returns
    -------
    float
        1.5 where each second it may use a processor and a half; inf where there is no limit.
    """
    least = math.inf
    for version, group in control_groups("cpu", root):
        if version == 2:
            quota, _, period = text_of(group / "cpu.max").strip().partition(" ")
        else:
            files = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = (text_of(group / file).strip() for file in files)
        if quota.isdigit() and period.isdigit() and int(period) > 0:  # "max", -1: no limit
            least = min(least, int(quota) / int(period))
    return least


def in_main_thread():
    """Whether this is the thread in which Python runs signal handlers."""
    return threading.get_ident() == threading.main_thread().ident
