"""What tests need beside the package: absent for some users, required in our CI."""

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
REQUIRED = bool(os.environ.get("TORCHML_CORE_REQUIRE"))


def need(found, reason):
    """Return what was found; where it is nothing, skip the test, or fail it in our CI."""
    if not found:
        if REQUIRED:
            pytest.fail(f"{reason}, and TORCHML_CORE_REQUIRE is set")
        pytest.skip(reason)
    return found


def has_shared_data():
    """Whether to use reference data: where it is absent, made-up data may do (``stand_ins.py``).

    In our CI, where it is required, its absence is not made up for.
    """
    return REQUIRED or SHARED_DATA.is_dir()


def shared_cases(names):
    """The parameters of a test of reference cases; where they are absent, a single one to skip."""
    return names if has_shared_data() else names[:1]
