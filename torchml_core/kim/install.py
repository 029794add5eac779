"""Build and install the model driver, and portable models under it, with KIM's own tools."""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from torchml_core import files
from torchml_core.checks import one_of, refuse
from torchml_core.errors import InstallationError
from torchml_core.kim import system, tarball
from torchml_core.kim.installed import MARK
from torchml_core.kim.system import COLLECTIONS, DEFAULT_DRIVER

HERE = Path(__file__).parent
NAME = r"[A-Za-z_][A-Za-z0-9_]{0,199}"  # KIM's rule, as in C; and short enough for a file name


def install_driver(name=DEFAULT_DRIVER, collection="user"):
    """Build the model driver, bound to the Python that runs this, and install it.

    Parameters
    ----------
    name : str
        The name by which models refer to it. Models of the OpenKIM repository use
        ``TorchML__MD_173118614730_000`` or ``_001``.
    collection : {"user", "environment", "system"}
        Where to install it; an existing item of that name is replaced.

    Raises
    ------
    InputError
        A name that KIM does not accept, or an unknown collection.
    InstallationError
        The KIM-API, a compiler or a header is missing, or the build fails; the message says which.
    """
    _kim_name("name", name)
    if not (system.python_headers() / "Python.h").is_file():
        raise InstallationError(
            f"Python.h is not in {system.python_headers()}: install the headers of Python"
            f" {system.PYTHON_VERSION} (Debian, Ubuntu: python{system.PYTHON_VERSION}-dev)"
        )
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, name)
        shutil.copytree(HERE / "driver_library", source)
        shutil.copy(HERE / "bridge.h", source)
        source.joinpath("installed_from.cmake").write_text(_driver_settings(name))
        source.joinpath("installed_from.h").write_text(_installed_from())
        _install(source, "driver", collection)


def install_model(folder, name=None, *, driver=DEFAULT_DRIVER, collection="user"):
    """Package a portable model for KIM and install it.

    Parameters
    ----------
    folder : path-like
        A portable model's folder, or a tarball of it (``.tar``, ``.tar.gz``, ...), as KLIFF writes
        one. The ``.param``, ``.pt`` or ``.pt2``, ``.dat`` or ``descriptor.json``, and
        ``model.json`` files in it are packed into the model's library.
    name : str, optional
        Its name in KIM. None: the name of the folder. In both, ``-`` becomes ``_``, as in KLIFF.
    driver : str
        The name of the driver that it uses, which must be installed.
    collection : {"user", "environment", "system"}

    Returns
    -------
    str
        Its name in KIM.

    Raises
    ------
    InputError, InstallationError
        As :func:`install_driver`.
    TorchMLError
        The model cannot be loaded.
    """
    folder = files.as_path("folder", folder)
    if files.is_folder(folder, "portable model's folder or tarball"):
        return _install_folder(folder, folder.resolve().name, name, driver, collection)
    with tempfile.TemporaryDirectory() as unpacked:
        own_name = tarball.unpack(folder, Path(unpacked))
        return _install_folder(Path(unpacked), own_name, name, driver, collection)


def _install_folder(folder, own_name, name, driver, collection):
    from torchml_core.portable.model import PortableModel

    model = PortableModel.load(folder)
    name = own_name if name is None else name
    name = _kim_name("name", name.replace("-", "_") if isinstance(name, str) else name)
    _kim_name("driver", driver)
    if driver not in {item.name for item in system.installed_items("driver")}:
        raise InstallationError(
            f"the driver {driver} is not installed: `torchml-core kim install-driver --name"
            f" {driver}` installs it"
        )
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary, name)
        shutil.copytree(HERE / "model_library", source)
        model.save(source)
        names = " ".join(_quoted(file) for file in model.files)
        source.joinpath("model.cmake").write_text(
            f"set(MODEL_NAME {name})\nset(DRIVER_NAME {driver})\nset(MODEL_FILES {names})\n"
        )
        _install(source, "model", collection)
    return name


def _install(source, kind, collection):
    """Build what is in a folder and install it in place of the collection's item of its name.

    The steps are those of KIM's own tool. But that tool would first remove any item of this name
    from any collection, even a driver of the whole site if a user wants to install their own.
    """
    one_of("collection", collection, COLLECTIONS)
    build = source / "build"
    _run(
        source,
        "cmake",
        "-S",
        source,
        "-B",
        build,
        f"-DKIM_API_INSTALL_COLLECTION={collection.upper()}",
    )
    _run(source, "cmake", "--build", build, "--parallel", "2")
    _run(source, "cmake", "--build", build, "--target", "test")
    for item in system.installed_items(kind):
        if (item.name, item.collection) == (source.name, collection):
            shutil.rmtree(item.folder)
    _run(source, "cmake", "--build", build, "--target", "install")


def _run(source, *command):
    try:
        made = subprocess.run(
            command,
            env={"CTEST_OUTPUT_ON_FAILURE": "1", **system.kim_environment()},
            capture_output=True,
            text=True,
            cwd=source,
        )
    except OSError as error:
        failed = str(error)
    else:
        failed = "" if made.returncode == 0 else (made.stdout + made.stderr).strip()
    if failed:
        raise InstallationError(
            f"{source.name} was not installed; `torchml-core kim doctor` reports what is missing."
            f" {command[0]} said:\n{failed[-4000:]}"
        )


def _kim_name(argument, name):
    """Return a name that follows KIM's rule."""
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        requirement = (
            "a name of letters, digits and underscores, at most 200, that begins with no digit"
        )
        refuse(argument, name, f"{requirement}, as KIM requires,")
    return name


def _driver_settings(name):
    return f"set(DRIVER_NAME {name})\nset(PYTHON_INCLUDE {_quoted(system.python_headers())})\n"


def _installed_from():
    """The header that binds the driver to this Python."""
    library = system.find_libpython() or f"libpython{system.PYTHON_VERSION}.so.1.0"
    packages = ", ".join(_quoted(folder) for folder in system.package_folders())
    doctor = _quoted(f"{sys.executable} -m torchml_core.cli kim doctor")
    return (
        f"#define PYTHON_EXECUTABLE {_quoted(sys.executable)}\n"
        f"#define PYTHON_LIBRARY {_quoted(library)}\n"
        f"#define PYTHON_VERSION {_quoted(system.PYTHON_VERSION)}\n"
        f"#define PYTHON_PACKAGES {packages}\n"
        f"#define DOCTOR {doctor}\n"
        f"#define MARK {_quoted(MARK.decode() + sys.executable)}\n"
    )


def _quoted(text):
    """A string of CMake and of C."""
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'
