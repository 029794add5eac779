"""Files that users name: paths checked, contents read and written, failures told as our errors."""

import contextlib
import errno
import os
import re
import secrets
import stat
from pathlib import Path

from torchml_core import checks
from torchml_core.errors import FileAccessError, FileFormatError, MissingFileError, TorchMLError

LARGEST_TEXT = 10_000_000  # bytes; the largest that are known are below a hundredth of it
SURROGATES = "surrogateescape"  # how Python keeps bytes that cannot be decoded
CONTROL = re.compile(r"[^\t\n\v\f -\x7e\x80-\U0010ffff]")  # characters that no text has


def as_path(name, value):
    """Return a path as a pathlib.Path; InputError unless it is a str or path-like that can be one.

    Parameters
    ----------
    name : str
        The argument's, for the message.
    value : object
    """
    requirement = "a path, a str or pathlib.Path,"
    try:
        path = os.fspath(value)
    except TypeError:
        checks.refuse(name, value, requirement)
    if not isinstance(path, str):
        checks.refuse(name, value, requirement)
    if not path or "\0" in path:
        checks.refuse(name, value, "a path that is not empty and has no NUL in it")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        checks.refuse(name, value, "a path that the file system can hold")
    return Path(path)


def require_file(path, what):
    """Raise an error of ours unless a path leads to a file that is no folder, pipe or device.

    Returns
    -------
    int
        Its size in bytes.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _told(error, path, what) from None
    if stat.S_ISDIR(found.st_mode):
        raise MissingFileError(f"{path}: a folder; a {what} is needed")
    if not stat.S_ISREG(found.st_mode):  # to open a pipe could last for ever
        raise FileAccessError(f"{path}: a pipe or device; a {what} is needed")
    return found.st_size


def require_readable(path, what):
    """Raise an error of ours unless a file is there and may be read."""
    require_file(path, what)
    try:
        path.open("rb").close()
    except OSError as error:
        raise _told(error, path, what) from None


def is_folder(path, what="file or folder"):
    """Return whether a path leads to a folder; raise our error if it does not exist or is closed.

    Raises
    ------
    MissingFileError, FileAccessError
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise _told(error, path, what) from None


def read_bytes(path, what):
    """Return what is in a file.

    Parameters
    ----------
    path : pathlib.Path
    what : str
        What it should be, for messages: ``.param file``.

    Raises
    ------
    MissingFileError
        If it is not there, or a folder.
    FileAccessError
        If it cannot be read.
    """
    require_file(path, what)
    try:
        return path.read_bytes()
    except OSError as error:
        raise _told(error, path, what) from None


def read_lines(path, what, largest=LARGEST_TEXT):
    """Return the lines of a text file, without their ends of any kind.

    UTF-8, with or without a byte order mark, or UTF-16 with one. Bytes that are not UTF-8 are kept
    as lone surrogates: comments may hold any, values are checked with :func:`require_text`.

    Raises
    ------
    MissingFileError, FileAccessError
        As :func:`read_bytes`.
    FileFormatError
        If it is not a text, or larger than any file of its kind.
    """
    size = require_file(path, what)
    if size > largest:
        raise FileFormatError(f"{size} bytes; a {what} of at most {largest} is needed", path)
    content = read_bytes(path, what)
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        text = content.decode("utf-16") if utf_16 else content.decode("utf-8-sig", SURROGATES)
    except UnicodeDecodeError:
        raise FileFormatError(f"not a text file; a {what} is needed", path, 1) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    found = CONTROL.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise FileFormatError(f"not a text file; a {what} is needed", path, line)
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def require_text(value, path, line):
    """Return a value that was read from a line; FileFormatError where its bytes are not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise FileFormatError(
            f"{checks.shown(value)}: text in UTF-8 is needed", path, line
        ) from None
    return value


def require_place(option, path):
    """Raise an error of ours, before long work, unless a file can be written at a path.

    Parameters
    ----------
    option : str
        Of the command, for the message.
    path : pathlib.Path
    """
    if not path.absolute().parent.is_dir():
        raise MissingFileError(f"{option} {path}: the folder to write it to does not exist")
    if path.is_fifo():  # opening it could block forever
        raise FileAccessError(f"{option} {path}: a pipe; a file is needed")


def write_text(name, value, text):
    """Write a text to the file that an argument names, in UTF-8.

    Raises
    ------
    InputError
        If the argument is not a path.
    MissingFileError
        If there is no folder to write it to.
    FileAccessError
        If it cannot be written.
    """
    _write(as_path(name, value), text.encode())


def write_bytes(name, value, content):
    """Write bytes to the file that an argument names; errors as :func:`write_text`."""
    _write(as_path(name, value), content)


def replace_bytes(name, value, content):
    """Write bytes to a file in one step: a reader gets the old ones or the new ones.

    That holds also if the process is killed meanwhile, or the machine stops. What a link leads to
    is replaced, and the file keeps its permissions.

    Raises
    ------
    InputError, MissingFileError, FileAccessError
        As :func:`write_text`.
    """
    path = as_path(name, value).absolute()
    if path.exists() and not path.is_file():
        raise FileAccessError(f"{path}: a folder, pipe or device; a file is needed")
    path = path.resolve()
    new = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        _write(new, content, durably=True)
        if path.exists():
            new.chmod(stat.S_IMODE(path.stat().st_mode))
        os.replace(new, path)
    except TorchMLError:
        raise
    except OSError as error:
        raise _told(error, path, "file") from None
    finally:
        with contextlib.suppress(OSError):
            new.unlink()


def _write(path, content, *, durably=False):
    try:
        if path.is_fifo():
            raise FileAccessError(f"{path}: a pipe; a file is needed")
        with path.open("wb") as file:
            file.write(content)
            if durably:
                file.flush()
                os.fsync(file.fileno())
    except (FileNotFoundError, NotADirectoryError):
        raise MissingFileError(f"{path}: the folder {path.parent} does not exist") from None
    except OSError as error:
        raise _told(error, path, "file") from None


def make_folder(name, value):
    """Make the folder that an argument names, and those that it is in, if need be.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    InputError
        If the argument is not a path, or that of a file.
    FileAccessError
        If it cannot be made.
    """
    path = as_path(name, value)
    try:
        path.mkdir(parents=True, exist_ok=True)
        return path
    except (FileExistsError, NotADirectoryError):
        checks.refuse(name, str(path), "the path of a folder, not of a file,")
    except OSError as error:
        raise _no_access(error, path) from None


def files_in(path, what):
    """Return the paths of the files in a folder, sorted; pipes, devices and folders are left out.

    Raises
    ------
    MissingFileError
        If it is not there, or is no folder.
    FileAccessError
        If it cannot be read.
    """
    return _entries(path, what, Path.is_file)


def folders_in(path, what):
    """Return the paths of the folders in a folder, as :func:`files_in`."""
    return _entries(path, what, Path.is_dir)


def _entries(path, what, is_wanted):
    try:
        return sorted(entry for entry in path.iterdir() if is_wanted(entry))
    except NotADirectoryError:
        raise MissingFileError(f"{path}: not a folder; {what}") from None
    except FileNotFoundError:
        raise MissingFileError(f"{path}: no such folder; {what}") from None
    except OSError as error:
        raise _no_access(error, path) from None


def _told(error, path, what):
    """The error of ours for one of the operating system."""
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return MissingFileError(f"{path}: there is no such file; a {what} is needed")
    return _no_access(error, path)


def _no_access(error, path):
    if isinstance(error, FileAccessError):
        return error
    name = checks.shown(str(path)) if error.errno == errno.ENAMETOOLONG else path
    return FileAccessError(f"{name}: {error.strerror or error}")
