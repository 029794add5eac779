"""Fixtures that every test may use."""

from pathlib import Path

import pytest
from requirements import need

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
