"""Torch in forked processes, such as workers of multiprocessing.

A forked child has one thread only: the one that forked. GNU's OpenMP, which has torch's threads,
does not notice, and waits forever for those that are gone (pytorch#17199). With one thread it waits
for nobody. Our own threads know of forks (parallel.h).
"""

import os
import sys
import threading

_forks = 0  # how many there were between the process that loaded this and the one that we are in
_thread = threading.local()  # its forks: those that torch, in this thread, has been told of


def _in_child():
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def settle_torch():
    """Let torch use one thread, if this is a forked process; once in each of its threads.

    To be called before all that we let torch do. In a process that does not use torch through us
    it stays as it is.
    """
    if _forks != getattr(_thread, "forks", 0) and "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
        _thread.forks = _forks
