"""Values of the structures in a file of features: computed in blocks and written there."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from ase.cell import Cell

from torchml_core.configuration import Configuration
from torchml_core.dataset.combined import combined
from torchml_core.dataset.feature_file import FeatureFile
from torchml_core.dataset.feature_layout import COMMITTED, checksum
from torchml_core.errors import FileAccessError, TorchMLError

if TYPE_CHECKING:
    from torchml_core.descriptors.base import Descriptor


class Block(NamedTuple):
    """Consecutive structures of a file, which are computed with one call of the kernel.

    Attributes
    ----------
    first : int
        The first structure.
    structures : list
        Each with positions, cell, pbc and numbers.
    """

    first: int
    structures: list


def values_of(descriptor: Descriptor, species, structures, dtype, n_threads):
    """Return the values of each structure, or the error of those that have one.

    Parameters
    ----------
    descriptor : Descriptor
    species : tuple of str
        Of the species codes, where the descriptor does not know species.
    structures : list
        Each with positions, cell, pbc and numbers.
    dtype : np.dtype
    n_threads : int or None

    Returns
    -------
    list of ((n_atoms, width) array or TorchMLError)
    """
    try:
        lists = [
            Configuration.from_atoms(s, descriptor.cutoff, species, n_threads=n_threads)
            for s in structures
        ]
        joined = lists[0] if len(lists) == 1 else combined(lists)
        values = descriptor.compute(joined, dtype=dtype, n_threads=n_threads)
    except TorchMLError as error:
        if len(structures) == 1:
            return [error]
        return [values_of(descriptor, species, [s], dtype, n_threads)[0] for s in structures]
    return np.split(values, np.cumsum([c.n_centers for c in lists])[:-1])


class FeatureWork:
    """A file of features, whose values are still to be computed.

    Parameters
    ----------
    path : path-like
        Of a file that :class:`FeatureWriter` has finished.
    descriptor : Descriptor
    """

    def __init__(self, path, descriptor: Descriptor) -> None:
        self.path, self.descriptor = str(path), descriptor
        with FeatureFile(path) as file:
            self.dtype = file.dtype
            self.species = self.descriptor.species or file.species
            self.names = file.names
            self.offsets = file.offsets
            self._cells, self._pbc = file.array("cells"), file.array("pbc").astype(bool)
            self._numbers, self._positions = file.rows("numbers"), file.rows("positions")
            self._checksums, self._values = file.rows("checksums"), file.rows("values")
        self._fd = os.open(self.path, os.O_RDWR)

    def __len__(self):
        return len(self.offsets) - 1

    def close(self):
        os.close(self._fd)

    def missing(self) -> np.ndarray:
        """Return the structures whose values are not there, or are not what was written."""
        committed = self._checksums.read(self._fd, 0, len(self))
        return np.array(
            [
                k
                for k, known in enumerate(committed)
                if not known or known != self._record(self.values(k))
            ],
            dtype=np.int64,
        )

    def values(self, k):
        """Return the rows of a structure."""
        return self._values.read(self._fd, self.offsets[k], self.offsets[k + 1])

    def block(self, first: int, end: int) -> Block:
        """Return the structures from first up to end."""
        offsets = self.offsets[first : end + 1]
        numbers = self._numbers.read(self._fd, offsets[0], offsets[-1]).astype(np.int64)
        positions = self._positions.read(self._fd, offsets[0], offsets[-1])
        found = []
        for k, (begin, stop) in enumerate(
            zip(offsets[:-1] - offsets[0], offsets[1:] - offsets[0], strict=True)
        ):
            own = slice(begin, stop)
            found.append(
                SimpleNamespace(
                    numbers=numbers[own],
                    positions=positions[own],
                    cell=Cell(self._cells[first + k]),
                    pbc=self._pbc[first + k],
                )
            )
        return Block(first, found)

    def write(self, first: int, values: list) -> list[tuple[int, TorchMLError]]:
        """Write the values of structures from first on; return the errors among them.

        Raises
        ------
        FileAccessError
            If they cannot be written, such as to a full disk.
        """
        errors = []
        records = np.zeros(len(values), dtype="<u8")
        for k, found in enumerate(values):
            if isinstance(found, TorchMLError):
                errors.append((first + k, found))
            else:
                records[k] = self._record(found)
        try:
            for k in np.flatnonzero(records).tolist():
                self._values.write(self._fd, self.offsets[first + k], values[k])
            self._checksums.write(self._fd, first, records)
        except OSError as error:
            raise FileAccessError(
                f"{self.path}: {error.strerror or error}; what is in the file is kept, and resuming"
                " continues after it"
            ) from None
        return errors

    def compute(self, first: int, end: int, n_threads: int | None):
        """Compute and write the values from first up to end; return the errors."""
        block = self.block(first, end)
        values = values_of(self.descriptor, self.species, block.structures, self.dtype, n_threads)
        return self.write(first, values)

    def blocks(self, missing, atoms_at_once: int):
        """Yield (first, end) of consecutive structures with so many atoms, or of one structure."""
        first = end = None
        for k in missing.tolist():
            if first is not None and (
                k != end or self.offsets[k + 1] - self.offsets[first] > atoms_at_once
            ):
                yield first, end
                first = None
            first, end = k if first is None else first, k + 1
        if first is not None:
            yield first, end

    @staticmethod
    def _record(values):
        return COMMITTED | checksum(values)
