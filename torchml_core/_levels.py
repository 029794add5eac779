"""Which build of the compiled modules is used: the best one that this processor can run.

A wheel has each compiled module for several processors (TORCHML_CORE_MARCH in setup.py), of which
``import torchml_core`` takes one. They keep their names: a finder on ``sys.meta_path`` finds the
module ``torchml_core.cells.grid`` in the file ``_compiled_for/x86_64_v3/cells/grid.*.so``. As all
modules of a process come from one build, they may share vectors, C functions and classes.
"""

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

VARIABLE = "TORCHML_CORE_LEVEL"


def missing_features(built_with, features):
    """Return the macros of instructions that were compiled in and that this processor lacks."""
    return [macro for macro, there in features.items() if macro in built_with and not there]


def choose_level(builds, features, folder):
    """Return the name of the build to use.

    Parameters
    ----------
    builds : dict of str to sequence of str
        For each processor that was compiled for, the macros of the instructions (``__AVX2__``);
        the best one last.
    features : dict of bool
        Which of the instructions that can be looked up this processor has, the oldest first.
    folder : Path
        Where the package is, for messages.

    Raises
    ------
    ImportError
        Where this processor can run none of them, or not the one that TORCHML_CORE_LEVEL names.
    """
    usable = [name for name, macros in builds.items() if not missing_features(macros, features)]
    if not usable:
        raise ImportError(_wrong_processor(builds, features, folder))
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return usable[-1]
    if wanted not in usable:
        raise ImportError(
            f"{VARIABLE} = {wanted[:40]!r}: {' or '.join(usable)} is needed, which torchml_core"
            f" in {folder} is compiled for and this processor can run"
        )
    return wanted


def _wrong_processor(builds, features, folder):
    oldest = next(iter(builds))
    missing = missing_features(builds[oldest], features)
    names = ", ".join(macro.strip("_").removeprefix("ARM_FEATURE_") for macro in missing[:4])
    names += f" and {len(missing) - 4} others" if len(missing) > 4 else ""
    return (
        f"torchml_core was compiled for another processor (TORCHML_CORE_MARCH={oldest}, in"
        f" {folder}): this one lacks {names}. Install it again on this machine, or once for all"
        f" machines with `TORCHML_CORE_MARCH={_common(features)} pip install .` in its source"
        " folder"
    )


def _common(features):
    """The setting of TORCHML_CORE_MARCH whose build runs on this processor and newer ones."""
    oldest_portable = ("__SSE3__", "__SSSE3__", "__SSE4_1__", "__SSE4_2__", "__POPCNT__")
    return "portable" if all(features.get(macro, True) for macro in oldest_portable) else "none"


class LevelFinder:
    """Finds the compiled modules of one build; all others are left to Python's own finders."""

    def __init__(self, folder):
        self.folder = folder

    def find_spec(self, name, path=None, target=None):
        package, _, module = name.partition(".")
        if package != "torchml_core" or not module:
            return None
        file = os.path.join(self.folder, *module.split(".")) + EXTENSION_SUFFIXES[0]
        if not os.path.isfile(file):
            return None
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, file))


def use_level(level, package):
    """Let the compiled modules be found in the folder of this build."""
    folder = Path(package, "_compiled_for", "".join(c if c.isalnum() else "_" for c in level))
    if not folder.is_dir():
        raise ImportError(f"{folder} is missing: torchml_core must be installed again")
    sys.meta_path[:] = [f for f in sys.meta_path if not isinstance(f, LevelFinder)]
    sys.meta_path.insert(0, LevelFinder(str(folder)))
