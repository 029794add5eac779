"""The kernels' quick tests once more, in a build with bounds checks and gcc's sanitizers."""

import os
import shutil
import subprocess
import sys

import pytest

# Tests of compiled code that need no torch: the sanitizer would watch all of torch too.
TESTS = [
    "tests/test_neighbors.py",
    "tests/test_pairs.py",
    "tests/test_configuration.py",
    "tests/test_graph.py",
    "tests/test_verlet.py",
    "tests/kernels",
    "tests/descriptors",
    "tests/pair_terms",
    "--deselect=tests/pair_terms/test_zbl.py::test_equal_to_lammps",  # another program
    "--deselect=tests/descriptors/test_xi.py::test_a_portable_model",  # torch
    # integers of Python's and mpmath, no compiled code of ours, and slow here
    "--ignore=tests/descriptors/test_radial_basis.py",
    "--ignore=tests/descriptors/test_soap_reference.py",
]
WITHOUT_TESTS = ("_kim.pyx",)  # its tests need the KIM-API
# Of null pointers the processor tells itself, of objects' sizes the address sanitizer; these checks
# and the places of variables for a debugger would make the compiler take twice as long.
FLAGS = (
    "-fsanitize=address,undefined -fno-sanitize=null,object-size,pointer-overflow -fno-var-tracking"
)


def sanitizer_libraries():
    """The files to preload, or None where gcc has no sanitizers."""
    gcc = shutil.which("gcc")
    if gcc is None:
        return None
    paths = []
    for name in ("libasan.so", "libubsan.so"):
        asked = [gcc, f"-print-file-name={name}"]
        done = subprocess.run(asked, capture_output=True, text=True, check=True)
        paths.append(done.stdout.strip())
    return " ".join(paths) if all(map(os.path.isabs, paths)) else None


@pytest.mark.slow
def test_no_kernel_reads_or_writes_out_of_bounds(project, tmp_path):
    """In a build as users make it, for this processor: its vector code must be looked at."""
    libraries = sanitizer_libraries()
    if libraries is None:
        pytest.skip("gcc with libasan and libubsan is needed to build with the sanitizers")
    generated = shutil.ignore_patterns("*.so", "*.c", "__pycache__", "*.egg-info", *WITHOUT_TESTS)
    for name in ("torchml_core", "tests"):
        shutil.copytree(project / name, tmp_path / name, ignore=generated)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project / name, tmp_path)
    env = {**os.environ, "TORCHML_CORE_BUILD": "debug", "CFLAGS": FLAGS, "LDFLAGS": FLAGS}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    subprocess.run(build, cwd=tmp_path, env=env, check=True, capture_output=True)

    # Python keeps memory to its end: leaks are not looked for. The copy comes before the install.
    env |= {
        "LD_PRELOAD": libraries,
        "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "PYTHONPATH": str(tmp_path),
        "PYTHONMALLOC": "malloc",
    }
    for name in list(env):  # the copy is not beside the reference data, and is no worker of xdist
        if name == "TORCHML_CORE_REQUIRE" or name.startswith("PYTEST_"):
            del env[name]
    chosen = ["-m", "not slow", "--hypothesis-profile=quick", *TESTS]
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *chosen]
    done = subprocess.run(run, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    where = [sys.executable, "-c", "import torchml_core._neighbors as m; print(m.__file__)"]
    used = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    assert used.stdout.startswith(str(tmp_path))
