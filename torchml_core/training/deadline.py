"""When a training must stop, also in the middle of an epoch."""

from __future__ import annotations

import math
import time

SEEN_SECONDS = 2.0  # of a part, before the time of the whole is estimated
LATE = 1.2  # the estimated time, relative to the time there is, of what is not worth going on with


class Deadline:
    """A time at which an epoch stops, between two of its batches.

    Parameters
    ----------
    at : float
        Of ``time.monotonic()``.

    Attributes
    ----------
    stopped : bool
        Whether the epoch was told to stop.
    """

    def __init__(self, at: float = math.inf) -> None:
        self._at, self._began, self.stopped = at, time.monotonic(), False

    def passed(self) -> bool:
        """Whether to stop."""
        self.stopped = time.monotonic() > self._at
        return self.stopped

    def out_of_reach(self, done: float) -> bool:
        """Whether to stop where a part is of no use: if the part that is done, from 0 to 1, shows
        that the whole will be late.
        """
        took, left = time.monotonic() - self._began, self._at - self._began
        self.stopped = took > left or (took > SEEN_SECONDS and took > LATE * done * left)
        return self.stopped
