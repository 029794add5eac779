"""Fixtures that every test may use."""

import gzip
import io
import os
from pathlib import Path

import ase.io
import pytest
from requirements import need

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each of pytest-xdist's workers has a core; before torch is loaded, which reads it once.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

PROJECT = Path(__file__).resolve().parents[1]
SHARED_DATA = PROJECT.parent / "shared" / "data"


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
def silicon_frames(shared_data):
    """KLIFF's silicon training set, 750 frames; unpacked first, since ASE seeks in the file."""
    text = gzip.decompress((shared_data / "si.extxyz.gz").read_bytes()).decode()
    return lambda index: ase.io.read(io.StringIO(text), index, format="extxyz")
