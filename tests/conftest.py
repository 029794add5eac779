"""Fixtures that every test may use."""

import gzip
import io
import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a core; NumPy, SciPy and torch read this while they are loaded.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import ase.io
import pytest
from quick import pytest_collection_modifyitems  # noqa: F401  a hook
from requirements import SHARED_DATA, has_shared_data, need
from workers import pytest_xdist_make_scheduler

pytest_xdist_make_scheduler = pytest.hookimpl(optionalhook=True)(pytest_xdist_make_scheduler)

PROJECT = Path(__file__).resolve().parents[1]
OTHERS = {
    "raw": "TorchMLModel1_SW",
    "descriptor": "TorchMLModel2_Desc",
    "graph": "TorchMLModel3_Graph",
}


@pytest.fixture(scope="session")
def project():
    """The folder of the checkout."""
    return PROJECT


@pytest.fixture(scope="session")
def examples():
    """The folder of the examples."""
    return PROJECT / "examples"


@pytest.fixture(scope="session")
def shared_data():
    """The folder of reference data; absent for most users, required in our CI."""
    need(SHARED_DATA.is_dir(), f"reference data not found at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def models_of_others(request, tmp_path_factory):
    """{convention: folder} of models of silicon that others wrote, or of made-up ones like them."""
    if has_shared_data():
        folder = request.getfixturevalue("shared_data") / "portable_models"
        return {convention: folder / name for convention, name in OTHERS.items()}
    import stand_ins  # loads torch

    return stand_ins.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def training_file(request, tmp_path_factory):
    """KLIFF's silicon training set, 750 frames, or 120 made-up ones in the same form."""
    if has_shared_data():
        return request.getfixturevalue("shared_data") / "si.extxyz.gz"
    import stand_ins

    return stand_ins.write_training_set(tmp_path_factory.mktemp("data") / "si.extxyz.gz")


@pytest.fixture(scope="session")
def silicon_frames(training_file):
    """Frames of the training set; unpacked first, since ASE seeks in the file."""
    text = gzip.decompress(training_file.read_bytes()).decode()
    return lambda index: ase.io.read(io.StringIO(text), index, format="extxyz")
