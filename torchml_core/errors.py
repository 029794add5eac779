"""The errors of this library: each also subclasses the matching built-in exception."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torchml_core.annotations import PathLike


class TorchMLError(Exception):
    """Base of every error that torchml_core raises on purpose.

    All of them can be pickled and copied, so that they come back from other processes.
    """

    def __reduce__(self):
        # Python's own way calls the class with args: it fails where the parameters are others
        return _remade, (type(self), self.args), self.__dict__ or None


class ModelWarning(UserWarning):
    """A model can be used, but what it computes is probably not what is wanted."""


class InputError(TorchMLError, ValueError):
    """An argument has a value that cannot be used; the message names it and what would be right."""


class FileFormatError(TorchMLError, ValueError):
    """A file does not follow its format; the message begins with ``file:line:``.

    Parameters
    ----------
    message : str
        What is wrong, and what would be right.
    path : path-like
        The file.
    line : int, optional
        Its line, counted from 1.
    """

    def __init__(self, message: str, path: PathLike, line: int | None = None) -> None:
        self.path, self.line = path, line
        super().__init__(f"{path}{'' if line is None else f':{line}'}: {message}")


class MissingFileError(TorchMLError, FileNotFoundError):
    """A file or folder that is needed does not exist."""


class FileAccessError(TorchMLError, OSError):
    """A file exists but cannot be read or written: a folder, a pipe, permissions, a full disk."""


class ModelError(TorchMLError, RuntimeError):
    """A model cannot be loaded or run, or returns values that cannot be used."""


class ExtrapolationError(TorchMLError, ValueError):
    """A descriptor's value is outside of the training range, and the caller wanted to stop then."""


class ExtrapolationWarning(UserWarning):
    """A value of a descriptor is outside of the model's training range."""


class UnsupportedError(TorchMLError, NotImplementedError):
    """The request is not available for this model or convention; the message says why."""


class InstallationError(TorchMLError, RuntimeError):
    """A program or library outside of this one is missing or failed; the message says which."""


def _remade(kind, args):
    error = kind.__new__(kind, *args)
    error.args = args
    return error
