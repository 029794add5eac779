"""Checks of what the KIM driver needs: whether it is installed, and whether the parts match."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from torchml_core.errors import TorchMLError
from torchml_core.kim import system
from torchml_core.kim.installed import list_installed

GET_BUILD_TOOLS = "Debian, Ubuntu: apt-get install g++ make cmake wget"
# What the KIM-API's tools need: of each group one program is enough.
TOOLS = (("cmake",), ("make",), ("cc", "gcc", "clang"), ("c++", "g++", "clang++"), ("wget", "curl"))


class Examined(NamedTuple):
    """What was examined, and the result.

    Attributes
    ----------
    name, value : str
    problem : str or None
        What is wrong with it and how to fix it.
    note : str or None
        Information that may be useful although nothing is wrong.
    """

    name: str
    value: str
    problem: str | None = None
    note: str | None = None


def examine():
    """Examine everything; yield an Examined for each thing."""
    yield from _kim_api()
    yield from _build_tools()
    yield from _python()
    drivers = list(_drivers())
    yield from (examined for examined, _ in drivers)
    versions = {version for _, version in drivers if version} or {system.PYTHON_VERSION}
    yield from _lammps(versions)


def _kim_api():
    try:
        program = system.find_management()
    except TorchMLError as error:
        yield Examined("KIM-API", "not found", str(error))
        return
    told = subprocess.run([program, "--version"], capture_output=True, text=True)
    yield Examined("KIM-API", f"{told.stdout.strip()} ({program})")


def _build_tools():
    for programs in TOOLS:
        found = next(filter(None, map(shutil.which, programs)), None)
        name = " or ".join(programs)
        problem = f"{name} is not on PATH: the KIM-API's tools need it ({GET_BUILD_TOOLS})"
        yield Examined(programs[0], found or "not found", None if found else problem)


def _python():
    yield Examined("Python", f"{system.PYTHON_VERSION} ({sys.executable})")
    headers = system.python_headers()
    problem = None
    if not (headers / "Python.h").is_file():
        problem = (
            f"Python.h is not in {headers}: install the headers of Python {system.PYTHON_VERSION}"
            f" (Debian, Ubuntu: apt-get install python{system.PYTHON_VERSION}-dev)"
        )
    yield Examined("its headers", str(headers), problem)
    library = system.find_libpython()
    problem = (
        "this Python has no shared library, so that simulators without a Python of their own"
        f" cannot start it: install libpython{system.PYTHON_VERSION}, or use a Python that was"
        " built with --enable-shared"
    )
    yield Examined("its library", library or "not found", None if library else problem)
    for name, module in (("torch", "torch"), ("driver's callbacks", "torchml_core.kim._kim")):
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            problem = f"{module} cannot be imported ({error}): install it"
            yield Examined(name, "cannot be imported", problem)
        else:
            yield Examined(name, getattr(found, "__version__", found.__file__))


def _drivers():
    """Yield an Examined for each of our drivers, and the version of its Python or None."""
    try:
        found = [one for one in list_installed() if one.item.kind == "driver"]
    except TorchMLError:
        return  # said already
    for item, python, hidden_by in found:
        name = f"{item.name} ({item.collection})"
        version, reason = _version_of(python)
        problem = note = None
        if version is None:
            problem = f"{name} belongs to {python}, which {reason}: {_remedy(item)}"
        elif hidden_by:
            note = f"{name} is not used: KIM takes that of {hidden_by}"
        elif not _is_this(python):
            note = (
                f"models under {name} run in {python}. For those that need what is installed in"
                f" this Python: {_own(item)}"
            )
        yield Examined("driver", f"{name}, of {python}", problem, note), version
    if not found:
        problem = "no driver is installed: `torchml-core kim install-driver`"
        yield Examined("driver", "none", problem), None


def _is_this(python):
    return Path(python).parent == Path(sys.executable).parent


def _version_of(python):
    """A Python's version if a driver can use it, or None and why not."""
    if _is_this(python):
        return system.PYTHON_VERSION, None  # what it lacks is reported elsewhere
    script = "import sys, torch, torchml_core.kim._kim; print('%d.%d' % sys.version_info[:2])"
    try:
        told = subprocess.run(
            [python, "-c", script],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=tempfile.gettempdir(),
        )
    except OSError as error:  # gone, or in a folder that is closed to us
        return None, f"cannot be started ({error.strerror})"
    except subprocess.TimeoutExpired:
        return None, "does not answer"
    if told.returncode != 0:
        last = (told.stderr.strip().splitlines() or [f"exit code {told.returncode}"])[-1]
        return None, f"cannot import torchml_core ({last})"
    return told.stdout.strip(), None


def _remedy(item):
    """How to repair a driver; one of another user must be repaired by that user."""
    again = f"`torchml-core kim install-driver --name {item.name} --collection {item.collection}`"
    owner = _owner(item.folder)
    if owner is None:
        return f"{again} binds it to this one"
    return (
        f"ask {owner}, who installed it, to do it again from a Python that all can use; or"
        f" {_own(item)}"
    )


def _own(item):
    """How to install your own driver in addition to another one, without changing that one."""
    own = f"`torchml-core kim install-driver --name {item.name}`"
    if item.collection == "user" and _owner(item.folder) is None:
        return f"{own} binds the driver to it"
    if item.collection == "system":
        return f"{own} installs a driver for you alone, which KIM prefers to that of the system"
    return (
        f"{own}, with KIM_API_MODEL_DRIVERS_DIR unset from then on, installs a driver for you alone"
    )


def _owner(folder):
    """The name of the user who owns a folder; None if it is the present user."""
    status = folder.stat()
    if status.st_uid == os.geteuid():
        return None
    try:
        return folder.owner()
    except KeyError:  # a user of another machine
        return f"user {status.st_uid}"


def _lammps(versions):
    """LAMMPS, and whether the Python in it, if any, has the version of one of the drivers."""
    program = next(filter(None, map(shutil.which, ("lmp", "lammps", "lmp_mpi"))), None)
    if program is None:
        yield Examined("LAMMPS", "not on PATH (other simulators will do)")
        return
    told = subprocess.run([program, "-h"], capture_output=True, text=True).stdout
    problem = None
    if not re.search(r"^Installed packages:\s(.*\s)?KIM\s", told, re.MULTILINE | re.DOTALL):
        problem = (
            f"{program} was built without the KIM package: take one with it (Debian: lammps;"
            " conda-forge: lammps), or build it with -D PKG_KIM=yes"
        )
    yield Examined("LAMMPS", program, problem)
    if not shutil.which("ldd"):  # of Linux
        return
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    version = re.search(r"libpython(\d+\.\d+)", linked)
    if version and version[1] not in versions:
        problem = (
            f"{program} brings Python {version[1]}, the driver is for {' and '.join(versions)}:"
            f" install torchml_core and the driver for a Python {version[1]}"
        )
        yield Examined("its Python", version[1], problem)
