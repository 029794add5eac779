"""Paths and files: whatever is given for one, the error is ours and says what is needed."""

import os
import socket
from pathlib import Path

import pytest

import torchml_core as tm
from torchml_core import files
from torchml_core.descriptors.symmetry_functions import Function
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
    with pytest.raises(tm.FileAccessError, match="too long"):
        read("x" * 5000)
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(tm.FileAccessError, match="loop"):
        read(loop)


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
    with pytest.raises(tm.MissingFileError, match="there is no folder .*none to write it to"):
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
