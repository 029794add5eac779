"""Structures from files, one at a time, each with a name that finds it again."""

import contextlib
import itertools
import os
import shutil
import tempfile
from pathlib import Path

from ase.io import iread
from ase.io.formats import open_with_compression, string2index

from torchml_core.errors import InputError, MissingFileError, TorchMLError

COMPRESSED = {".gz", ".bz2", ".xz"}


def read_structures(sources):
    """Yield the structures of files as they are read, and what cannot be read as errors.

    Parameters
    ----------
    sources : iterable of str
        Files that ASE reads, each with ASE's index after ``@`` if only some of its structures
        are meant: ``file@0:10``, ``file@-1``. A file that is there by the whole name, ``@``
        and all, is that file.

    Yields
    ------
    label : str
        ``file@index``, index counted in the file; ``file`` for what concerns all of it.
    structure : ase.Atoms or TorchMLError
        After an error the next file follows.
    """
    for source in sources:
        try:
            path, index = split_source(source)
        except TorchMLError as error:
            yield source, error
            continue
        yield from _read_file(path, index)


def count_structures(sources):
    """Return how many structures files hold, or None where only reading them all would tell."""
    total = 0
    for source in sources:
        try:
            path, index = split_source(source)
            if isinstance(index, int):
                total += 1
                continue
            n = _count_xyz(path)
            total += len(range(n)[slice(None) if index is None else index])
        except Exception:  # whatever is wrong with the file is told when it is read
            return None
    return total


def split_source(source):
    """Return the path and the index (None, int, slice, or str: a database's) of a source.

    Raises
    ------
    MissingFileError
        If there is no such file.
    InputError
        If what follows ``@`` is no index.
    """
    name, at, index = source.rpartition("@")
    if not at or os.sep in index or Path(source).exists():
        name, index = source, None
    if not Path(name).is_file():
        raise MissingFileError(
            "a folder; a file of structures is needed" if Path(name).is_dir() else "no such file"
        )
    if index is None:
        return name, None
    try:
        return name, string2index(index)
    except ValueError as error:
        raise InputError(f"index {index!r} after @: a number, or start:stop:step") from error


def _read_file(path, index):
    structures = _read(path, index)
    label = None
    for place in _places(index):
        try:
            atoms = next(structures)
        except StopIteration:
            break
        except Exception as error:  # ASE's readers raise whatever they stumble on
            where = path if label is None else f"{path}@{place}"
            yield where, InputError(f"ASE cannot read it: {type(error).__name__}: {error}")
            return
        label = f"{path}@{place}"
        yield label, atoms
    if label is None:
        selected = "" if index is None else " at this index"
        yield path, InputError(f"no structures in it{selected}")


def _read(path, index):
    """ASE's iread, of compressed files by way of a temporary one that is not.

    ASE's readers go back and forth in a file, which in a compressed one means to unpack it anew
    each time: thirty times slower for a file of 750 structures.
    """
    with contextlib.ExitStack() as stack:
        if Path(path).suffix in COMPRESSED:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="torchml-core-"))
            plain = Path(folder) / Path(path).stem
            with open_with_compression(path, "rb") as packed, plain.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked)
            path = str(plain)
        yield from iread(path, index=index, do_not_split_by_at_sign=True)


def _places(index):
    """Where in their file structures stand; counted in the selection if it goes from the end."""
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


def _count_xyz(path):
    """Number of frames of an (extended) XYZ file, which is quick: nothing is parsed."""
    if not {".xyz", ".extxyz"} & set(Path(path).suffixes[-2:]):
        raise InputError("only XYZ files are counted before they are read")
    n_frames = 0
    with open_with_compression(path, "r") as file:
        while (header := file.readline()).strip():
            for _ in range(int(header) + 1):
                file.readline()
            n_frames += 1
    return n_frames
