"""Pages whose examples take more than a few seconds are slow tests."""

import pytest

SLOW = {"bring_your_model.md", "training.md", "tutorial_training.md"}


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.name in SLOW and item.path.parent.name == "docs":
            item.add_marker(pytest.mark.slow)
