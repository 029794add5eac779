"""What importing the package costs, and that its public names are there."""

import subprocess
import sys

import pytest

import torchml_core as tm


def test_import_loads_neither_torch_nor_ase():
    check = (
        "import sys, torchml_core as tm; tm.Configuration, tm.neighbor_list, tm.SymmetryFunctions;"
        "print([name for name in ('torch', 'ase', 'rich', 'click') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", tm.__all__)
def test_public_names_are_there(name):
    assert getattr(tm, name) is not None
    assert name in dir(tm)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'SOUP'"):
        tm.SOUP  # noqa: B018


def test_every_error_is_the_built_in_one_too():
    for error, kind in [
        (tm.InputError, ValueError),
        (tm.InstallationError, RuntimeError),
        (tm.FileAccessError, OSError),
        (tm.FileFormatError, ValueError),
        (tm.MissingFileError, FileNotFoundError),
        (tm.ModelError, RuntimeError),
        (tm.UnsupportedError, NotImplementedError),
    ]:
        assert issubclass(error, tm.TorchMLError)
        assert issubclass(error, kind)
