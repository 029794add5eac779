"""``torchml-core kim doctor``: fine where all is there; what is not is named, with its remedy."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from torchml_core.cli import main
from torchml_core.kim import doctor as doctor_module
from torchml_core.kim import system
from torchml_core.kim.installed import MARK


def doctor():
    result = CliRunner().invoke(main, ["kim", "doctor"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    problems = [line for line in result.output.splitlines() if line.startswith("problem: ")]
    assert result.exit_code == (1 if problems else 0)
    return result.output, problems


@pytest.fixture
def path(collection, tmp_path, monkeypatch):
    """A folder in place of PATH, with all that is on it: to take programs away, to add others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for place in os.environ["PATH"].split(os.pathsep):
        for program in Path(place).iterdir() if Path(place).is_dir() else ():
            if not (folder / program.name).is_symlink():
                (folder / program.name).symlink_to(program)
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.fixture
def script(path):
    """Put a program on PATH that prints a text."""

    def script(name, text):
        (path / name).unlink(missing_ok=True)
        (path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\n")
        (path / name).chmod(0o755)

    return script


def test_all_is_well(collection, lmp):
    output, problems = doctor()
    assert problems == []
    assert output.endswith("nothing wrong found\n")
    for line in ("TorchMLModelDriver (environment)", sys.executable, shutil.which("lmp")):
        assert line in output


@pytest.mark.parametrize(
    ("programs", "remedy"),
    [
        (["cmake"], "cmake is not on PATH: the KIM-API's tools need it"),
        (["make"], "make is not on PATH"),
        (["cc", "gcc", "clang"], "cc or gcc or clang is not on PATH"),
        (["c++", "g++", "clang++"], "c++ or g++ or clang++ is not on PATH"),
        (["kim-api-collections-management"], "is not on PATH: install the KIM-API (Debian"),
    ],
)
def test_programs_that_are_missing(programs, remedy, path):
    for program in programs:
        (path / program).unlink(missing_ok=True)
    _, (problem,) = doctor()
    assert remedy in problem
    assert "apt-get install" in problem


def test_without_any_program(collection, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    output, problems = doctor()
    assert len(problems) >= 5
    assert "not on PATH (other simulators will do)" in output


def test_without_lammps_all_is_well(path):
    for program in ("lmp", "lammps", "lmp_mpi"):
        (path / program).unlink(missing_ok=True)
    output, problems = doctor()
    assert problems == []
    assert "other simulators will do" in output


@pytest.mark.parametrize(
    ("packages", "has_kim"),
    [("KIM", True), ("COLVARS KIM KSPACE", True), ("COLVARS KSPACE", False), ("XKIM", False)],
)
def test_lammps_without_kim(packages, has_kim, script):
    script("lmp", f"LAMMPS\n\nInstalled packages:\n\n{packages} \n\n* Pair styles:\n\nkim zero")
    _, problems = doctor()
    assert (problems == []) == has_kim
    if not has_kim:
        assert "was built without the KIM package" in problems[0]


def test_lammps_of_another_python(script):
    script("ldd", "\tlibpython3.9.so.1.0 => /usr/lib/libpython3.9.so.1.0 (0x00007f)")
    script("lmp", "Installed packages:\n\nKIM PYTHON \n")
    _, (problem,) = doctor()
    assert "brings Python 3.9" in problem
    assert "install torchml_core and the driver for a Python 3.9" in problem


def test_without_ldd(path, lmp):
    (path / "ldd").unlink()
    _, problems = doctor()
    assert problems == []


@pytest.fixture
def drivers(collection, tmp_path, monkeypatch):
    """A folder with a copy of the driver alone, to be changed."""
    folder = tmp_path / "drivers"
    name = "TorchMLModelDriver"
    shutil.copytree(Path(os.environ["KIM_API_MODEL_DRIVERS_DIR"], name), folder / name)
    monkeypatch.setenv("KIM_API_MODEL_DRIVERS_DIR", str(folder))
    return folder


def bind(folder, python):
    """Change the Python that a driver says it belongs to."""
    (library,) = folder.glob("lib*.so")
    content, mark = library.read_bytes(), MARK + sys.executable.encode()
    place = content.index(mark)
    text = MARK + python.encode()
    assert len(text) <= len(mark)
    library.write_bytes(
        content[:place] + text.ljust(len(mark), b"\0") + content[place + len(mark) :]
    )


def test_no_driver(drivers):
    shutil.rmtree(drivers / "TorchMLModelDriver")
    _, (problem,) = doctor()
    assert "no driver is installed: `torchml-core kim install-driver`" in problem


@pytest.fixture
def another_python():
    """A Python that says what it is told to; its path is short enough for bind."""

    def make(text):
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return str(path)

    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder, "python")
        yield make


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "/no/python, which cannot be started (No such file or directory)"),
        ("echo 'no module' >&2; exit 1", "which cannot import torchml_core (no module)"),
    ],
)
def test_a_driver_whose_python_is_of_no_use(text, said, drivers, another_python):
    bind(drivers / "TorchMLModelDriver", "/no/python" if text is None else another_python(text))
    _, (problem,) = doctor()
    assert said in problem
    assert "--name TorchMLModelDriver --collection environment` binds it to this one" in problem


def test_a_driver_of_another_python_is_none_of_our_business(drivers, another_python, script):
    """One that works is left alone: other models may need what is in its environment."""
    python = another_python("echo 3.9")
    bind(drivers / "TorchMLModelDriver", python)
    script("ldd", "\tlibpython3.9.so.1.0 => /usr/lib/libpython3.9.so.1.0 (0x00007f)")
    script("lmp", "Installed packages:\n\nKIM PYTHON \n")  # of its version, not of ours
    output, problems = doctor()
    assert problems == []
    said = " ".join(output.split())
    assert f"models under TorchMLModelDriver (environment) run in {python}" in said
    assert "with KIM_API_MODEL_DRIVERS_DIR unset from then on, installs a driver for you" in said


def test_a_driver_of_another_user_is_not_ours_to_mend(drivers, monkeypatch):
    monkeypatch.setattr(doctor_module, "_owner", lambda folder: "admin")
    bind(drivers / "TorchMLModelDriver", "/no/python")
    _, (problem,) = doctor()
    assert "ask admin, who installed it, to do it again from a Python that all can use" in problem
    assert "installs a driver for you alone" in problem
    assert "--collection" not in problem


@pytest.mark.parametrize(
    ("collection_name", "remedy"),
    [
        ("system", "installs a driver for you alone, which KIM prefers to that of the system"),
        ("user", "`torchml-core kim install-driver --name D` binds the driver to it"),
    ],
)
def test_what_to_do_beside_a_driver_of_another_python(collection_name, remedy, tmp_path):
    item = system.Item("driver", collection_name, "D", tmp_path)
    assert remedy in doctor_module._own(item)


def test_a_hidden_driver(drivers, collection, monkeypatch):
    own = collection.user / "model-drivers" / "TorchMLModelDriver"
    shutil.copytree(drivers / "TorchMLModelDriver", own)
    try:
        output, problems = doctor()
    finally:
        shutil.rmtree(own)
    assert problems == []
    assert "is not used: KIM takes that of environment" in " ".join(output.split())


def test_headers_and_library_of_python(collection, monkeypatch, tmp_path):
    monkeypatch.setattr(system, "python_headers", lambda: tmp_path)
    monkeypatch.setattr(system, "find_libpython", lambda: None)
    _, problems = doctor()
    assert [f"Python.h is not in {tmp_path}" in problem for problem in problems] == [True, False]
    assert "this Python has no shared library" in problems[1]


def test_torch_that_cannot_be_imported(collection, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    _, problems = doctor()
    assert "torch cannot be imported" in problems[0]
