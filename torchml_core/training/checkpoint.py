"""Checkpoint: everything that a training needs to go on, in one file."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks, files
from torchml_core.errors import FileFormatError, InputError, UnsupportedError

if TYPE_CHECKING:
    from typing import Any

    from torchml_core.annotations import PathLike
    from torchml_core.dataset import Dataset

HEADER = b"torchml_core checkpoint 1\n"  # followed by the SHA-256 of the rest, and the rest
WHAT = "checkpoint of a training"
SECONDS_BETWEEN = 3.0


class Checkpoint:
    """The file of a training's state, and what the training was started with.

    Parameters
    ----------
    path : path-like
    settings : dict of str to str
        The name of each setting, and a text that differs where the setting does.
    """

    def __init__(self, path: PathLike, settings: Mapping[str, str]) -> None:
        self.path = files.as_path("checkpoint", path)
        files.require_place("checkpoint", self.path)
        self._settings = dict(settings)
        self._last: float | None = None  # when it was written

    def read(self) -> dict[str, Any] | None:
        """Return the state, or None if there is no file yet.

        Raises
        ------
        FileFormatError
            If the file is not a whole checkpoint.
        InputError
            If the training was started with other settings.
        """
        if not self.path.exists():
            return None
        content = files.read_bytes(self.path, WHAT)
        start = len(HEADER) + 64
        if not content.startswith(HEADER):
            raise FileFormatError(f"not a file of its kind; a {WHAT} is needed", self.path)
        if content[len(HEADER) : start] != _checksum(content[start:]):
            raise FileFormatError(f"truncated or changed; a whole {WHAT} is needed", self.path)
        stored = self._loaded(content[start:])
        self._check(stored["settings"])
        return stored["state"]

    def write(self, state: Mapping[str, Any], *, at_once: bool = True) -> None:
        """Replace the file in one step.

        Parameters
        ----------
        state : dict
            Tensors, numbers, texts, and lists and dicts of them.
        at_once : bool
            False: only if the last time is some seconds ago.
        """
        now = time.monotonic()
        if not at_once and self._last is not None and now - self._last < SECONDS_BETWEEN:
            return
        file = io.BytesIO()
        torch.save({"settings": self._settings, "state": state}, file)
        content = file.getvalue()
        if self._last is None:  # what cannot be read again is no checkpoint
            try:
                self._loaded(content)
            except FileFormatError as error:
                raise UnsupportedError(
                    f"checkpoint: {error}; an optimizer with a state of tensors, numbers and texts"
                    " is needed"
                ) from None
        files.replace_bytes("checkpoint", str(self.path), HEADER + _checksum(content) + content)
        self._last = now

    def _loaded(self, content):
        try:
            return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
        except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
            raise FileFormatError(
                f"not readable: {str(error).splitlines()[0]}", self.path
            ) from None

    def _check(self, stored):
        for name, text in self._settings.items():
            if stored.get(name) != text:
                raise InputError(
                    f"checkpoint {self.path}: its training had {name}"
                    f" {checks.shown(stored.get(name))}, not {checks.shown(text)}; the same, or the"
                    " path of a new file, is needed"
                )


def data_text(data: Dataset) -> str:
    """Return a text for a data set: its sizes, and a checksum of all structures and labels."""
    total = hashlib.sha256()
    for example in data:
        atoms = example.atoms
        arrays = [atoms.numbers, atoms.positions, atoms.cell.array, atoms.pbc]
        labels = [example.energy, example.forces, example.stress, example.weight]
        for array in [*arrays, *labels]:
            found = np.zeros(0) if array is None else np.ascontiguousarray(array, dtype=np.float64)
            total.update(f"{found.shape}".encode() + found.tobytes())
        total.update(example.kind.encode() + b"\0")
    return f"{len(data)} structures, {total.hexdigest()[:16]}"


def setting_text(value: Any) -> str:
    """Return a text for the value of a setting; functions and classes are known by their names."""
    if isinstance(value, partial):
        given = [*value.args, *sorted(value.keywords.items())]
        return f"{setting_text(value.func)}, {setting_text(given)}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {setting_text(own)}" for name, own in sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return ", ".join(map(setting_text, value))
    if isinstance(value, str):
        return value
    name = getattr(value, "__qualname__", None)
    return repr(value) if name is None else f"{value.__module__}.{name}"


def network_text(network: torch.nn.Module) -> str:
    """Return a text for a network: its structure and its parameters' names, types and shapes."""
    parts = [str(network)]
    for name, p in network.named_parameters():
        parts.append(f"{name} {p.dtype} {tuple(p.shape)} {p.requires_grad}")
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return f"{type(network).__name__} {digest}"


def descriptor_text(descriptor: Any) -> str:
    """Return a text for a descriptor."""
    digest = hashlib.sha256(repr(descriptor._settings()).encode()).hexdigest()[:16]
    return f"{type(descriptor).__name__} {digest}"


def _checksum(content):
    return hashlib.sha256(content).hexdigest().encode()
