"""In how many structures elements occur, and pairs of them are neighbors."""

from __future__ import annotations

import itertools

import numpy as np

# Where fewer structures have a pair of neighbors, energies are uncertain. Those of cells of two
# metals were off by 1500 to 1900 meV/atom if no other cell with the same two was fitted, by 100 to
# 1500 with one, 30 to 50 with 5, 1 to 13 with 12, and 0.4 to 3 with 40.
FEW = 10


class Occurrences:
    """Counts of structures.

    Parameters
    ----------
    species : tuple of str

    Attributes
    ----------
    n : int
        Structures.
    """

    def __init__(self, species):
        self._species, self.n = tuple(species), 0
        self._with = np.zeros(len(species), dtype=np.int64)
        self._pairs = np.zeros((len(species), len(species)), dtype=np.int64)

    def add(self, c, sizes=None):
        """Count structures.

        Parameters
        ----------
        c : Configuration
            Of all of them together, all of whose atoms are centers.
        sizes : sequence of int, optional
            Their numbers of atoms. None: it is one structure.
        """
        n, sizes = len(self._species), [c.n_centers] if sizes is None else sizes
        codes = c.codes(self._species)
        structure = np.repeat(np.arange(len(sizes)), sizes)
        own = np.unique(structure * n + codes[c.centers])
        self._with += np.bincount(own % n, minlength=n)
        rows = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
        a, b = codes[c.centers][rows], codes[c.neighbors]
        low, high = np.minimum(a, b), np.maximum(a, b)
        found = np.unique((structure[rows] * n + low) * n + high)
        self._pairs += np.bincount(found % n**2, minlength=n**2).reshape(n, n)
        self.n += len(sizes)

    def absent(self):
        """Elements without structures."""
        return [s for s, n in zip(self._species, self._with, strict=True) if not n]

    def absent_pairs(self):
        """Names of pairs of elements of structures that are never neighbors, such as "C-Si"."""
        return [name for name, n in self._by_pair() if not n]

    def few_pairs(self):
        """Pairs that are neighbors in few structures, with the number of these: "C-Si (3)".

        In less than FEW, and in less than half of all: where all are few, no pair is rarer.
        """
        return [f"{name} ({n})" for name, n in self._by_pair() if 0 < n < min(FEW, self.n / 2)]

    def _by_pair(self):
        there = np.flatnonzero(self._with)
        return [
            (f"{self._species[i]}-{self._species[j]}", self._pairs[i, j])
            for i, j in itertools.combinations_with_replacement(there, 2)
        ]
