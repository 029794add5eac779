"""Structures from files, one at a time, each with a label that identifies it."""

import contextlib
import itertools
import lzma
import os
import shutil
import sys
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

from ase import Atoms
from ase.io import iread
from ase.io.formats import (
    UnknownFileTypeError,
    filetype,
    ioformats,
    open_with_compression,
    string2index,
)

from torchml_core.errors import InputError, MissingFileError, TorchMLError
from torchml_core.structure_files.frames import BadFrameError, parse_frame, scan_frames, told

COMPRESSED = {".gz", ".bz2", ".xz"}
STDIN = "-"
UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)  # those of compressed files too


class Item(NamedTuple):
    """A structure of a file, or the error in its place.

    Attributes
    ----------
    label : str
        ``file@index``, index counted in the file; ``file`` for what concerns all of it.
    structure : ase.Atoms or TorchMLError
    line : int or None
        Where in the file it begins, or the line that is wrong, if that is known.
    """

    label: str
    structure: Atoms | TorchMLError
    line: int | None = None

    @property
    def place(self):
        """What a message about it begins with."""
        return self.label if self.line is None else f"{self.label} (line {self.line})"

    def atoms(self):
        """Return the structure, or raise the error with its place."""
        if isinstance(self.structure, TorchMLError):
            missing = isinstance(self.structure, MissingFileError)
            kind = MissingFileError if missing else InputError
            raise kind(f"{self.place}: {self.structure}")
        return self.structure


def read_structures(sources):
    """Yield an Item for each structure of files as they are read, and for what cannot be read.

    Parameters
    ----------
    sources : iterable of str
        Files that ASE can read, each with ASE's index after ``@`` if only some of its structures
        are meant: ``file@0:10``, ``file@-1``. If a file with the whole name exists, including
        ``@``, it is read. ``-`` is an extended XYZ file from standard input.

    Notes
    -----
    A frame of an (extended) XYZ file that cannot be read gives one such item, and reading continues
    with the next frame. In other formats it continues only if ASE's reader can start after the
    error.
    """
    for source in sources:
        try:
            path, index = split_source(source)
        except TorchMLError as error:
            yield Item(source, error)
            continue
        item = None
        try:
            for item in (_read_xyz if is_xyz(path) else _read_others)(path, index):
                yield item
        except UNREADABLE as error:
            after = "" if item is None else f" after {item.label}"
            yield Item(path, InputError(f"cannot be read{after}: {error}"))
            continue
        if item is None:
            selected = "" if index is None else " at this index"
            yield Item(path, InputError(f"no structures in it{selected}"))


def count_structures(sources):
    """Return how many structures files hold, or None where only reading them all would tell."""
    total = 0
    for source in sources:
        try:
            path, index = split_source(source)
            if isinstance(index, int):
                total += 1
            elif is_xyz(path) and path != STDIN:
                total += len(range(_count_frames(path))[slice(None) if index is None else index])
            else:
                return None
        except Exception:  # errors are reported when the file is read
            return None
    return total


def split_source(source):
    """Return the path and the index (None, int, slice, or str: a database's) of a source.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InputError
        If the text after ``@`` is not an index.
    """
    name, at, index = source.rpartition("@")
    if not at or os.sep in index or Path(source).exists():
        name, index = source, None
    if name != STDIN and not Path(name).is_file():
        raise MissingFileError(
            "a folder; a file of structures is needed" if Path(name).is_dir() else "no such file"
        )
    if index is None:
        return name, None
    try:
        return name, string2index(index)
    except ValueError as error:
        raise InputError(f"@{index}: a number, or start:stop:step, is needed after @") from error


def is_xyz(path):
    """Whether a file is in (extended) XYZ format, from its name; standard input always is."""
    suffixes = Path(path).suffixes
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return path == STDIN or (bool(suffixes) and suffixes[-1] in {".xyz", ".extxyz"})


# ---- (extended) XYZ


def _read_xyz(path, index):
    if path == STDIN and not _forward(index):
        yield Item(path, InputError("an index from the end needs a file, not a stream"))
        return
    for frame in _selected_frames(path, index):
        label = f"{path}@{frame.place}"
        try:
            yield Item(label, parse_frame(frame), frame.line)
        except BadFrameError as error:
            yield Item(label, error, error.line)


def _selected_frames(path, index):
    """The frames of a file that ASE's index selects."""
    if isinstance(index, int):
        index = slice(index, index + 1 if index != -1 else None)
    index = slice(None) if index is None else index
    if _forward(index):
        with _opened(path) as file:
            yield from itertools.islice(scan_frames(file), index.start, index.stop, index.step)
        return
    places = range(_count_frames(path))[index]
    with _opened(path) as file:
        frames = (frame for frame in scan_frames(file) if frame.place in places)
        yield from frames if places.step > 0 else reversed(list(frames))


def _forward(index):
    """Whether structures can be selected in the order in which they are read."""
    if not isinstance(index, slice):
        return index is None or (isinstance(index, int) and index >= 0)
    return all(n is None or n >= 0 for n in (index.start, index.stop)) and (index.step or 1) > 0


def _count_frames(path):
    with _opened(path) as file:
        return sum(1 for _ in scan_frames(file))


@contextlib.contextmanager
def _opened(path):
    """A file's lines, as bytes."""
    if path == STDIN:
        yield sys.stdin.buffer
        return
    with open_with_compression(path, "rb") as file:
        yield file


# ---- other formats


def _read_others(path, index):
    """Structures that ASE reads; after an error, the next one if ASE's reader can start there."""
    label, fault, any_read = path, None, False
    with _plain(path) as plain:
        structures = iread(plain, index=index, do_not_split_by_at_sign=True)
        for place in _places(index):
            found = _next(structures)
            if fault is not None:
                stuck = str(found) == str(fault)
                if stuck and any_read:
                    fault = InputError(f"{fault}; ASE cannot read what follows, which is left out")
                yield Item(label if any_read or not stuck else path, fault)
                fault = None
                if stuck:
                    return
            if found is None:
                return
            label = f"{path}@{place}"
            if isinstance(found, Atoms):
                any_read = True
                yield Item(label, found)
            else:
                fault, structures = found, _read_behind(plain, place, index, found)


def _read_behind(path, place, index, fault):
    """Structures after one that cannot be read; the same error if none can be reached."""
    if isinstance(index, int) or _holds_one(path):
        return iter(())
    if not _forward(index):
        return iter([fault])
    index = slice(None) if index is None else index
    rest = slice(place + (index.step or 1), index.stop, index.step)
    return iread(path, index=rest, do_not_split_by_at_sign=True)


def _next(structures):
    """The next structure, None at the end, or an error."""
    try:
        return next(structures, None)
    except Exception as error:  # ASE's readers may raise anything
        return InputError(told(error))


def _holds_one(path):
    """Whether a file can hold one structure only, by its format."""
    try:
        return ioformats[filetype(path)].single
    except UnknownFileTypeError:
        return False


@contextlib.contextmanager
def _plain(path):
    """The path of a file, or of a temporary file with its uncompressed content.

    ASE's readers go back and forth in a file, which in a compressed one means unpacking it again
    each time: thirty times slower for a file of 750 structures.
    """
    if Path(path).suffix not in COMPRESSED:
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="torchml-core-") as folder:
        plain = Path(folder) / Path(path).stem
        with open_with_compression(path, "rb") as packed, plain.open("wb") as unpacked:
            shutil.copyfileobj(packed, unpacked)
        yield str(plain)


def _places(index):
    """Indices of structures in their file, or in the selection if it counts from the end."""
    if index is None or isinstance(index, str):
        return itertools.count()
    if isinstance(index, int):
        return itertools.chain([index], itertools.count(index + 1))
    start, step = index.start or 0, 1 if index.step is None else index.step
    if start >= 0 and step > 0:
        return itertools.count(start, step)
    bounds = [index.start, index.stop, *([] if index.step is None else [index.step])]
    text = ":".join("" if bound is None else str(bound) for bound in bounds)
    return (f"{text}[{k}]" for k in itertools.count())
