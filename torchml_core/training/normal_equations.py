"""Normal equations of groups of rows, summed up in blocks, and their solution with a ridge.

For each group of rows A with targets y: A^T A, A^T y, y^T y and the number of rows. From these
follow the solution for any weights of the groups, and the errors of any coefficients on each
group, without the rows.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

ROWS_AT_ONCE = 1024
RIDGES = 10.0 ** np.arange(-14, 1)


class NormalEquations:
    """Sums over the rows of one group.

    Parameters
    ----------
    n : int
        Number of coefficients.
    """

    def __init__(self, n):
        self._matrix = np.zeros((n, n))
        self.right, self._sum = np.zeros(n), np.zeros(n)  # A^T y, A^T 1
        self._total = 0.0  # of y
        self.squares = self.n_rows = 0.0
        self._waiting, self._n_waiting = [], 0  # rows: large products are faster

    def add(self, rows, targets, weight=1.0):
        """Add rows (m, n) with targets (m,); a weight counts like as many equal rows."""
        self._waiting.append(np.sqrt(weight) * rows)
        self._n_waiting += len(rows)
        if self._n_waiting >= ROWS_AT_ONCE:
            self._multiply()
        self.right += weight * (rows.T @ targets)
        self._sum += weight * rows.sum(axis=0)
        self._total += weight * float(targets.sum())
        self.squares += weight * float(targets @ targets)
        self.n_rows += weight * len(targets)

    @property
    def matrix(self):
        """A^T A."""
        if self._waiting:
            self._multiply()
        return self._matrix

    def _multiply(self):
        rows = np.concatenate(self._waiting)
        self._matrix += rows.T @ rows
        self._waiting, self._n_waiting = [], 0

    def system(self, centered):
        """Return (A^T A, A^T y); centered: those of the differences from the mean row and target.

        What all targets have in common then does not count.
        """
        if not centered:
            return self.matrix, self.right
        mean = self._sum / self.n_rows
        return self.matrix - np.outer(mean, self._sum), self.right - mean * self._total

    def mean_square(self, coefficients, *, centered=False):
        """Return the mean square of the residuals, or of their differences from their mean."""
        found = coefficients @ (self.matrix @ coefficients - 2 * self.right) + self.squares
        if centered:
            found -= (self._total - self._sum @ coefficients) ** 2 / self.n_rows
        return max(float(found), 0.0) / self.n_rows


class Ridge:
    """The solutions of one system of normal equations for any ridge.

    Coefficients are scaled so that the diagonal of the matrix is 1; the ridge is added to it then.
    Coefficients that no row contains are 0.
    """

    def __init__(self, matrix, right):
        scale = _scale(matrix)
        self._scale = scale
        self._values, self._vectors = np.linalg.eigh(matrix * scale[:, None] * scale)
        self._values = np.maximum(self._values, 0)
        self._projected = self._vectors.T @ (right * scale)

    def solve(self, ridge):
        """Return the coefficients (n,)."""
        return self._scale * (self._vectors @ (self._projected / (self._values + ridge)))


def ridge_root(matrix, ridge):
    """Return C (n, n) with C C^T the inverse of the matrix with the ridge added, as in Ridge.

    By Cholesky's method, an order of magnitude faster than all solutions.
    """
    scale = _scale(matrix)
    lower = _factor(matrix * scale[:, None] * scale, ridge)
    return scale[:, None] * solve_triangular(lower, np.eye(len(scale)), lower=True).T


def ridge_solution(matrix, right, ridge):
    """Return the coefficients (n,) for one ridge, or for the least that is not lost in rounding."""
    scale = _scale(matrix)
    lower = _factor(matrix * scale[:, None] * scale, ridge)
    return scale * cho_solve((lower, True), scale * right)


def _factor(matrix, ridge):
    """The lower Cholesky factor of a matrix with a ridge on its diagonal.

    A ridge that is less than the rounding of a singular matrix is multiplied by 10, as often as it
    takes.
    """
    while True:
        try:
            return np.linalg.cholesky(matrix + ridge * np.eye(len(matrix)))
        except np.linalg.LinAlgError:
            if not 0 < ridge < 1:
                raise
            ridge *= 10


def _scale(matrix):
    diagonal = np.diag(matrix)
    return np.where(diagonal > 0, 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1)), 0)
