"""What the KIM driver needs, what of it is here, and whether the parts fit."""

import importlib
import re
import shutil
import subprocess
import sys

from torchml_core.errors import TorchMLError
from torchml_core.kim import system
from torchml_core.kim.install import MARK

GET_BUILD_TOOLS = "Debian, Ubuntu: apt-get install g++ make cmake wget"
# Who is needed by the KIM-API's tools: each a list of programs of which one is enough.
TOOLS = (("cmake",), ("make",), ("cc", "gcc", "clang"), ("c++", "g++", "clang++"), ("wget", "curl"))


def examine():
    """Look at everything.

    Yields
    ------
    (name, value, problem)
        What was looked at, what was found, and what is wrong with it and how to mend it, or None.
    """
    yield from _kim_api()
    yield from _build_tools()
    yield from _python()
    yield from _drivers()
    yield from _lammps()


def _kim_api():
    try:
        program = system.find_management()
    except TorchMLError as error:
        yield "KIM-API", "not found", str(error)
        return
    told = subprocess.run([program, "--version"], capture_output=True, text=True)
    yield "KIM-API", f"{told.stdout.strip()} ({program})", None


def _build_tools():
    for programs in TOOLS:
        found = next(filter(None, map(shutil.which, programs)), None)
        name = " or ".join(programs)
        problem = f"{name} is not on PATH: the KIM-API's tools need it ({GET_BUILD_TOOLS})"
        yield programs[0], found or "not found", None if found else problem


def _python():
    yield "Python", f"{system.PYTHON_VERSION} ({sys.executable})", None
    headers = system.python_headers()
    problem = None
    if not (headers / "Python.h").is_file():
        problem = (
            f"Python.h is not in {headers}: install the headers of Python {system.PYTHON_VERSION}"
            f" (Debian, Ubuntu: apt-get install python{system.PYTHON_VERSION}-dev)"
        )
    yield "its headers", str(headers), problem
    library = system.find_libpython()
    problem = (
        "this Python has no shared library, so that simulators without a Python of their own"
        f" cannot start it: install libpython{system.PYTHON_VERSION}, or use a Python that was"
        " built with --enable-shared"
    )
    yield "its library", library or "not found", None if library else problem
    for name, module in (("torch", "torch"), ("driver's callbacks", "torchml_core.kim._kim")):
        try:
            found = importlib.import_module(module)
        except ImportError as error:
            yield name, "cannot be imported", f"{module} cannot be imported ({error}): install it"
        else:
            yield name, getattr(found, "__version__", found.__file__), None


def _drivers():
    """Ours among the installed drivers, and whether each belongs to this Python."""
    try:
        items = system.installed_items("model_drivers")
    except TorchMLError:
        return  # said already
    found = False
    for item in items:
        python = _python_of(item.folder)
        if python is None:
            continue
        found, problem = True, None
        again = f"`torchml-core kim install-driver --name {item.name} --collection"
        if not shutil.which(python):
            problem = f"{item.name} belongs to {python}, which is gone: {again} {item.collection}`"
        elif python != sys.executable:
            problem = (
                f"{item.name} belongs to another Python, {python}: to bind it to this one, {again}"
                f" {item.collection}`"
            )
        yield "driver", f"{item.name} ({item.collection}), of {python}", problem
    if not found:
        yield "driver", "none", "no driver is installed: `torchml-core kim install-driver`"


def _python_of(folder):
    """The Python that a driver was installed from; None if it is none of ours."""
    for library in sorted(folder.glob("lib*.so")):
        found = re.search(MARK.encode() + rb"([^\0]+)", library.read_bytes())
        if found:
            return found[1].decode()
    return None


def _lammps():
    program = next(filter(None, map(shutil.which, ("lmp", "lammps", "lmp_mpi"))), None)
    if program is None:
        yield "LAMMPS", "not on PATH (other simulators will do)", None
        return
    told = subprocess.run([program, "-h"], capture_output=True, text=True).stdout
    problem = None
    if not re.search(r"^Installed packages:\s(.*\s)?KIM\s", told, re.MULTILINE | re.DOTALL):
        problem = (
            f"{program} was built without the KIM package: take one with it (Debian: lammps;"
            " conda-forge: lammps), or build it with -D PKG_KIM=yes"
        )
    yield "LAMMPS", program, problem
    if not shutil.which("ldd"):  # of Linux
        return
    linked = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    version = re.search(r"libpython(\d+\.\d+)", linked)
    if version and version[1] != system.PYTHON_VERSION:
        yield (
            "its Python",
            version[1],
            f"{program} brings Python {version[1]}, torchml_core is installed for"
            f" {system.PYTHON_VERSION}: install it for a Python {version[1]}",
        )
