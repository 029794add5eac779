"""The build that is used is one that the processor can run; if there is none, import says so.

Under qemu the package is tried on other processors than this one, in one of its builds where it was
compiled for several (wheels are), else in that it refuses to be imported.
"""

import importlib
import os
import platform
import shutil
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import level_values
import numpy as np
import pytest

from torchml_core import _compiled, _levels, _processor

V2 = ("SSE3", "SSSE3", "SSE4_1", "SSE4_2", "POPCNT")
V3 = (*V2, "AVX", "F16C", "FMA", "LZCNT", "MOVBE", "AVX2", "BMI", "BMI2")
V4 = (*V3, "AVX512F", "AVX512BW", "AVX512CD", "AVX512DQ", "AVX512VL")
FOLDER = Path("/somewhere/torchml_core")
BUILDS = {
    level: [f"__{name}__" for name in ("NO_MATH_ERRNO", *names)]
    for level, names in [("x86-64-v2", V2), ("x86-64-v3", V3), ("x86-64-v4", V4)]
}


def features(there):
    """What a processor says that has these alone of all that are looked up."""
    return {f"__{name}__": name in there for name in V4}


def test_the_build_in_use_runs_here():
    there = _processor.features()
    assert not _levels.missing_features(_processor.builds[_compiled.LEVEL], there)
    importlib.import_module("torchml_core._neighbors")
    loaded = Path(sys.modules["torchml_core._neighbors"].__file__)
    folder = _compiled.PACKAGE
    if len(_processor.builds) > 1:
        folder = folder / "_compiled_for" / _compiled.LEVEL.replace("-", "_")
    assert loaded == folder / f"_neighbors{EXTENSION_SUFFIXES[0]}"


@pytest.mark.parametrize(
    ("there", "level"), [(V4, "x86-64-v4"), (V3, "x86-64-v3"), (V4[:-1], "x86-64-v3")]
)
def test_the_best_build_that_runs_is_used(monkeypatch, there, level):
    monkeypatch.delenv("TORCHML_CORE_LEVEL", raising=False)
    assert _levels.choose_level(BUILDS, features(there), FOLDER) == level


def test_a_level_can_be_forced(monkeypatch):
    monkeypatch.setenv("TORCHML_CORE_LEVEL", "x86-64-v2")
    assert _levels.choose_level(BUILDS, features(V4), FOLDER) == "x86-64-v2"


@pytest.mark.parametrize("wanted", ["x86-64-v4", "v2", "x" * 500])
def test_a_level_that_cannot_be_used_is_refused(monkeypatch, wanted):
    monkeypatch.setenv("TORCHML_CORE_LEVEL", wanted)
    with pytest.raises(ImportError, match=r"LEVEL = '.{2,40}': x86-64-v2 or x86-64-v3 is needed"):
        _levels.choose_level(BUILDS, features(V3), FOLDER)


@pytest.mark.parametrize(("there", "march"), [(V3, "portable"), (V2, "portable"), ((), "none")])
def test_another_processor(there, march):
    native = {"native": ["__AVX512F__", "__AVX512VL__", "__NO_MATH_ERRNO__", "__znver4__"]}
    with pytest.raises(ImportError) as error:
        _levels.choose_level(native, features(there), FOLDER)
    assert "compiled for another processor (TORCHML_CORE_MARCH=native, in" in str(error.value)
    assert "this one lacks AVX512F, AVX512VL. Install it again" in str(error.value)
    assert f"`TORCHML_CORE_MARCH={march} pip install .`" in str(error.value)


@pytest.mark.parametrize(("n", "said"), [(4, "X0, X1, X2, X3"), (6, "X0, X1, X2, X3 and 2 others")])
def test_many_instructions_are_not_all_listed(n, said):
    """Those of a processor that is not known (no SSE at all) do not speak against a wheel."""
    there = {f"__X{k}__": False for k in range(n)}
    with pytest.raises(ImportError, match=rf"lacks {said}\. .* `TORCHML_CORE_MARCH=portable pip"):
        _levels.choose_level({"native": list(there)}, there, FOLDER)


def test_what_cannot_be_looked_up_is_not_missed(monkeypatch):
    monkeypatch.delenv("TORCHML_CORE_LEVEL", raising=False)
    assert _levels.choose_level({"native": ["__AVX512F__"]}, {}, FOLDER) == "native"


def test_modules_are_found_in_the_folder_of_the_build(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    folder = tmp_path / "_compiled_for" / "armv8_2_a"
    with pytest.raises(ImportError, match=r"armv8_2_a is missing: .* must be installed again"):
        _levels.use_level("armv8.2-a", tmp_path)
    file = folder / "cells" / f"grid{EXTENSION_SUFFIXES[0]}"
    file.parent.mkdir(parents=True)
    file.touch()
    _levels.use_level("armv8.2-a", tmp_path)
    _levels.use_level("armv8.2-a", tmp_path)  # as when the package is imported again
    finder, *others = sys.meta_path
    assert not any(isinstance(other, _levels.LevelFinder) for other in others)
    assert finder.find_spec("torchml_core.cells.grid").origin == str(file)
    for name in (
        "torchml_core",
        "torchml_core.cells",
        "torchml_core.errors",
        "cells.grid",
        "numpy",
    ):
        assert finder.find_spec(name) is None


# ---- the package as it is installed, in each of its builds and on other processors

EMULATOR = "qemu-x86_64"


def run_kernels(target, *emulator, level=""):
    command = [*emulator, sys.executable, level_values.__file__, str(target)]
    env = {**os.environ, "TORCHML_CORE_LEVEL": level, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, env=env, cwd=target.parent, capture_output=True, text=True)


def assert_same_values(done, target, level):
    assert done.returncode == 0, done.stderr
    found, here = np.load(target), level_values.values()
    assert str(found["level"]) == level
    for name, expected in here.items():
        scale = abs(expected).max()  # other instructions round otherwise
        tolerance = 1e-11 if expected.dtype == np.float64 else 1e-4
        np.testing.assert_allclose(
            found[name] / scale, expected / scale, rtol=0, atol=tolerance, err_msg=name
        )


@pytest.mark.slow
@pytest.mark.parametrize("level", _processor.builds)
def test_every_build_has_the_same_values(tmp_path, level):
    if _levels.missing_features(_processor.builds[level], _processor.features()):
        pytest.skip(f"this processor cannot run {level}")
    done = run_kernels(tmp_path / "values.npz", level=level)
    assert_same_values(done, tmp_path / "values.npz", level)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processor", "level"),
    [("Conroe", None), ("Nehalem", "x86-64-v2"), ("Haswell", "x86-64-v3")],
)
def test_other_processors(tmp_path, processor, level):
    emulator = shutil.which(EMULATOR)
    if emulator is None or platform.machine() != "x86_64":
        pytest.skip(f"{EMULATOR} (Debian: qemu-user) is needed on an x86-64 machine")
    done = run_kernels(tmp_path / "values.npz", emulator, "-cpu", processor)
    if level in _processor.builds:
        assert_same_values(done, tmp_path / "values.npz", level)
    elif done.returncode == 0:  # "none", or a native build on such an old processor
        assert_same_values(done, tmp_path / "values.npz", _compiled.LEVEL)
    else:
        said = done.stderr.splitlines()[-1]
        assert said.startswith("ImportError: torchml_core was compiled for another processor"), said
