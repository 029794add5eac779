"""A table of radial functions: a quintic Hermite spline as fine as its tolerances ask for."""

import math
from dataclasses import dataclass

import numpy as np

FIRST_INTERVALS = 64
MOST_INTERVALS = 8192
# Errors of functions and derivatives that are smaller than these fractions of the largest of the
# same l are measured relative to these fractions.
SMALL_VALUE, SMALL_SLOPE = 1e-4, 1e-2


@dataclass(frozen=True, eq=False)
class RadialTable:
    """A quintic Hermite spline of all f_nl / (R/rc)^l, in intervals of equal length in s.

    s = √(R² + softening²): intervals in R² are narrow at small R, where the functions are steep,
    and no root of R is needed.

    Attributes
    ----------
    softening : float
    per_interval : float
        Intervals per length, of s.
    nodes : (n_intervals + 1, 3, l_max + 1, n_max) float64
        Value, first and second derivative at each end of an interval, by the distance in
        intervals.
    value_error, slope_error : float
        The largest errors in the middle of intervals, relative to the largest value of each
        function, and to its largest derivative or, if that is more, to the largest value in the
        length of the table; all times (R/rc)^l, and at least SMALL_VALUE and SMALL_SLOPE of
        the largest of this l.
    """

    softening: float
    per_interval: float
    nodes: np.ndarray
    value_error: float
    slope_error: float

    @property
    def n_intervals(self):
        return len(self.nodes) - 1


def fit_table(functions, cutoff, softening, tolerances):
    """Return the RadialTable of functions of the distance, from 0 to the cutoff.

    Parameters
    ----------
    functions : callable
        Takes q = (R/cutoff)², an array; returns (len(q), 3, l_max + 1, n_max): f_nl / (R/cutoff)^l
        and its first and second derivatives with respect to q.
    cutoff, softening : float
        See RadialTable.
    tolerances : (float, float)
        Of values and derivatives, see RadialTable.value_error and slope_error.

    Returns
    -------
    RadialTable or None
        None if MOST_INTERVALS intervals are not enough.
    """
    n = FIRST_INTERVALS
    while n <= MOST_INTERVALS:
        first = softening / cutoff  # s in units of the cutoff, and q = s² - first²
        step = (math.hypot(1.0, first) - first) / (2 * n)
        steps = step * np.arange(2 * n + 1)
        q = steps * (2 * first + steps)
        s = (first + steps)[:, None, None]
        by_q = functions(q)
        by_s = np.stack(
            [by_q[:, 0], 2 * s * by_q[:, 1], 2 * by_q[:, 1] + 4 * s**2 * by_q[:, 2]], axis=1
        )
        by_s *= np.array([1.0, 2 * step, 4 * step**2])[:, None, None]
        errors = _errors(by_s[::2], by_s[1::2], np.sqrt(q[1::2])[:, None, None])
        worst = max(error / most for error, most in zip(errors, tolerances, strict=True))
        if worst <= 1:
            nodes = np.ascontiguousarray(by_s[::2])
            nodes.flags.writeable = False
            return RadialTable(softening, 1 / (2 * step * cutoff), nodes, *errors)
        # The error is proportional to the sixth power of the interval, if that is short.
        n = math.ceil(n * min(4.0, 1.03 * worst ** (1 / 6)))
    return None


def _errors(nodes, middle, r):
    """The error of the spline through nodes in the middle of its intervals, at distances r."""
    left, right = nodes[:-1], nodes[1:]
    value = (
        (left[:, 0] + right[:, 0]) / 2
        + 5 / 32 * (left[:, 1] - right[:, 1])
        + (left[:, 2] + right[:, 2]) / 64
    )
    slope = (
        15 / 8 * (right[:, 0] - left[:, 0])
        - 7 / 16 * (left[:, 1] + right[:, 1])
        + (right[:, 2] - left[:, 2]) / 32
    )
    power = r ** np.arange(nodes.shape[2])[:, None]
    largest, steepest = (np.max(np.abs(power * middle[:, k]), axis=0) for k in (0, 1))
    # Where a function hardly changes, or all but vanishes beside others of its l, as oscillating
    # ones do for a wide density, the digits of the integrals end before it is known that well.
    largest = np.maximum(largest, SMALL_VALUE * largest.max(axis=1, keepdims=True))
    steepest = np.maximum(steepest, SMALL_SLOPE * steepest.max(axis=1, keepdims=True))
    steepest = np.maximum(steepest, largest / len(middle))
    return (
        float(np.max(np.abs(power * (value - middle[:, 0])) / largest)),
        float(np.max(np.abs(power * (slope - middle[:, 1])) / steepest)),
    )
