"""What tests need beside the package: absent for some users, required in our CI."""

import os

import pytest


def need(found, reason):
    """Return what was found; where it is nothing, skip the test, or fail it in our CI."""
    if not found:
        if os.environ.get("TORCHML_CORE_REQUIRE"):
            pytest.fail(f"{reason}, and TORCHML_CORE_REQUIRE is set")
        pytest.skip(reason)
    return found
