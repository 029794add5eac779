"""A small model in a folder, structures in files, and the command to try on them."""

import pytest
import small_models
import structures
from ase.io import write
from click.testing import CliRunner
from one_thread import one_torch_thread  # noqa: F401  a fixture of all tests here

import torchml_core as tm
from torchml_core.cli import main


@pytest.fixture
def run():
    """Run the command in this process: ``run("inspect", path)``; arguments become texts."""

    def run(*arguments, **options):
        return CliRunner().invoke(main, [str(a) for a in arguments], **options)

    return run


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A raw model of silicon and carbon."""
    folder = tmp_path_factory.mktemp("models") / "pairs"
    tm.PortableModel.create(
        folder,
        model=small_models.PairNet(),
        species=["Si", "C"],
        cutoff=small_models.CUTOFF,
        convention="raw",
    )
    return folder


@pytest.fixture(scope="session")
def model(model_folder):
    return tm.PortableModel.load(model_folder)


@pytest.fixture(scope="session")
def silicon():
    """Three periodic structures, all different, without results."""
    return [structures.rattled_silicon(1, seed=seed) for seed in range(3)]


@pytest.fixture
def silicon_file(silicon, tmp_path):
    """Those structures in an extended XYZ file."""
    path = tmp_path / "silicon.extxyz"
    write(path, silicon)
    return path
