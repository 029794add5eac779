"""Normal equations of groups of rows, summed up in blocks, and their solution with a ridge.

For each group of rows A with targets y: A^T A, A^T y, y^T y and the number of rows. From these
follow the solution for any weights of the groups, and the errors of any coefficients on each
group, without the rows.
"""

from __future__ import annotations

import numpy as np
import torch

from torchml_core.torch_threads import torch_threads
from torchml_core.training.lower_triangle import LowerTriangle, add_products

ROWS_AT_ONCE = 256
# Smaller ones would be near the rounding of matrices of thousands of columns, and terms would
# cancel to less than a thousandth of their size.
RIDGES = 10.0 ** np.arange(-12, 1)
LEAST_RIDGE = 1e-16  # tried after 0
ROUNDING = 1e-12  # of a difference of sums, relative to them


class NormalEquations:
    """Sums over the rows of one group.

    As long as there are fewer rows than half the coefficients, the rows themselves are kept: they
    take less memory than the matrix.

    Parameters
    ----------
    n : int
        Number of coefficients.

    Attributes
    ----------
    right, sum : (n,) float64
        A^T y, and the sum of the rows.
    total, squares, n_rows : float
        Of y, of y², and their number.
    rows : list of (m, n) float64
        Those that are not summed up yet.
    """

    def __init__(self, n):
        self._n, self._sums = n, None  # A^T A of the rows that are no longer kept
        self.right, self.sum = np.zeros(n), np.zeros(n)
        self.total = self.squares = self.n_rows = 0.0
        self.rows, self._n_waiting = [], 0  # that are not in the sums yet

    def add(self, rows, targets, weight=1.0):
        """Add rows (m, n) with targets (m,); a weight counts like as many equal rows."""
        self.rows.append(rows if weight == 1 else np.sqrt(weight) * rows)
        self._n_waiting += len(rows)
        if self._n_waiting >= (ROWS_AT_ONCE if self._sums else max(self._n // 2, ROWS_AT_ONCE)):
            self.sum_up()
        self.right += weight * (rows.T @ targets)
        self.sum += weight * rows.sum(axis=0)
        self.total += weight * float(targets.sum())
        self.squares += weight * float(targets @ targets)
        self.n_rows += weight * len(targets)

    def sum_up(self):
        """Keep no rows, but their sums, from which systems are made faster."""
        if self._sums is None:
            self._sums = LowerTriangle(self._n)
        for part in joined(self.rows):
            self._sums.add_products(part)
        self.rows, self._n_waiting = [], 0

    def add_sums(self, matrix, weight):
        """Add the weighted sums, without the rows that are still kept, to a full matrix."""
        if self._sums is not None:
            self._sums.add_to(matrix, weight)

    def diagonal(self):
        """The diagonal of A^T A."""
        own = np.zeros(self._n) if self._sums is None else self._sums.diagonal()
        return own + sum((rows**2).sum(axis=0) for rows in self.rows)

    def mean_square(self, coefficients, *, centered=False):
        """Return the mean square of the residuals, or of their differences from their mean."""
        squares = 0.0 if self._sums is None else self._sums.square(coefficients)
        for rows in self.rows:
            predicted = rows @ coefficients
            squares += predicted @ predicted
        found = squares - 2 * (coefficients @ self.right) + self.squares
        if centered:
            found -= (self.total - self.sum @ coefficients) ** 2 / self.n_rows
        return max(float(found), 0.0) / self.n_rows


class System:
    """The normal equations A^T A x = A^T y of several groups together.

    Coefficients are scaled, and a ridge is then added to the diagonal of the matrix. Without
    ``sizes`` the scaled diagonal is 1, so that all columns count alike, also those of values that
    hardly vary. With sizes (n,) it is at most 1, and coefficients of larger sizes may be larger; 0
    is that of constants, whose diagonal is 1. Coefficients that no row contains are 0.

    There is one matrix at a time: it is made again from the groups for each ridge, which takes
    little time beside its Cholesky factor.

    Parameters
    ----------
    parts : list of (NormalEquations, weight, centered)
        Centered: the equations of the differences from the group's mean row and target. What all
        its targets have in common then does not count.
    """

    def __init__(self, parts):
        self._parts = parts
        self.right = np.zeros(len(parts[0][0].right))
        means = []
        for group, weight, centered in parts:
            self.right += weight * group.right
            if centered:
                means.append(np.sqrt(weight / group.n_rows) * group.sum)
                self.right -= weight * group.total / group.n_rows * group.sum
        self._means = np.array(means)

    def matrix(self):
        """A^T A (n, n), of which only the lower triangle is right, in Fortran's order."""
        n = len(self.right)
        matrix = np.zeros((n, n), order="F")
        for group, weight, _ in self._parts:
            group.add_sums(matrix, weight)
        kept = (np.sqrt(weight) * rows for group, weight, _ in self._parts for rows in group.rows)
        for rows in joined(kept):
            add_products(matrix, rows)
        if len(self._means):
            before = np.diag(matrix).copy()
            add_products(matrix, self._means, -1.0)
            same = np.diag(matrix) <= ROUNDING * before  # in all rows of a group, as constants are
            matrix[same], matrix[:, same] = 0, 0
        return matrix

    def factor(self, ridge, sizes=None):
        """Return the Factor for a ridge, or for the least that is not lost in rounding."""
        while True:
            found = Factor(self.matrix(), ridge, sizes)
            if found.is_definite or not ridge < 1:
                return found
            del found  # its memory, before the matrix is made again
            ridge = max(10 * ridge, LEAST_RIDGE)

    def solve(self, ridge, sizes=None):
        """Return the coefficients (n,) for a ridge, or for the least not lost in rounding."""
        return self.factor(ridge, sizes).solve(self.right)


class Factor:
    """The Cholesky factor of a scaled matrix with a ridge on its diagonal.

    By torch with one thread: the threads of numpy's and scipy's LAPACK wait for each other by
    spinning, and on processors that have other work it then takes ten times as long.

    Parameters
    ----------
    matrix : (n, n)
        In Fortran's order; overwritten.
    ridge : float
    sizes : (n,) float64 or None
        See System.

    Attributes
    ----------
    is_definite : bool
        Whether there is one.
    """

    def __init__(self, matrix, ridge, sizes=None):
        diagonal = np.diag(matrix).copy()
        self._scale = scale = _scale(diagonal, sizes)
        matrix *= scale
        matrix *= scale[:, None]
        matrix[np.diag_indices(len(matrix))] = np.where(scale > 0, diagonal * scale**2, 1) + ridge
        self._lower, info = torch.from_numpy(matrix), torch.zeros((), dtype=torch.int32)
        with torch_threads(1):
            torch.linalg.cholesky_ex(self._lower, out=(self._lower, info))
        self.is_definite = int(info) == 0

    def solve(self, right):
        """Return the solution (n,) for a right side (n,)."""
        found = torch.from_numpy(self._scale * right)[:, None]
        with torch_threads(1):
            found = torch.linalg.solve_triangular(self._lower, found, upper=False)
            found = torch.linalg.solve_triangular(self._lower.mT, found, upper=True)
        return self._scale * found[:, 0].numpy()

    def norms(self, rows):
        """Return the root of x · M^-1 x of each row x, (m,) of (m, n)."""
        own = torch.from_numpy(self._scale * rows)
        with torch_threads(1):
            return (
                torch.linalg.solve_triangular(self._lower, own.mT, upper=False).norm(dim=0).numpy()
            )


def _scale(diagonal, sizes):
    """(n,) by which coefficients are multiplied; 0 for those that no row contains."""
    there = diagonal > 0
    scale = np.where(there, 1 / np.sqrt(np.where(there, diagonal, 1)), 0)
    if sizes is None:
        return scale
    largest = np.sqrt((sizes**2 * diagonal).max()) or 1.0
    return np.where(sizes > 0, np.where(there, sizes / largest, 0), scale)


def joined(blocks):
    """Blocks of rows, in parts for which products are fast."""
    part, n = [], 0
    for block in blocks:
        part.append(block)
        n += len(block)
        if n >= ROWS_AT_ONCE:
            yield np.concatenate(part) if len(part) > 1 else block
            part, n = [], 0
    if part:
        yield np.concatenate(part)
