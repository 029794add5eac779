"""The folder of a run: its state, results of stages, and the model, each replaced in one step."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import shutil
from typing import TYPE_CHECKING

import torch
import yaml

from torchml_core import files
from torchml_core.errors import FileFormatError, InputError

if TYPE_CHECKING:
    from pathlib import Path

MODEL, STATE, SETTINGS = "model", "run.json", "settings.yaml"
PARTS = "run"  # the folder of what only a resumed run needs
FREE = ("output", "time_limit", "threads")  # what a resumed run may have otherwise
EXCHANGE, HERE = 2, -100  # RENAME_EXCHANGE, AT_FDCWD


class RunFolder:
    """The output of a run.

    Parameters
    ----------
    path : Path
    settings : Settings
    digests : dict of str to str
        A checksum of each file of data or descriptor.
    resume : bool
        Whether to go on with a run that has been interrupted.

    Attributes
    ----------
    model : Path
        The portable model.
    state : dict
        What is known so far: "stages" by name, "seconds" of all processes.

    Raises
    ------
    InputError
        If the folder is not empty and resume is False; or the run in it had other settings or data.
    """

    def __init__(self, path: Path, settings, digests, resume: bool) -> None:
        self.path, self.model, self._parts = path, path / MODEL, path / PARTS
        own = settings.model_dump(mode="json")
        self.state: dict = {"settings": own, "files": digests, "seconds": 0.0, "stages": {}}
        there = self._parts / STATE
        if resume and there.is_file():
            earlier = _read_state(there)
            _require_same(path, earlier, self.state)
            self.state = earlier
        elif path.exists() and (not path.is_dir() or any(path.iterdir())) and not there.is_file():
            if not path.is_dir() or not resume or not _only_begun(path):
                raise InputError(f"output = {str(path)!r}: an empty or new folder is needed")
        elif there.is_file():
            raise InputError(
                f"output = {str(path)!r}: it has the results of a run; a new folder is needed, or"
                " --resume to go on with that run"
            )
        files.make_folder("output", self._parts)
        for left in self.path.glob(f".{MODEL}.*"):
            shutil.rmtree(left)
        self._write(path / SETTINGS, settings.text().encode())
        self.save_state()

    def part(self, name: str) -> Path:
        return self._parts / name

    def save_state(self) -> None:
        text = json.dumps(self.state, indent=1, ensure_ascii=False)
        self._write(self._parts / STATE, text.encode())

    def save_tensors(self, name: str, tensors: dict) -> None:
        """Store what torch.save can; a reader finds all of it or nothing."""
        new = self._parts / f".{name}.new"
        torch.save(tensors, new)
        os.replace(new, self._parts / name)

    def load_tensors(self, name: str):
        return torch.load(self._parts / name, weights_only=True)

    def publish(self, write) -> None:
        """Let ``write(folder)`` make a model and put it in the place of the present one."""
        new = self.path / f".{MODEL}.{os.getpid()}"
        shutil.rmtree(new, ignore_errors=True)
        write(new)
        if self.model.exists():
            _exchange(new, self.model)
            shutil.rmtree(new, ignore_errors=True)
        else:
            os.rename(new, self.model)

    def write_text(self, name: str, text: str) -> None:
        self._write(self.path / name, text.encode())

    def _write(self, path, content):
        new = path.with_name(f".{path.name}.new")
        files.write_bytes("output", str(new), content)
        os.replace(new, path)


def digest(path: Path) -> str:
    """Return a checksum of a file."""
    return hashlib.sha256(files.read_bytes(path, "file")).hexdigest()[:16]


def _read_state(path):
    try:
        state = json.loads(files.read_bytes(path, "state of a run"))
        if {"settings", "files", "seconds", "stages"} <= set(state):
            return state
    except (ValueError, TypeError):
        pass
    raise FileFormatError("not the state of a run; another output folder is needed", path)


def _require_same(path, earlier, now):
    was, has = _flat(earlier["settings"]), _flat(now["settings"])
    for name in sorted(was.keys() | has.keys()):
        if was.get(name) != has.get(name) and name not in FREE:
            raise InputError(
                f"--resume: the run in {path} had {name} ="
                f" {_shown(was.get(name))}, not {_shown(has.get(name))}; the same settings, or"
                " another output folder, are needed"
            )
    if earlier["files"] != now["files"]:
        changed = [
            name
            for name in sorted({*earlier["files"], *now["files"]})
            if earlier["files"].get(name) != now["files"].get(name)
        ]
        raise InputError(
            f"--resume: {changed[0]} is not what it was when the run in {path} began; the same"
            " file, or another output folder, is needed"
        )


def _flat(settings, prefix=""):
    found = {}
    for name, value in settings.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _shown(value):
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def _only_begun(path):
    """Whether a folder has only what a run that was killed at once may leave."""
    return all(p.name in (PARTS, SETTINGS, f".{SETTINGS}.new") for p in path.iterdir())


def _exchange(new, old):
    """Exchange two folders, in one step where the system can."""
    with contextlib.suppress(AttributeError, OSError):
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        if renameat2(HERE, os.fsencode(new), HERE, os.fsencode(old), EXCHANGE) == 0:
            return
    aside = old.with_name(f".{old.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    os.rename(old, aside)
    os.rename(new, old)
    os.rename(aside, new)
