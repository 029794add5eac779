"""Kernels that tests compile, outside the package."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

SETUP = """\
import torchml_core
from Cython.Build import cythonize
from setuptools import Extension, setup

arguments = torchml_core.extension_arguments()
arguments["extra_compile_args"].append("-O1")  # optimizing takes longest
sources = [Extension("{name}", ["{name}.pyx"], **arguments)]
directives = {{"language_level": 3, "cdivision": True}}
setup(ext_modules=cythonize(sources, compiler_directives=directives))
"""


def compile_folder(folder):
    """Compile what a folder's setup.py says, by the command that CONTRIBUTING.md gives."""
    import torchml_core

    where = str(Path(torchml_core.__file__).parents[1])
    path = os.pathsep.join(filter(None, [where, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--inplace"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def compile_module(source, folder):
    """Compile one .pyx in a folder of its own; return the module."""
    shutil.copy(source, folder)
    Path(folder, "setup.py").write_text(SETUP.format(name=source.stem))
    compile_folder(folder)
    return import_from(folder, source.stem)


def import_from(folder, name):
    """Import a module that is in a folder."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))
