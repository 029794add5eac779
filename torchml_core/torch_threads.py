"""The number of threads that torch uses in our calls. Our own threads are in parallel.h.

Torch uses the threads of GNU's OpenMP. While these wait for each other they spin, for milliseconds
on processors that are shared with other work. After a fork, as in workers of multiprocessing, they
wait forever for threads that a fork does not copy (pytorch#17199). A single thread does not wait.
"""

import contextlib
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


@contextlib.contextmanager
def torch_threads(n_threads):
    """So many threads of torch in this thread of Python for a while."""
    torch = sys.modules["torch"]
    before = torch.get_num_threads()
    if before == n_threads:
        yield
        return
    try:  # the change within, too: Ctrl-C may come at once after it
        torch.set_num_threads(n_threads)
        yield
    finally:
        torch.set_num_threads(before)
