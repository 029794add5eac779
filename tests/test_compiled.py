"""Compiled modules that are missing or not for this processor: a sentence says so at import."""

import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest

from torchml_core import _compiled, _processor

HASWELL = ("SSE4_2", "POPCNT", "AVX", "F16C", "FMA", "LZCNT", "MOVBE", "AVX2", "BMI2")
NEHALEM = ("SSE4_2", "POPCNT")


def features(*there):
    """What a processor says that has these alone of all that are looked up."""
    known = _processor.features() or dict.fromkeys(f"__{name}__" for name in HASWELL)
    return {macro: macro.strip("_") in there for macro in known}


def test_this_processor_has_what_was_compiled_in():
    there = _processor.features()
    assert all(there.get(macro, True) for macro in _processor.built_with)
    _compiled.check_processor(_processor.built_for, _processor.built_with, there)


@pytest.mark.skipif("__SSE3__" not in _processor.features(), reason="of x86")
@pytest.mark.parametrize(
    ("there", "march"),
    [(HASWELL, "x86-64-v3"), (NEHALEM, "x86-64-v2"), ((), "x86-64")],
)
def test_another_processor(there, march):
    built_with = ["__AVX512F__", "__AVX512VL__", "__NO_MATH_ERRNO__", "__znver4__"]
    with pytest.raises(ImportError) as error:
        _compiled.check_processor("native", built_with, features(*there))
    assert "compiled for another processor (TORCHML_CORE_MARCH=native" in str(error.value)
    assert "this one lacks AVX512F, AVX512VL. Install it again" in str(error.value)
    assert f"`TORCHML_CORE_MARCH={march} pip install .`" in str(error.value)
    _compiled.check_processor("none", ["__NO_MATH_ERRNO__"], features(*there))


def test_many_instructions_are_not_all_listed():
    there = {f"__X{k}__": False for k in range(9)}
    with pytest.raises(ImportError, match=r"lacks X0, X1, X2, X3 and 5 others\. .*MARCH=none"):
        _compiled.check_processor("native", list(there), there)


def test_what_cannot_be_looked_up_is_not_missed():
    _compiled.check_processor("native", ["__AVX512F__"], {})


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
