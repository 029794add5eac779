"""Jacobian: the derivatives of a descriptor's values, one block per pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse

    from torchml_core.annotations import Floats
    from torchml_core.configuration import Configuration


class Jacobian:
    """Derivatives of a descriptor's values with respect to positions, one block per pair.

    Attributes
    ----------
    values : (n_pairs, 3, width) array
        ``values[p]`` is dD[row]/dr[neighbor] for entry p of the lists, where row is the row of its
        center; 0 beyond the cutoff. The derivative with respect to the center's own position is
        minus the sum over its row.
    configuration : Configuration
        The particles and lists.
    """

    def __init__(self, values: Floats, configuration: Configuration) -> None:
        self.values, self.configuration = values, configuration

    @property
    def nbytes(self) -> int:
        """Size of ``values`` in bytes."""
        return self.values.nbytes

    def __repr__(self):
        return f"<Jacobian: {self.values.shape[0]} pairs, width {self.values.shape[2]}>"

    def to_scipy(self) -> scipy.sparse.csr_array:
        """Return it as a scipy.sparse.csr_array of shape (n_centers * width, n_particles * 3).

        Row ``k * width + c`` is component c of row k, and column ``3 * p + axis`` is a coordinate
        of particle p. Derivatives with respect to the center's own position are included.
        """
        from scipy.sparse import coo_array  # slow to import, and for this alone

        c, width = self.configuration, self.values.shape[2]
        rows = np.repeat(np.arange(c.n_centers, dtype=np.int64), np.diff(c.offsets))
        entry_row = np.broadcast_to(
            rows[:, None, None] * width + np.arange(width), self.values.shape
        ).ravel()
        axes = np.arange(3)[:, None]
        columns = [
            np.broadcast_to(3 * particle[:, None, None].astype(np.int64) + axes, self.values.shape)
            for particle in (c.neighbors, c.centers[rows])
        ]
        values = self.values.ravel()
        matrix = coo_array(
            (
                np.concatenate([values, -values]),
                (np.tile(entry_row, 2), np.concatenate([k.ravel() for k in columns])),
            ),
            shape=(c.n_centers * width, c.n_particles * 3),
        )
        return matrix.tocsr()

    def to_dense(self) -> Floats:
        """Return it as an array of shape (n_centers, width, n_particles, 3)."""
        c = self.configuration
        width = self.values.shape[2]
        dense = np.zeros((c.n_centers, width, c.n_particles, 3), dtype=self.values.dtype)
        for row, center in enumerate(c.centers):
            for entry in range(c.offsets[row], c.offsets[row + 1]):
                dense[row, :, c.neighbors[entry]] += self.values[entry].T
                dense[row, :, center] -= self.values[entry].T
        return dense
