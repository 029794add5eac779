"""FeatureFile: values of a descriptor for many structures, read from an HDF5 file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks, files
from torchml_core.dataset.example import Example
from torchml_core.dataset.feature_layout import (
    COMMITTED,
    FORMAT,
    OF_ATOMS,
    OF_STRUCTURES,
    OTHERS,
    VERSION,
    checksum,
    digest,
    label_checksum,
    settings_checksum,
)
from torchml_core.dataset.feature_rows import Rows
from torchml_core.descriptors.json_file import read_json
from torchml_core.errors import FileFormatError, InputError, TorchMLError

if TYPE_CHECKING:
    from typing import Any

    from torchml_core.annotations import Array, Floats, PathLike
    from torchml_core.dataset.dataset import Dataset
    from torchml_core.descriptors.base import Descriptor

WHAT = "file of features"


class FeatureFile:
    """Values of a descriptor for many structures, in a file that :func:`featurize` made.

    Values are read when they are used, and compared with their checksums then. A FeatureFile can be
    used in a ``with`` statement, and pickled: the copy opens the file again.

    Parameters
    ----------
    path : path-like

    Attributes
    ----------
    path : pathlib.Path
    dtype : np.dtype
        float64 or float32.
    width : int
    labels : list of str
        Of each value.
    species : tuple of str
        Elements in the structures, in alphabetical order.
    names : list of str
        ``file@index`` of each structure.
    kinds : list of str
        See :class:`Example`.
    offsets : (n_structures + 1,) int64
        Rows ``offsets[k]`` up to ``offsets[k + 1]`` are those of structure k.
    skipped : list of str
        Names of structures that were left out, and why.
    settings : dict
        What the file was made from, besides the descriptor.
    descriptor_text : str
        The JSON file of the descriptor.

    Raises
    ------
    MissingFileError, FileAccessError
        If the file is not there, or cannot be read.
    FileFormatError
        If it is not such a file, or is damaged.

    Examples
    --------
    >>> features = tm.dataset.FeatureFile("features.h5")                  # doctest: +SKIP
    >>> features.values(0).shape                                          # doctest: +SKIP
    (64, 51)
    >>> features.values(slice(0, 10)).shape                               # doctest: +SKIP
    (640, 51)
    """

    def __init__(self, path: PathLike) -> None:
        self.path = files.as_path("path", path)
        files.require_file(self.path, WHAT)
        self._descriptor: Descriptor | None = None
        self._places: dict[bytes, int] | None = None
        self._open()

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor; InputError or FileFormatError if its kind is not registered."""
        if self._descriptor is None:
            self._descriptor = read_json(self.path, None, self.descriptor_text.split("\n"))
        return self._descriptor

    @property
    def complete(self) -> bool:
        """Whether the values of all structures are there."""
        return bool(self.array("checksums").all())

    @property
    def n_atoms(self) -> int:
        """Number of atoms of all structures."""
        return int(self.offsets[-1])

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.offsets) - 1

    def values(self, which: int | slice) -> Floats:
        """Return the values of a structure, or of several one after another.

        Parameters
        ----------
        which : int or slice
            Without a step.

        Returns
        -------
        (n_atoms, width) array of dtype

        Raises
        ------
        InputError
            If there is no such structure, or its values have not been computed yet.
        FileFormatError
            If values are not those that were written.
        """
        if not isinstance(which, slice):
            first = self._place(which)
            end = first + 1
        else:
            first, end, step = which.indices(len(self))
            if step != 1:
                checks.refuse("which", which, "a slice without a step")
            end = max(first, end)
        offsets = self.offsets[first : end + 1] - self.offsets[first]
        rows = self._read("values", slice(self.offsets[first], self.offsets[end]))
        records = self._read("checksums", slice(first, end))
        for k, record in enumerate(records.tolist()):
            if not record:
                raise InputError(
                    f"{self.path}: the values of structure {first + k} are not there yet; a file"
                    " that is complete is needed (featurize --resume)"
                )
            if record != COMMITTED | checksum(rows[offsets[k] : offsets[k + 1]]):
                raise self._error(
                    f"values of structure {first + k} ({self.names[first + k]}) are damaged"
                )
        return rows

    def example(self, k: int) -> Example:
        """Return a structure with its labels.

        Raises
        ------
        InputError
            If there is no such structure.
        FileFormatError
            If they are not what was written.
        """
        import ase

        k = self._place(k)
        own = slice(self.offsets[k], self.offsets[k + 1])
        found = {name: self._read(name, own) for name in OF_ATOMS}
        found |= {name: self._read(name, k) for name in OF_STRUCTURES}
        atoms = ase.Atoms(
            found["numbers"], found["positions"], cell=found["cells"], pbc=found["pbc"]
        )
        energy, weight = float(found["energies"]), float(found["weights"])
        forces, stress = found["forces"], found["stresses"]
        known = label_checksum(atoms, forces, stress, np.array([energy, weight]))
        if known != found["label_checksums"]:
            raise self._error(f"structure {k} ({self.names[k]}) is damaged")
        return Example(
            atoms,
            self.names[k],
            self.kinds[k],
            energy=None if np.isnan(energy) else energy,
            forces=None if np.isnan(forces).any() else forces,
            stress=None if np.isnan(stress).any() else stress,
            weight=weight,
        )

    def dataset(self) -> Dataset:
        """Return the structures and their labels as a Dataset, whose batches use these values."""
        from torchml_core.dataset.dataset import Dataset

        return Dataset([self.example(k) for k in range(len(self))]).with_features(self)

    def place_of(self, example: Example) -> int:
        """Return which structure of the file an example is, by its atoms and cell.

        Raises
        ------
        InputError
            If it is none of them.
        """
        if self._places is None:
            self._places = {d.tobytes(): k for k, d in enumerate(self.array("digests"))}
        k = self._places.get(digest(example.atoms))
        if k is None:
            raise InputError(
                f"features: {self.path} has no structure with the atoms of {example.label}; a file"
                " that was made from the same data is needed"
            )
        return k

    def require(self, descriptor: Descriptor, dtype: np.dtype) -> None:
        """Raise InputError unless these are values of a descriptor, and as precise as a dtype."""
        if self.descriptor != descriptor:
            raise InputError(
                f"features: {self.path} has values of {self.descriptor!r}; those of {descriptor!r}"
                " are needed"
            )
        if self.dtype.itemsize < dtype.itemsize:
            raise InputError(
                f"features: {self.path} has values in {self.dtype}; {dtype} is needed, or"
                " dtype='float32'"
            )

    def require_complete(self) -> None:
        """Raise InputError unless the values of all structures are there."""
        n = len(self) - np.count_nonzero(self.array("checksums"))
        if n:
            raise InputError(
                f"features: {self.path} lacks the values of {n} structures; a complete file is"
                " needed, which featurize with --resume makes of it"
            )

    def array(self, name: str) -> Array:
        """Return all of an array of the file, such as ``energies``; see docs/featurize.md."""
        checks.one_of("name", name, (*OF_ATOMS, *OF_STRUCTURES, *OTHERS))
        return self._read(name, slice(None))

    def rows(self, name: str) -> Rows:
        """Return where the rows of an array are in the file."""
        try:
            return Rows(self._file[name])
        except Exception as error:
            raise self._error(f"{name} cannot be written to: {error}") from None

    def close(self) -> None:
        """Close the file; what has been read stays."""
        self._file.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __reduce__(self):
        return FeatureFile, (self.path,)

    def __repr__(self):
        return (
            f"<FeatureFile: {len(self)} structures, {self.n_atoms} atoms of"
            f" {' '.join(self.species)}, {self.width} values in {self.dtype}>"
        )

    # ----

    def _open(self) -> None:
        import h5py

        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            files.require_readable(self.path, WHAT)
            raise self._error(f"cannot be opened as an HDF5 file ({error})") from None
        try:
            self._read_head()
        except TorchMLError:
            self.close()
            raise
        except Exception as error:  # h5py raises whatever it meets in a damaged file
            self.close()
            raise self._error(f"damaged ({type(error).__name__}: {error})") from None

    def _read_head(self) -> None:
        file = self._file
        found, version = file.attrs.get("format"), file.attrs.get("version")
        if found != FORMAT:
            raise self._error(f"format = {checks.shown(found)}: {FORMAT!r} is needed")
        if version != VERSION:
            raise self._error(
                f"version = {checks.shown(version)}: {VERSION}, the only version known here, is"
                " needed"
            )
        text, self.descriptor_text = self._text("settings")[0], self._text("descriptor")[0]
        if settings_checksum(text, self.descriptor_text) != file.attrs["settings_checksum"]:
            raise self._error("settings do not have the checksum that the file says")
        self.settings: dict[str, Any] = json.loads(text)
        self.names, self.kinds = self._text("names"), self._text("kinds")
        self.labels, self.skipped = self._text("labels"), self._text("skipped")
        self.species = tuple(self._text("species"))
        self.offsets = file["offsets"][...]
        self._check_shapes()
        self.width = len(self.labels)
        self.dtype = file["values"].dtype

    def _check_shapes(self):
        offsets, n = self.offsets, len(self.names)
        if offsets.shape != (n + 1,) or offsets[0] != 0 or (np.diff(offsets) < 1).any():
            raise self._error("offsets do not ascend from 0, one for each of the names")
        n_rows = dict.fromkeys(OF_ATOMS, offsets[-1]) | dict.fromkeys(OF_STRUCTURES, n)
        wanted = {
            name: ((n_rows[name], *shape), (f"<{dtype}",))
            for name, (shape, dtype) in (OF_ATOMS | OF_STRUCTURES).items()
        }
        wanted["kinds"] = (n,), None
        wanted["checksums"] = (n,), ("<u8",)
        wanted["values"] = (offsets[-1], len(self.labels)), ("<f8", "<f4")
        for name, (shape, dtypes) in wanted.items():
            found = self._file[name]
            if found.shape != shape or (dtypes and found.dtype.str not in map(_plain, dtypes)):
                raise self._error(
                    f"{name} is of shape {found.shape} and dtype {found.dtype}; {shape} and"
                    f" {' or '.join(dtypes or ['text'])} are needed"
                )

    def _text(self, name):
        return [str(word) for word in self._file[name].asstr()[...]]

    def _read(self, name, where):
        if not self._file:
            raise InputError(f"{self.path}: this FeatureFile is closed; an open one is needed")
        try:
            return self._file[name][where]
        except Exception as error:
            raise self._error(f"{name} cannot be read ({error})") from None

    def _place(self, k):
        return range(len(self))[checks.whole("which", k, -len(self), len(self) - 1)]

    def _error(self, message):
        return FileFormatError(f"{message}; a {WHAT} is needed", self.path)


def as_features(features: FeatureFile | PathLike) -> FeatureFile:
    """Return a FeatureFile, of itself or of a path."""
    if isinstance(features, FeatureFile):
        return features
    return FeatureFile(files.as_path("features", features))


def _plain(dtype):
    return np.dtype(dtype).str
