"""Rows of a dataset of an HDF5 file, read and written where they are in the file.

Neither reading nor writing goes through the HDF5 library, so that processes may write to different
rows of one file at the same time, and the file is as readable after a kill as before.
"""

from __future__ import annotations

import os

import numpy as np


class Rows:
    """Where the rows of a chunked dataset without filters are.

    Parameters
    ----------
    dataset : h5py.Dataset
        All of its chunks are allocated. Open only during this call.

    Raises
    ------
    ValueError
        If rows are not whole in its chunks, or are not stored as they are.
    """

    def __init__(self, dataset) -> None:
        self.dtype, self.shape, chunks = dataset.dtype, dataset.shape, dataset.chunks
        if (
            chunks is None
            or chunks[1:] != self.shape[1:]
            or dataset.id.get_create_plist().get_nfilters()
        ):
            raise ValueError(f"{dataset.name} has another storage layout")
        self._nbytes = int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize
        self._per_chunk = chunks[0]
        rest = (0,) * len(self.shape[1:])
        self._places = [
            dataset.id.get_chunk_info_by_coord((first, *rest)).byte_offset
            for first in range(0, self.shape[0], chunks[0])
        ]
        if any(place is None for place in self._places):
            raise ValueError(f"{dataset.name} is not allocated")

    def read(self, fd: int, first: int, end: int) -> np.ndarray:
        """Return the rows from first up to end.

        Raises
        ------
        OSError
            If they cannot be read, or the file ends before.
        """
        out = np.empty((end - first, *self.shape[1:]), self.dtype)
        flat = out.data.cast("B") if out.size else memoryview(b"")
        for begin, stop, place in self._pieces(first, end):
            while begin < stop:
                n = os.preadv(fd, [flat[begin:stop]], place)
                if n == 0:
                    raise OSError("the file ends too early")
                begin, place = begin + n, place + n
        return out

    def write(self, fd: int, first: int, rows: np.ndarray) -> None:
        """Write rows, the first of which is number first."""
        flat = np.ascontiguousarray(rows, self.dtype).data.cast("B")
        for begin, stop, place in self._pieces(first, first + len(rows)):
            while begin < stop:  # what is written may be less than what was asked for
                n = os.pwrite(fd, flat[begin:stop], place)
                begin, place = begin + n, place + n

    def _pieces(self, first, end):
        """Parts of the rows that are in one chunk: their bytes, and the place in the file."""
        row = first
        while row < end:
            chunk, within = divmod(row, self._per_chunk)
            stop = min(end, row + self._per_chunk - within)
            place = self._places[chunk] + within * self._nbytes
            yield (row - first) * self._nbytes, (stop - first) * self._nbytes, place
            row = stop
