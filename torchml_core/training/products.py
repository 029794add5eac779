"""Products and eigenvectors of matrices, by torch in one thread.

numpy's threads wait for each other by spinning: on processors that have other work, too, products
then take several times as long. On idle ones torch in one thread is as fast as numpy in two.
"""

from __future__ import annotations

import torch

from torchml_core.torch_threads import torch_threads


def product(left, right):
    """Return left right (m, n) of float64 arrays (m, k) and (k, n)."""
    with torch_threads(1):
        return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()


def add_product(out, left, right, weight=1.0):
    """Add weight left right to out (m, n), of float64 arrays (m, k) and (k, n)."""
    own = torch.from_numpy(out)
    with torch_threads(1):
        torch.addmm(own, torch.from_numpy(left), torch.from_numpy(right), alpha=weight, out=own)


def eigenvectors(matrix):
    """Return the eigenvalues (n,) in ascending order, and (n, n), of a symmetric matrix."""
    with torch_threads(1):
        values, vectors = torch.linalg.eigh(torch.from_numpy(matrix))
    return values.numpy(), vectors.numpy()
