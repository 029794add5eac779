"""Compiled modules that are missing or cannot be loaded: a sentence says so at import."""

import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES

from torchml_core import _compiled


def test_a_source_folder_says_that_it_hides_the_package(project, tmp_path):
    compiled = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree(project / "torchml_core", tmp_path / "torchml_core", ignore=compiled)
    done = subprocess.run(
        [sys.executable, "-c", "import torchml_core"], cwd=tmp_path, capture_output=True, text=True
    )
    said = done.stderr.splitlines()[-1]
    assert said.startswith(
        f"ImportError: torchml_core is imported from its source folder {tmp_path}"
    )
    assert "start Python in another folder, or compile it here by `pip install -e .`" in said
    assert "No module named" not in done.stderr


def test_modules_of_another_python(tmp_path):
    suffix = EXTENSION_SUFFIXES[0].rpartition(".")[2]
    name = f"_processor.cpython-39-other.{suffix}"
    (tmp_path / name).touch()
    said = _compiled.why_not_importable(tmp_path, ImportError("No module named '_processor'"))
    assert f"is compiled for another Python ({name}); this is Python 3." in said


def test_modules_that_cannot_be_loaded(tmp_path):
    (tmp_path / f"_processor{EXTENSION_SUFFIXES[0]}").touch()
    said = _compiled.why_not_importable(tmp_path, ImportError("file too short"))
    assert said.endswith("cannot be loaded: file too short")
