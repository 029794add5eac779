"""The kernels' tests once more, in a build with bounds checks and gcc's address sanitizer."""

import os
import shutil
import subprocess
import sys

import pytest

# Tests of compiled code that need no torch: the sanitizer would watch all of torch too.
TESTS = [
    "tests/test_neighbors.py",
    "tests/test_configuration.py",
    "tests/test_graph.py",
    "tests/test_verlet.py",
    "tests/kernels",
    "tests/descriptors",
    "--ignore=tests/descriptors/test_radial_basis.py",  # whole numbers of Python's, and slow here
]


def sanitizer_library():
    """The file to preload, or None where gcc has no address sanitizer."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    asked = [gcc, "-print-file-name=libasan.so"]
    path = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return path if os.path.isabs(path) else None


@pytest.mark.slow
def test_no_kernel_reads_or_writes_out_of_bounds(project, tmp_path):
    library = sanitizer_library()
    if library is None:
        pytest.skip("gcc with libasan is needed to build with the address sanitizer")
    generated = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "*.egg-info")
    for name in ("torchml_core", "tests"):
        shutil.copytree(project / name, tmp_path / name, ignore=generated)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project / name, tmp_path)
    flags = "-fsanitize=address"
    env = {**os.environ, "TORCHML_CORE_DEBUG": "1", "CFLAGS": flags, "LDFLAGS": flags}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=tmp_path, env=env, check=True, capture_output=True)

    # Python keeps memory to its end: leaks are not looked for. The copy comes before the install.
    env |= {
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": str(tmp_path),
        "PYTHONMALLOC": "malloc",
    }
    env.pop("TORCHML_CORE_REQUIRE", None)  # the copy does not stand beside the reference data
    run = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    where = [sys.executable, "-c", "import torchml_core._neighbors as m; print(m.__file__)"]
    used = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert used.stdout.startswith(str(tmp_path))
