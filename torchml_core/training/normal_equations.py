"""Normal equations of groups of rows, summed up in blocks, and their solution with a ridge.

For each group of rows A with targets y: A^T A, A^T y, y^T y and the number of rows. From these
follow the solution for any weights of the groups, and the errors of any coefficients on each
group, without the rows.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, eigh, solve_triangular

ROWS_AT_ONCE = 1024
ROUNDING = 1e-12  # of a difference of sums, relative to them
RIDGES = 10.0 ** np.arange(-14, 1)


class NormalEquations:
    """Sums over the rows of one group.

    As long as there are fewer rows than coefficients, the rows themselves are kept: they take less
    memory than the matrix.

    Parameters
    ----------
    n : int
        Number of coefficients.
    """

    def __init__(self, n):
        self._n, self._sums = n, None  # A^T A of the rows that are no longer kept
        self.right, self._sum = np.zeros(n), np.zeros(n)  # A^T y, A^T 1
        self._total = 0.0  # of y
        self.squares = self.n_rows = 0.0
        self._waiting, self._n_waiting = [], 0  # rows: large products are faster

    def add(self, rows, targets, weight=1.0):
        """Add rows (m, n) with targets (m,); a weight counts like as many equal rows."""
        self._waiting.append(np.sqrt(weight) * rows)
        self._n_waiting += len(rows)
        if self._n_waiting >= (max(self._n, ROWS_AT_ONCE) if self._sums is None else ROWS_AT_ONCE):
            if self._sums is None:
                self._sums = np.zeros((self._n, self._n))
            kept = self._rows()
            self._sums += kept.T @ kept
            self._waiting, self._n_waiting = [], 0
        self.right += weight * (rows.T @ targets)
        self._sum += weight * rows.sum(axis=0)
        self._total += weight * float(targets.sum())
        self.squares += weight * float(targets @ targets)
        self.n_rows += weight * len(targets)

    def _rows(self):
        """(n_waiting, n), those that are not in the sums yet."""
        if len(self._waiting) != 1:
            self._waiting = [np.concatenate([np.empty((0, self._n)), *self._waiting])]
        return self._waiting[0]

    @property
    def matrix(self):
        """A^T A."""
        return combined([(self, 1.0, False)])[0]

    def diagonal(self):
        """The diagonal of A^T A."""
        own = (self._rows() ** 2).sum(axis=0)
        return own if self._sums is None else own + np.diag(self._sums)

    def mean_square(self, coefficients, *, centered=False):
        """Return the mean square of the residuals, or of their differences from their mean."""
        predicted = self._rows() @ coefficients
        squares = predicted @ predicted
        if self._sums is not None:
            squares += coefficients @ (self._sums @ coefficients)
        found = squares - 2 * (coefficients @ self.right) + self.squares
        if centered:
            found -= (self._total - self._sum @ coefficients) ** 2 / self.n_rows
        return max(float(found), 0.0) / self.n_rows


def combined(parts):
    """Return (A^T A, A^T y) of several groups together.

    Parameters
    ----------
    parts : list of (NormalEquations, weight, centered)
        Centered: the equations of the differences from the group's mean row and target. What all
        its targets have in common then does not count.
    """
    n = parts[0][0]._n
    matrix, right = np.zeros((n, n)), np.zeros(n)
    rows, means = [], []
    for group, weight, centered in parts:
        if group._sums is not None:
            matrix += weight * group._sums
        rows.append(np.sqrt(weight) * group._rows())
        right += weight * group.right
        if centered:
            means.append(np.sqrt(weight / group.n_rows) * group._sum)
            right -= weight * group._total / group.n_rows * group._sum
    rows = np.concatenate(rows)  # one product is faster than several
    matrix += rows.T @ rows
    if means:
        means, before = np.array(means), np.diag(matrix).copy()
        matrix -= means.T @ means
        same = np.diag(matrix) <= ROUNDING * before  # in all rows of each group, such as constants
        matrix[same], matrix[:, same], right[same] = 0, 0, 0
    return matrix, right


class Ridge:
    """The solutions of one system of normal equations for any ridge.

    Coefficients are scaled, and the ridge is then added to the diagonal of the matrix. Without
    ``sizes`` the scaled diagonal is 1, so that all columns count alike, also those of values that
    hardly vary. With sizes it is at most 1, and coefficients of larger sizes may be larger; 0 is
    that of constants, whose diagonal is 1. Coefficients that no row contains are 0.

    Parameters
    ----------
    matrix : (n, n) float64
    right : (n,) float64
    sizes : (n,) float64, optional
    """

    def __init__(self, matrix, right, sizes=None):
        scale = _scale(matrix, sizes)
        self._scale = scale
        self._values, self._vectors = eigh(_scaled(matrix, scale).T, overwrite_a=True)
        self._values = np.maximum(self._values, 0)
        self._projected = self._vectors.T @ (right * scale)

    def solve(self, ridge):
        """Return the coefficients (n,)."""
        return self._scale * (self._vectors @ (self._projected / (self._values + ridge)))


def ridge_root(matrix, ridge, sizes=None):
    """Return C (n, n) with C C^T the inverse of the matrix with the ridge added, as in Ridge.

    By Cholesky's method, an order of magnitude faster than all solutions.
    """
    scale = _scale(matrix, sizes)
    lower = _factor(matrix, scale, ridge)
    return scale[:, None] * solve_triangular(lower, np.eye(len(scale)), lower=True).T


def ridge_solution(matrix, right, ridge, sizes=None):
    """Return the coefficients (n,) for one ridge, or for the least that is not lost in rounding."""
    scale = _scale(matrix, sizes)
    lower = _factor(matrix, scale, ridge)
    return scale * cho_solve((lower, True), scale * right)


def _factor(matrix, scale, ridge):
    """The lower Cholesky factor of a scaled matrix with a ridge on its diagonal.

    A ridge that is less than the rounding of a singular matrix is multiplied by 10, as often as it
    takes.
    """
    while True:
        own = _scaled(matrix, scale)
        own[np.diag_indices(len(own))] += ridge
        try:
            return np.linalg.cholesky(own)
        except np.linalg.LinAlgError:
            if not 0 < ridge < 1:
                raise
            ridge *= 10


def _scaled(matrix, scale):
    """A matrix with rows and columns multiplied; its transpose is overwritten by LAPACK."""
    own = matrix * scale[:, None]
    own *= scale
    return own


def _scale(matrix, sizes=None):
    diagonal = np.diag(matrix)
    there = diagonal > 0
    scale = np.where(there, 1 / np.sqrt(np.where(there, diagonal, 1)), 0)
    if sizes is None:
        return scale
    largest = np.sqrt((sizes**2 * diagonal).max()) or 1.0
    return np.where(sizes > 0, np.where(there, sizes / largest, 0), scale)
