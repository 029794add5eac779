"""The system: the KIM-API with its collections, and the present Python."""

import ctypes.util
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from torchml_core.errors import InstallationError

DEFAULT_DRIVER = "TorchMLModelDriver"
COLLECTIONS = ("user", "environment", "system")  # as KIM's tools take them
LISTS = {"driver": "model_drivers", "model": "portable_models"}  # words of KIM's tool
OTHER_NAMES = {"environmentVariable": "environment", "currentWorkingDirectory": "CWD"}
MANAGEMENT = "kim-api-collections-management"
PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
GET_KIM = (
    "install the KIM-API (Debian, Ubuntu: apt-get install libkim-api-dev; conda: conda install -c"
    " conda-forge kim-api) and have its programs on PATH"
)


class Item(NamedTuple):
    """An item of KIM's collections: a model driver or a portable model.

    Attributes
    ----------
    kind : {"driver", "model"}
    collection : str
        As KIM's tools name it: "CWD" (the working directory), "environment", "user" or "system";
        they search in this order.
    name : str
    folder : pathlib.Path
    """

    kind: str
    collection: str
    name: str
    folder: Path

    @property
    def libraries(self):
        """The paths of its shared library; there is one."""
        return sorted(self.folder.glob("lib*.so"))


def find_management():
    """Return the path of the KIM-API's program that installs items.

    Raises
    ------
    InstallationError
        It is not on PATH.
    """
    found = shutil.which(MANAGEMENT)
    if found is None:
        raise InstallationError(f"{MANAGEMENT} is not on PATH: {GET_KIM}")
    return Path(found)


def kim_environment():
    """Return the environment for KIM's programs: CMake must find the KIM-API next to them."""
    prefix = find_management().resolve().parents[1]
    return {"KIM_API_CMAKE_PREFIX_DIR": str(prefix), **os.environ}


def installed_items(kind):
    """Return the items of all collections.

    Parameters
    ----------
    kind : {"driver", "model"}

    Returns
    -------
    list of Item
        Of several items with the same name the KIM-API uses the first.
    """
    program = find_management().resolve().parents[1] / "libexec/kim-api/kim-api-collections-info"
    listed = subprocess.run([program, LISTS[kind]], capture_output=True, text=True)
    if listed.returncode != 0:
        raise InstallationError(f"{program} {LISTS[kind]} failed: {listed.stderr or listed.stdout}")
    items = []
    for line in listed.stdout.splitlines():
        collection, name, place = line.split(" ", 2)
        items.append(Item(kind, OTHER_NAMES.get(collection, collection), name, Path(place, name)))
    return items


def find_libpython():
    """Return the path of this Python's shared library, None if there is none.

    It is loaded in simulators that have no Python of their own. If Python was built without one,
    the system's library of the same minor version is used.
    """
    names = {sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LDLIBRARY")}
    folders = [sysconfig.get_config_var("LIBDIR"), Path(sys.base_prefix, "lib")]
    for folder in filter(None, folders):
        for name in sorted(filter(None, names)):
            path = Path(folder, name)
            if ".so" in name and path.is_file():
                return str(path)
    return ctypes.util.find_library(f"python{PYTHON_VERSION}")


def package_folders():
    """Return the folders that hold torchml_core and what it needs, in the order to search."""
    paths = sysconfig.get_paths()
    own = Path(__file__).resolve().parents[2]
    return list(dict.fromkeys([paths["purelib"], paths["platlib"], str(own)]))


def python_headers():
    """Return the folder of Python.h, whether it exists or not."""
    return Path(sysconfig.get_paths()["include"])
