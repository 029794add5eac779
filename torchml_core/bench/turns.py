"""Times of programs that run in turns: what slows the machine down slows all of them down."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

# Seconds: short work is repeated for so long each turn. A single call of 2 ms finds the caches of
# the program before it, and takes up to three times as long; one of 50 ms hardly notices them.
LEAST = 20e-3


class Effort(NamedTuple):
    """How often programs are measured.

    Attributes
    ----------
    seconds : float
        Turns are repeated until so much time has passed, for all programs of a case together ...
    fewest, most : int
        ... but at least and at most so often. The first turn is not counted.
    longest : float
        After so much time three turns are enough.
    """

    seconds: float
    fewest: int
    most: int
    longest: float


FULL = Effort(4.0, 6, 200, 15.0)
QUICK = Effort(0.6, 4, 40, 5.0)


class Seconds(NamedTuple):
    """What work took: time of the processor, of all threads together, and on the clock."""

    processor: float
    clock: float


def timed(work: Callable[[], object], repeat: int = 1) -> Seconds:
    """Return what the work takes once; it is done ``repeat`` times, and its results are freed."""
    processor, clock = time.process_time(), time.perf_counter()
    for _ in range(repeat):
        work()
    return Seconds(
        (time.process_time() - processor) / repeat, (time.perf_counter() - clock) / repeat
    )


def in_turns(
    timers: dict[str, Callable[[int], Seconds]], effort: Effort
) -> dict[str, list[Seconds]]:
    """Return the times of each turn.

    Parameters
    ----------
    timers : dict of callable
        Each does the work of a program so many times, and returns what it takes once.
    effort : Effort

    Returns
    -------
    dict of list of Seconds
    """
    found: dict[str, list[Seconds]] = {name: [] for name in timers}
    begin = time.perf_counter()
    repeats = {
        name: max(1, math.ceil(LEAST / max(timer(1).clock, 1e-7))) for name, timer in timers.items()
    }
    for turn in range(1, 1 + effort.most):
        for name, timer in timers.items():
            found[name].append(timer(repeats[name]))
        passed = time.perf_counter() - begin
        if turn >= effort.fewest and passed > effort.seconds:
            break
        if turn >= 3 and passed > effort.longest:
            break
    return found
