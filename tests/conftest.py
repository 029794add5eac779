"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

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
    if not SHARED_DATA.is_dir():
        reason = f"reference data not found at {SHARED_DATA}"
        if os.environ.get("TORCHML_CORE_REQUIRE"):
            pytest.fail(f"{reason}, and TORCHML_CORE_REQUIRE is set")
        pytest.skip(reason)
    return SHARED_DATA
