"""The layout of files of features, and how such a file is made before values are computed.

docs/featurize.md describes the layout. A file is made in two stages. In the first one all
structures and their labels are appended to a new file, and space for their values is allocated;
then the file gets its name. From then on nothing but the values and their checksums is written, to
places that are known, without the HDF5 library: nothing in the file ever moves, so it can be read
whenever the process is killed. A structure's checksum is written after its values, and is 0 before.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import json
import os
import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from torchml_core.dataset.example import Example

FORMAT, VERSION = "torchml_core features", 1
LIBVER = ("v110", "v110")  # of the HDF5 library that can read the file, and later ones
CHUNK_ROWS = 1024  # of arrays that are appended to
CHUNK_BYTES = 2**20  # of the values
ATOMS_AT_ONCE = 20_000  # that are appended

# Names, shapes of a row, and dtypes.
OF_ATOMS = {"numbers": ((), "i4"), "positions": ((3,), "f8"), "forces": ((3,), "f8")}
OF_STRUCTURES = {
    "cells": ((3, 3), "f8"),
    "pbc": ((3,), "u1"),
    "energies": ((), "f8"),
    "stresses": ((6,), "f8"),
    "weights": ((), "f8"),
    "digests": ((16,), "u1"),
    "label_checksums": ((), "u4"),
}
OTHERS = ("offsets", "checksums", "values")
DIGEST_BYTES = 16
COMMITTED = 1 << 32  # a bit of each checksum that was written


def digest(atoms) -> bytes:
    """Return a checksum of all that the values of a structure depend on."""
    found = hashlib.blake2b(digest_size=DIGEST_BYTES)
    pbc = np.asarray(atoms.pbc, dtype=np.uint8)
    cell = np.asarray(atoms.cell, dtype="<f8") * pbc[:, None] + 0.0  # no -0
    for array in (np.asarray(atoms.numbers, dtype="<i4"), atoms.positions.astype("<f8"), cell, pbc):
        found.update(array.tobytes())
    return found.digest()


def checksum(rows) -> int:
    """Return the CRC-32 of an array."""
    return zlib.crc32(np.ascontiguousarray(rows).data)


def label_checksum(atoms, forces, *others) -> int:
    """Return the checksum of what the file has of a structure besides its values."""
    cell, pbc = np.asarray(atoms.cell, dtype="<f8"), np.asarray(atoms.pbc, dtype="u1")
    arrays = (np.asarray(atoms.numbers, dtype="<i4"), atoms.positions, forces, cell, pbc, *others)
    return checksum(np.concatenate([np.ascontiguousarray(a).view("u1").ravel() for a in arrays]))


def settings_checksum(*texts: str) -> str:
    """Return the checksum of the texts of settings and descriptor."""
    return f"sha256:{hashlib.sha256(chr(10).join(texts).encode()).hexdigest()}"


class SafeFile(io.FileIO):
    """A file for the HDF5 library, which does not survive errors: they are kept for us instead.

    Raises BlockingIOError if another process is writing to the file.

    Attributes
    ----------
    error : OSError or None
        The first one.
    """

    error: OSError | None = None

    def __init__(self, path):
        super().__init__(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        try:
            fcntl.flock(self.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise
        os.ftruncate(self.fileno(), 0)

    def write(self, data):
        with self._kept():
            left = memoryview(data)
            while left:
                left = left[super().write(left) :]
        return len(data)

    def truncate(self, size=None):
        with self._kept():
            return super().truncate(size)
        return size

    def require_no_error(self):
        if self.error is not None:
            raise self.error

    @contextlib.contextmanager
    def _kept(self):
        try:
            yield
        except OSError as error:
            self.error = self.error or error


class FeatureWriter:
    """A new file of features, to which structures are appended.

    Parameters
    ----------
    path : pathlib.Path
        Overwritten.

    Raises
    ------
    OSError
        By all methods, if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self._raw = SafeFile(path)
        self._file = h5py.File(self._raw, "w", libver=LIBVER)
        self.n_structures = self.n_atoms = 0
        self._examples: list[Example] = []  # to be appended
        self._waiting = 0  # atoms of these
        self._sizes: list[int] = []
        self._names: list[str] = []
        self._kinds: list[str] = []
        self._symbols: set[str] = set()
        for name, (shape, dtype) in (OF_ATOMS | OF_STRUCTURES).items():
            self._file.create_dataset(
                name, (0, *shape), f"<{dtype}", maxshape=(None, *shape), chunks=(CHUNK_ROWS, *shape)
            )

    def append(self, example: Example) -> None:
        self._examples.append(example)
        self._waiting += example.n_atoms
        self.n_structures += 1
        self.n_atoms += example.n_atoms
        if self._waiting >= ATOMS_AT_ONCE:
            self._flush()

    def finish(self, settings: dict, descriptor: str, labels, dtype, skipped) -> None:
        """Allocate the values and close the file.

        Parameters
        ----------
        settings : dict
            What the file is made from; see :mod:`torchml_core.dataset.feature_run`.
        descriptor : str
            The text of its JSON file.
        labels : list of str
            Of each value.
        dtype : np.dtype
        skipped : list of str
            Names of structures that are left out, and why.
        """
        self._flush()
        file, text = self._file, json.dumps(settings)
        file.create_dataset("offsets", data=np.cumsum([0, *self._sizes], dtype="<i8"))
        for name, words in (
            ("names", self._names),
            ("kinds", self._kinds),
            ("species", sorted(self._symbols)),
            ("labels", labels),
            ("skipped", skipped),
            ("settings", [text]),
            ("descriptor", [descriptor]),
        ):
            self._text(name, words)
        checksums = self._allocated("checksums", (self.n_structures,), np.dtype("<u8"))
        checksums[...] = 0
        self._allocated("values", (self.n_atoms, len(labels)), dtype)
        file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
        file.attrs["settings_checksum"] = settings_checksum(text, descriptor)
        file.close()
        self._raw.require_no_error()

    def close(self) -> None:
        self._file.close()
        self._raw.close()

    def _flush(self):
        if not self._examples:
            return
        self._raw.require_no_error()
        rows = [_rows(example) for example in self._examples]
        for name in OF_ATOMS:
            self._extend(name, np.concatenate([row[name] for row in rows]))
        for name in OF_STRUCTURES:
            self._extend(name, np.array([row[name] for row in rows]))
        self._sizes += [example.n_atoms for example in self._examples]
        self._names += [example.label for example in self._examples]
        self._kinds += [example.kind for example in self._examples]
        self._symbols.update(*(set(example.atoms.symbols) for example in self._examples))
        self._examples, self._waiting = [], 0

    def _extend(self, name, rows):
        dataset = self._file[name]
        dataset.resize(len(dataset) + len(rows), axis=0)
        dataset[len(dataset) - len(rows) :] = rows

    def _text(self, name, words):
        """Strings of a fixed length: those of any length are kept where no checksum guards them."""
        import h5py

        encoded = [word.encode(errors="replace").replace(b"\0", b"?") for word in words]
        kind = h5py.string_dtype("utf-8", max([1, *map(len, encoded)]))
        self._file.create_dataset(name, data=np.array(encoded, dtype=kind))

    def _allocated(self, name, shape, dtype):
        """A dataset with its place in the file; nothing is written there."""
        import h5py

        width = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
        rows = min(max(1, CHUNK_BYTES // max(width, 1)), shape[0])
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((rows, *shape[1:]))
        properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        properties.set_obj_track_times(False)  # the same contents make the same file
        space = h5py.h5s.create_simple(shape)
        made = h5py.h5d.create(
            self._file.id, name.encode(), h5py.h5t.py_create(dtype), space, properties
        )
        return h5py.Dataset(made)


def _rows(example):
    """What the file has of an example, by name; a label that is missing is NaN."""
    atoms, n = example.atoms, example.n_atoms
    forces = np.full((n, 3), np.nan) if example.forces is None else example.forces
    stress = np.full(6, np.nan) if example.stress is None else example.stress
    energy = np.nan if example.energy is None else example.energy
    own = np.float64([energy, example.weight])
    return {
        "numbers": atoms.numbers,
        "positions": atoms.positions,
        "forces": forces,
        "cells": atoms.cell.array,
        "pbc": atoms.pbc,
        "energies": energy,
        "stresses": stress,
        "weights": example.weight,
        "digests": np.frombuffer(digest(atoms), dtype="u1"),
        "label_checksums": label_checksum(atoms, forces, np.float64(stress), own),
    }
