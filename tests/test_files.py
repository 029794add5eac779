"""Paths and files: whatever is given for one, the error is ours and says what is needed."""

import os
import shutil
import socket
from pathlib import Path

import pytest
import small_models
import torch
from click.testing import CliRunner

import torchml_core as tm
from torchml_core import files
from torchml_core.ase import TorchMLCalculator
from torchml_core.cli import main
from torchml_core.descriptors.symmetry_functions import Function
from torchml_core.kim.install import install_model
from torchml_core.kim.model import KimModel
from torchml_core.portable.executors import load_executor
from torchml_core.portable.model_file import model_facts
from torchml_core.portable.parameters import (
    ModelParameters,
    find_faults,
    read_parameters,
    write_parameters,
)

FUNCTIONS = [("g2", [[0.1, 0.0]])]
PARAMETERS = ModelParameters(["Si"], "raw", 3.0, "model.pt")
READERS = {
    "read_descriptor": lambda path: tm.read_descriptor(path, "SymmetryFunctions"),
    "read_descriptor, SOAP": lambda path: tm.read_descriptor(path, "SOAP"),
    "read_n2p2": lambda path: tm.read_n2p2(path, length_unit="Bohr"),
    "read_parameters": read_parameters,
    "find_faults": find_faults,
}
WRITERS = {
    "SymmetryFunctions": tm.SymmetryFunctions(["Si"], 3.0, FUNCTIONS).to_file,
    "SOAP": tm.SOAP(["Si"], 3.0, n_max=2, l_max=1).to_file,
    "ElementSymmetryFunctions": tm.ElementSymmetryFunctions(
        {"H": [Function("g2", None, 4.0, 0.1)]}
    ).to_file,
    "write_parameters": lambda path: write_parameters(PARAMETERS, path),
}


class NoPath:
    def __fspath__(self):
        return 3


@pytest.mark.parametrize("name", [*READERS, *WRITERS])
def test_what_is_no_path(name):
    function = {**READERS, **WRITERS}[name]
    for value in (None, 3, 1.5, b"model.param", "", "a\0b", "\ud800", ["model.param"], NoPath()):
        with pytest.raises(tm.InputError, match=r"path = .*: a path.* is needed"):
            function(value)


@pytest.mark.parametrize("name", READERS)
def test_paths_without_a_file_that_can_be_read(name, tmp_path):
    read, pipe = READERS[name], tmp_path / "pipe"
    file = tmp_path / "file"
    file.write_text("")
    for path in (tmp_path, tmp_path / "none", tmp_path / "none" / "deeper", file / "deeper"):
        with pytest.raises(tm.MissingFileError, match="is needed"):
            read(path)
        with pytest.raises(tm.MissingFileError):
            read(str(path))
    os.mkfifo(pipe)
    with pytest.raises(tm.FileAccessError, match="pipe: a pipe or device"):
        read(pipe)
    with pytest.raises(tm.FileAccessError, match="/dev/zero: a pipe or device"):
        read("/dev/zero")
    with pytest.raises(tm.FileAccessError, match="too long") as error:
        read("x" * 5000)
    assert len(str(error.value)) < 300
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(tm.FileAccessError, match="loop"):
        read(loop)


# ---- models


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "raw"
    arguments = {"species": ["Si", "C"], "cutoff": small_models.CUTOFF, "convention": "raw"}
    tm.PortableModel.create(folder, model=small_models.PairNet(), **arguments)
    return folder


def create(folder):
    arguments = {"species": ["Si"], "cutoff": 3.0, "convention": "raw"}
    tm.PortableModel.create(folder, model=small_models.PairNet(), **arguments)


MODEL_READERS = {
    "load": tm.PortableModel.load,
    "TorchMLCalculator": TorchMLCalculator,
    "KimModel": KimModel,
    "install_model": install_model,
    "model_facts": model_facts,
    "load_executor": lambda path: load_executor(path, torch.device("cpu")),
}


@pytest.mark.parametrize("name", MODEL_READERS)
def test_what_is_no_path_of_a_model(name):
    for value in (None, 3, b"model", "", "a\0b", "\ud800", ["model"], NoPath()):
        with pytest.raises(tm.InputError, match=r"(path|folder) = .*: a path.* is needed"):
            MODEL_READERS[name](value)


@pytest.mark.parametrize("name", MODEL_READERS)
def test_paths_without_a_model(name, tmp_path):
    read = MODEL_READERS[name]
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "none", tmp_path, tmp_path / "pipe", "/dev/zero", "x" * 5000):
        with pytest.raises((tm.MissingFileError, tm.FileAccessError)):
            read(path)


@pytest.mark.parametrize("kind", ["model.param", "model.pt"])
def test_folders_with_a_pipe_for_a_file(kind, folder, tmp_path):
    here = tmp_path / "model"
    shutil.copytree(folder, here)
    (here / kind).unlink()
    os.mkfifo(here / kind)
    with pytest.raises(tm.MissingFileError, match=kind.removeprefix("model")):
        tm.PortableModel.load(here)


def test_folders_that_cannot_be_written(folder, tmp_path):
    (tmp_path / "file").write_text("")
    model = tm.PortableModel.load(folder)
    for write in (model.save, create):
        for value in (None, 3, b"model", "", "a\0b", NoPath()):
            with pytest.raises(tm.InputError, match="folder = .*: a path.* is needed"):
                write(value)
        for path in (tmp_path / "file", tmp_path / "file" / "deeper", "/dev/null"):
            with pytest.raises(tm.InputError, match="folder = .*not of a file"):
                write(path)
        with pytest.raises(tm.FileAccessError, match="too long"):
            write("x" * 5000)


def test_outputs_of_the_command_that_are_pipes(folder, examples, tmp_path):
    structures = examples / "structures" / "silicon.extxyz"
    for option, name in (("-o", "out.xyz"), ("--plot", "plot.png")):
        os.mkfifo(tmp_path / name)
        arguments = ["evaluate", folder, structures, option, tmp_path / name]
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exit_code == 1
        assert f"{name}: a pipe; a file is needed" in result.output
    result = CliRunner().invoke(main, ["evaluate", str(folder), str(structures), "--plot", ""])
    assert result.exit_code == 1


def test_sockets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(tm.FileAccessError, match="socket: a pipe or device"):
            read_parameters("socket")


@pytest.mark.parametrize("name", READERS)
def test_a_file_without_permission(name, tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(13, "Permission denied", str(self))

    path = tmp_path / "secret"
    path.write_text("1\n")
    monkeypatch.setattr(Path, "read_bytes", refuse)  # whoever runs tests may be allowed everything
    with pytest.raises(tm.FileAccessError, match="secret: Permission denied"):
        READERS[name](path)


@pytest.mark.parametrize("name", WRITERS)
def test_paths_that_cannot_be_written(name, tmp_path, monkeypatch):
    write = WRITERS[name]
    with pytest.raises(tm.MissingFileError, match="the folder .*none does not exist"):
        write(tmp_path / "none" / "file")
    with pytest.raises(tm.FileAccessError, match="Is a directory"):
        write(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(tm.FileAccessError, match="a pipe"):
        write(tmp_path / "pipe")
    with pytest.raises(tm.FileAccessError, match="No space left"):
        write("/dev/full")


def test_texts(tmp_path):
    path = tmp_path / "text"
    cases = {
        b"": [],
        b"a": ["a"],
        b"a\n": ["a"],
        b"\xef\xbb\xbfa\r\nb\r\rc\n\n": ["a", "b", "", "c", ""],
        "# Å\n1".encode(): ["# Å", "1"],
        "# Å \x85\n1".encode("latin-1"): ["# \udcc5 \udc85", "1"],
        "Å\r\nb".encode("utf-16"): ["Å", "b"],
        b"a\tb\x0cc": ["a\tb\x0cc"],
    }
    for content, lines in cases.items():
        path.write_bytes(content)
        assert files.read_lines(path, "text") == lines
    for content, line in {b"a\nb\0": 2, b"\x80\x02}q": 1, b"\xff\xfea": 1}.items():
        path.write_bytes(content)
        with pytest.raises(tm.FileFormatError, match=rf"text:{line}: not a text file; a text is"):
            files.read_lines(path, "text")


def test_a_text_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "model.param"
    with path.open("wb") as file:
        file.truncate(10**12)  # which takes no place
    with pytest.raises(tm.FileFormatError, match="1000000000000 bytes; a .param file of at most"):
        read_parameters(path)


def test_files_are_replaced_in_one_step(tmp_path):
    """A link stays one, permissions are kept, nothing else is left in the folder."""
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o640)
    link.symlink_to(path)
    files.replace_bytes("checkpoint", str(link), b"new")
    assert link.is_symlink()
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]
    with pytest.raises(tm.MissingFileError, match="does not exist"):
        files.replace_bytes("checkpoint", tmp_path / "no" / "file", b"new")
    with pytest.raises(tm.FileAccessError, match="a folder, pipe or device"):
        files.replace_bytes("checkpoint", tmp_path, b"new")
