"""Sums of products of rows, of which only the lower triangle is computed and kept."""

from __future__ import annotations

import numpy as np

from torchml_core.training.products import add_product

PANEL = 256  # rows of the matrix in one block: products of such blocks are fast


class LowerTriangle:
    """A symmetric matrix (n, n), float64, as blocks of rows that end at the diagonal.

    It takes half the memory of a full matrix, and so do sums of products the time.

    Parameters
    ----------
    n : int
    """

    def __init__(self, n):
        self.n = n
        self._blocks = [np.zeros((end - first, end)) for first, end in _panels(n)]

    def add_products(self, rows):
        """Add A^T A of rows A (m, n)."""
        for (first, end), block in zip(_panels(self.n), self._blocks, strict=True):
            add_product(block, rows[:, first:end].T, rows[:, :end])

    def add_to(self, matrix, weight):
        """Add the weighted lower triangle to that of a full matrix."""
        for (first, end), block in zip(_panels(self.n), self._blocks, strict=True):
            matrix[first:end, :end] += weight * block

    def diagonal(self):
        """(n,)."""
        parts = [np.diag(block[:, -len(block) :]) for block in self._blocks]
        return np.concatenate(parts) if parts else np.zeros(0)

    def square(self, x):
        """Return x · M x of x (n,)."""
        total = 0.0
        for (first, end), block in zip(_panels(self.n), self._blocks, strict=True):
            corner = x[first:end] @ (block[:, first:] @ x[first:end])
            total += 2 * (x[first:end] @ (block[:, :first] @ x[:first])) + corner
        return total


def add_products(matrix, rows, weight=1.0):
    """Add weight times A^T A of rows A (m, n) to the lower triangle of a full matrix."""
    for first, end in _panels(len(matrix)):
        add_product(matrix[first:end, :end], rows[:, first:end].T, rows[:, :end], weight)


def _panels(n):
    return [(first, min(first + PANEL, n)) for first in range(0, n, PANEL)]
