"""``torchml-core kim install-driver`` and ``install``: what is refused, and how."""

import os
import shutil
import tarfile

import pytest
from click.testing import CliRunner

import torchml_core as tm
from torchml_core.cli import main
from torchml_core.kim import system
from torchml_core.kim.install import install_driver, install_model


@pytest.fixture
def run(collection):
    def run(*words):
        return CliRunner().invoke(main, ["kim", *map(str, words)])

    return run


@pytest.mark.parametrize("name", ["", "1a", "a b", "../a", "a;b", "é"])
def test_names_that_kim_does_not_take(name, run, example_folders):
    model = example_folders["StillingerWeber_Si"]
    for words in (["install", model, "--name", name], ["install-driver", "--name", name]):
        result = run(*words, "--collection", "environment")
        assert result.exit_code == 1
        assert f"name = {name!r}: a name of letters, digits and underscores" in result.stderr


def test_hyphens_are_for_models_only(run, example_folders, tmp_path):
    """A driver's name is in its models' files; that of a model is chosen here, as in KLIFF."""
    assert "name = 'a-b': a name of" in run("install-driver", "--name", "a-b").stderr
    folder = tmp_path / "1-model"
    shutil.copytree(example_folders["StillingerWeber_Si"], folder)
    result = run("install", folder, "--collection", "environment")
    assert result.exit_code == 1
    assert "name = '1_model': a name of" in result.stderr


@pytest.mark.slow
def test_a_tarball_of_kliff_s(run, collection, example_folders, tmp_path):
    """As KLIFF's save_kim_model makes it, with a hyphen and with files that are none of ours."""
    folder = tmp_path / "my-model"
    shutil.copytree(example_folders["StillingerWeber_Si"], folder)
    folder.joinpath("CMakeLists.txt").write_text("project(my_model)\n")
    with tarfile.open(tmp_path / "my-model.tar.gz", "w:gz") as tar:
        tar.add(folder, arcname=folder.name)
    result = run("install", tmp_path / "my-model.tar.gz", "--collection", "environment")
    assert result.exit_code == 0, result.output
    assert "installed the model my_model (environment)" in result.output
    assert "my_model" in {item.name for item in system.installed_items("model")}


def test_unknown_collections(run, example_folders):
    model = example_folders["StillingerWeber_Si"]
    assert run("install", model, "--collection", "mine").exit_code == 2
    with pytest.raises(tm.InputError, match="collection = 'mine': one of 'user', 'environment'"):
        install_model(model, collection="mine")
    with pytest.raises(tm.InputError, match="collection = 'mine'"):
        install_driver(collection="mine")


@pytest.mark.parametrize("name", ["model.param", "model.pt", "descriptor.dat"])
def test_a_model_that_lacks_a_file(name, run, example_folders, tmp_path):
    folder = shutil.copytree(example_folders["SymmetryFunctions_Si"], tmp_path / "Incomplete")
    (folder / name).unlink()
    result = run("install", folder, "--collection", "environment")
    assert result.exit_code == 1
    assert str(folder) in result.stderr
    assert "Incomplete" not in {item.name for item in system.installed_items("model")}


def test_a_model_that_is_none(run, example_folders, tmp_path):
    folder = shutil.copytree(example_folders["SymmetryFunctions_Si"], tmp_path / "Broken")
    (folder / "model.pt").write_bytes(b"no model")
    result = run("install", folder, "--collection", "environment")
    assert result.exit_code == 1
    assert "model.pt" in result.stderr
    result = run("install", tmp_path / "nowhere", "--collection", "environment")
    assert result.exit_code == 1
    assert (
        "nowhere: there is no such file; a portable model's folder or tarball is needed"
        in result.stderr
    )


def test_a_driver_that_is_not_installed(run, example_folders):
    model = example_folders["StillingerWeber_Si"]
    result = run("install", model, "--driver", "Absent", "--collection", "environment")
    assert result.exit_code == 1
    assert "the driver Absent is not installed: `torchml-core kim install-driver" in result.stderr


def test_what_a_build_said_is_shown(run, example_folders, monkeypatch, tmp_path):
    (tmp_path / "cmake").write_text("#!/bin/sh\necho the disk is full >&2\nexit 1\n")
    (tmp_path / "cmake").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    model = example_folders["StillingerWeber_Si"]
    result = run("install", model, "--name", "Unbuilt", "--collection", "environment")
    assert result.exit_code == 1
    assert "Unbuilt was not installed; `torchml-core kim doctor`" in result.stderr
    assert "the disk is full" in result.stderr


def test_without_the_kim_api(run, example_folders, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = run("install-driver", "--collection", "environment")
    assert result.exit_code == 1
    assert "kim-api-collections-management is not on PATH: install the KIM-API" in result.stderr


def test_other_names_and_again(run, collection, example_folders):
    """The name that models of openkim.org ask for; what is there is replaced."""
    driver, where = "TorchML__MD_173118614730_000", ("--collection", "environment")
    for _ in range(2):
        assert run("install-driver", "--name", driver, *where).exit_code == 0
    model = example_folders["StillingerWeber_Si"]
    result = run("install", model, "--name", "Renamed", "--driver", driver, *where)
    assert (
        result.output == f"installed the model Renamed (environment), under the driver {driver}\n"
    )
    drivers = [i for i in system.installed_items("driver") if i.name == driver]
    assert [i.collection for i in drivers] == ["environment"]
    assert collection.folder in drivers[0].folder.parents
