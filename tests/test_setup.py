"""The build: several levels in one package, and what it says where a compiler is missing."""

import os
import platform
import shutil
import subprocess
import sys

import pytest

FEW = ("_processor.pyx", "_parallel.pyx", "products.pyx")
# what gcc is where it has no OpenMP: threads of this package are those of the system
WITHOUT_OPENMP = """#!/bin/sh
case " $* " in *openmp*) echo "unsupported option -fopenmp" >&2; exit 1;; esac
exec gcc "$@"
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(project, tmp_path_factory):
    """A copy of the project with few compiled modules."""
    folder = tmp_path_factory.mktemp("source")
    generated = shutil.ignore_patterns("*.so", "*.c", "__pycache__")
    shutil.copytree(project / "torchml_core", folder / "torchml_core", ignore=generated)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project / name, folder)
    for path in folder.rglob("*.pyx"):
        if path.name not in FEW or path.parent.name == "kernel":
            path.unlink()
    return folder


def build(source, **variables):
    env = {name: value for name, value in os.environ.items() if not name.startswith("TORCHML")}
    command = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    env |= variables
    return subprocess.run(command, cwd=source, env=env, capture_output=True, text=True)


def refusal(done):
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_without_a_compiler(source):
    said = refusal(build(source, PATH="/nonexistent"))
    assert "torchml_core cannot be compiled: there is no " in said
    assert "apt install gcc libc6-dev python3-dev" in said


def test_without_python_headers(source, tmp_path):
    compiler = tmp_path / "compiler"
    compiler.write_text('#!/bin/sh\necho "fatal error: Python.h: No such file" >&2; exit 1\n')
    compiler.chmod(0o755)
    said = refusal(build(source, CC=str(compiler)))
    assert "cannot be compiled: fatal error: Python.h: No such file.\nA C compiler" in said


def test_a_processor_that_the_compiler_does_not_know(source):
    said = refusal(build(source, TORCHML_CORE_MARCH="x86-64-v7"))
    assert "TORCHML_CORE_MARCH = 'x86-64-v7': processors that " in said


@pytest.mark.skipif(platform.machine() != "x86_64", reason="of x86-64")
def test_each_module_is_built_for_each_level(source, tmp_path):
    compiler = tmp_path / "gcc-without-openmp"
    compiler.write_text(WITHOUT_OPENMP)
    compiler.chmod(0o755)
    done = build(source, CC=str(compiler), CFLAGS="-O0 -g0", TORCHML_CORE_MARCH="x86-64,x86-64-v2")
    assert done.returncode == 0, done.stderr
    built = {str(path.relative_to(source)).partition(".")[0] for path in source.rglob("*.so")}
    assert {path for path in built if not path.startswith("build")} == {
        "torchml_core/_processor",
        *(
            f"torchml_core/_compiled_for/{level}/{module}"
            for level in ("x86_64", "x86_64_v2")
            for module in ("_parallel", "simd/products")
        ),
    }
    script = "import torchml_core._parallel as m; print(m.__file__, m.idle_processors())"
    for level in ("x86-64", "x86-64-v2"):
        env = {**os.environ, "TORCHML_CORE_LEVEL": level, "PYTHONPATH": str(source)}
        run = [sys.executable, "-c", script]
        used = subprocess.run(run, cwd=source, env=env, capture_output=True, text=True, check=True)
        assert f"/_compiled_for/{level.replace('-', '_')}/_parallel." in used.stdout
