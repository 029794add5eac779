"""Forked processes, for tests of what works in them."""

import contextlib
import os
import signal
import warnings


def in_child(work):
    """Return what work returns, a number from 0 to 254, in a forked child; 255 if it raises.

    It is less than 0 where the child is ended by a signal, because it hangs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: that is the point
        child = os.fork()
    if child == 0:
        code = 255
        with contextlib.suppress(BaseException):
            signal.alarm(20)
            code = int(work())
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
