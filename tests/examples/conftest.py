"""The example scripts as modules, and the models and structures that they made."""

import importlib
from pathlib import Path

import ase.io
import pytest
from one_thread import one_torch_thread  # noqa: F401  a fixture of all tests here

import torchml_core as tm

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def examples():
    """The folder of the examples."""
    return EXAMPLES


@pytest.fixture(scope="session")
def script():
    """Import a script of examples/models or examples/structures by its name."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        for folder in ("models", "structures"):
            monkeypatch.syspath_prepend(EXAMPLES / folder)
        yield importlib.import_module


@pytest.fixture(scope="session")
def silicon_sets(script, training_file):
    """The silicon training set, divided as the training scripts divide it."""
    data = script("silicon_data")
    return data.split(data.read(training_file))


@pytest.fixture
def example_model():
    """Load one of the models by its name."""
    return lambda name: tm.PortableModel.load(EXAMPLES / "models" / name)


@pytest.fixture
def structure():
    """Read one of the structures by its name."""
    return lambda name: ase.io.read(EXAMPLES / "structures" / f"{name}.extxyz")
