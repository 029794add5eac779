"""A model's folder: all of its files are written, or none, and two writers do not mix."""

import errno
import threading
from pathlib import Path

import pytest
import torch
from small_models import CUTOFF, DescriptorNet

import torchml_core as tm
from torchml_core.portable import model as model_module
from torchml_core.portable.folder import write_new

FUNCTIONS = [("g2", [[0.3, 0.0], [0.5, 1.5]])]
NAMES = ("descriptor.dat", "model.pt", "model.json", "model.param")  # in the order of writing


def create(folder, **changes):
    arguments = {
        "model": DescriptorNet(2),
        "species": ["Si"],
        "descriptor": tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS),
    }
    return tm.PortableModel.create(folder, **{**arguments, **changes})


class Unscriptable(torch.nn.Module):
    def forward(self, descriptor):
        return eval("descriptor")


class Own(tm.SymmetryFunctions):
    """A descriptor that is not registered."""


def fail(error):
    def failing(*arguments, **options):
        raise error

    return failing


def fail_at_file(name, error):
    """Path.open that raises an error after the first bytes of a file."""
    ordinary = Path.open

    def opened(path, mode="r", *arguments, **options):
        file = ordinary(path, mode, *arguments, **options)
        if path.name == name and "x" in mode:
            file.write(b"part")
            file.close()
            file = FailingFile(error)
        return file

    return opened


class FailingFile:
    def __init__(self, error):
        self.error = error

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def write(self, content):
        raise self.error


FULL = OSError(errno.ENOSPC, "No space left on device")
OWN = Own(["Si"], CUTOFF, FUNCTIONS)
# what is replaced, by what, the arguments, and the error
FAILURES = {
    "descriptor": (None, {"descriptor": OWN}, tm.UnsupportedError, "register_descriptor"),
    "scripting": (None, {"model": Unscriptable()}, tm.ModelError, None),
    "card": (None, {"license": ""}, tm.InputError, "license"),
    "saving": (("make_stored", fail(FULL)), {}, OSError, "No space"),
    "loading": (("load_executor", fail(tm.ModelError("not loaded"))), {}, tm.ModelError, "not lo"),
    **{f"{name}, full": ((name, FULL), {}, tm.FileAccessError, f"{name}: No sp") for name in NAMES},
    **{name: ((name, KeyboardInterrupt()), {}, KeyboardInterrupt, None) for name in NAMES[1:3]},
}


@pytest.mark.parametrize("place", ["new", "new in a new folder", "empty", "with other files"])
@pytest.mark.parametrize("step", FAILURES)
def test_nothing_is_left_behind(step, place, tmp_path, monkeypatch):
    replaced, arguments, error, message = FAILURES[step]
    folder = tmp_path / "a" / "b" if place == "new in a new folder" else tmp_path / "a"
    if place in ("empty", "with other files"):
        folder.mkdir()
    if place == "with other files":
        (folder / "notes.md").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with monkeypatch.context() as patched:
        if replaced and replaced[0] in NAMES:
            patched.setattr(Path, "open", fail_at_file(*replaced))
        elif replaced:
            patched.setattr(model_module, *replaced)
        with pytest.raises(error, match=message):
            create(folder, **arguments)
    assert sorted(tmp_path.rglob("*")) == before
    assert create(folder).files  # and nothing is in the way


def test_save_leaves_nothing_behind(tmp_path, monkeypatch):
    model = create(tmp_path / "m")
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", fail_at_file("model.json", FULL))
        with pytest.raises(tm.FileAccessError, match="No space left"):
            model.save(tmp_path / "copy" / "m")
    assert not (tmp_path / "copy").exists()
    with pytest.raises(tm.InputError, match="a folder without a model is needed"):
        model.save(tmp_path / "m")
    assert tm.PortableModel.load(tmp_path / "m").card == model.card


def test_the_file_that_makes_it_a_model_is_written_last(tmp_path, monkeypatch):
    written, ordinary = [], Path.open
    monkeypatch.setattr(
        Path, "open", lambda p, mode="r", *a: (written.append(p.name), ordinary(p, mode, *a))[1]
    )
    write_new(tmp_path / "m", {"x.param": b"", "descriptor.json": b"", "x.pt2": b""})
    assert written == ["descriptor.json", "x.pt2", "x.param"]


def test_two_writers_do_not_mix(tmp_path):
    """Of several that write at the same time, one succeeds; the others leave its files alone."""
    kinds = [("descriptor.dat", "model.pt"), ("descriptor.json", "model.pt2")]
    for turn in range(30):
        folder, start, made = tmp_path / str(turn) / "m", threading.Barrier(4), []

        def write(k, folder=folder, start=start, made=made):
            names = ("model.param", *kinds[k % 2], "model.json")
            start.wait()
            try:
                write_new(folder, dict.fromkeys(names, bytes([k])))
            except tm.InputError:  # it has a model
                return
            made.append((k, set(names)))

        threads = [threading.Thread(target=write, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        ((k, names),) = made
        assert {file.name for file in folder.iterdir()} == names
        assert {file.read_bytes() for file in folder.iterdir()} == {bytes([k])}
