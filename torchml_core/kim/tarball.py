"""The tarball of a portable model, as KLIFF's ``save_kim_model`` writes it, unpacked safely.

Its contents are not trusted: only a model's own files are written, by their last name, into the
given folder, and their total size is limited.
"""

import bz2
import gzip
import lzma
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path, PurePosixPath

from torchml_core import files
from torchml_core.checks import shown
from torchml_core.errors import FileFormatError, MissingFileError
from torchml_core.portable.folder import is_model_file

LARGEST, MOST_MEMBERS = 2**30, 10_000  # bytes, unpacked
BLOCK = 2**20
COMPRESSIONS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\0": lzma.open}
# Exceptions of Python's modules for contents that are damaged, perhaps on purpose.
DAMAGED = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, OSError, ValueError)


def unpack(path, folder):
    """Unpack the files of a portable model from a tarball.

    Parameters
    ----------
    path : pathlib.Path
        A ``.tar``, as it is or compressed by gzip, bzip2 or xz.
    folder : pathlib.Path
        The folder to unpack to; it must exist and be empty.

    Returns
    -------
    str
        The name of the folder in the tarball that held them, or of the tarball where none did.

    Raises
    ------
    MissingFileError, FileAccessError
        There is no such file, or no model in it.
    FileFormatError
        It is not a tarball, is damaged, unpacks to more than 1 GiB, or contains what a model's
        tarball must not contain: paths that lead out of it, links, files of several models.
    """
    files.require_file(path, "tarball of a portable model")
    with tempfile.TemporaryFile() as plain:
        try:
            _decompress(path, plain)
            return _unpack(path, plain, folder)
        except DAMAGED as error:
            if isinstance(error, (FileFormatError, MissingFileError)):
                raise
            raise FileFormatError(
                f"a tarball that is not damaged is needed: {error}", path
            ) from None


def _decompress(path, plain):
    """Write what is in the file, decompressed, to another one, up to LARGEST."""
    with path.open("rb") as file:
        head = file.read(8)
    opened = next((f for mark, f in COMPRESSIONS.items() if head.startswith(mark)), open)
    n_bytes = 0
    with opened(path, "rb") as compressed:
        while block := compressed.read(BLOCK):
            n_bytes += len(block)
            if n_bytes > LARGEST:
                raise _too_large(path)
            plain.write(block)
    plain.seek(0)


def _unpack(path, plain, folder):
    parents = set()
    with tarfile.open(fileobj=plain, mode="r:") as tar:
        for k, member in enumerate(tar):
            inside = PurePosixPath(member.name)
            if k >= MOST_MEMBERS or member.size > LARGEST:
                raise _too_large(path)
            if inside.is_absolute() or ".." in inside.parts:
                raise FileFormatError(
                    f"{shown(member.name)}: a path inside of the tarball is needed", path
                )
            if not is_model_file(inside.name) or inside.name.startswith("."):
                continue
            if member.isdir():
                continue
            if not member.isreg():
                raise FileFormatError(
                    f"{shown(member.name)}: a regular file, not a link, is needed", path
                )
            parents.add(inside.parent)
            target = folder / inside.name
            if len(parents) > 1 or target.exists():
                message = "a single model in one folder, with each file once, is needed"
                raise FileFormatError(f"{shown(member.name)}: {message}", path)
            with tar.extractfile(member) as source, target.open("xb") as copy:
                shutil.copyfileobj(source, copy, BLOCK)
    if not parents:
        raise MissingFileError(f"{path}: it contains no portable model")
    return parents.pop().name or Path(path).name.partition(".")[0]


def _too_large(path):
    return FileFormatError(
        f"it unpacks to more than {LARGEST >> 30} GiB or {MOST_MEMBERS} files; if you trust it,"
        " unpack it yourself and give the folder instead",
        path,
    )
