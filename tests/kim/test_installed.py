"""``torchml-core kim list`` and ``remove``: what is ours is listed, and only what is named goes."""

import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import torchml_core as tm
from torchml_core.cli import main
from torchml_core.kim import installed, system
from torchml_core.kim.installed import MARK, list_installed, remove

DRIVER, MODEL = "TorchMLModelDriver", "StillingerWeber_Si"


@pytest.fixture
def run():
    def run(*words):
        return CliRunner().invoke(main, ["kim", *map(str, words)])

    return run


@pytest.fixture
def copies(collection, example_folders, tmp_path, monkeypatch):
    """The driver and a model, in two collections that the test may change: {collection: folder}."""
    collection.model(example_folders[MODEL])
    folders = {}
    lines = []
    for name in ("environment", "user"):
        folders[name] = tmp_path / name
        for kind, item in (("model-drivers", DRIVER), ("portable-models", MODEL)):
            source = collection.folder / "environment" / kind / item
            shutil.copytree(source, folders[name] / kind / item)
        (folders[name] / "simulator-models").mkdir()
    for kind in ("model-drivers", "portable-models", "simulator-models"):
        variable = f"KIM_API_{kind.upper().replace('-', '_')}_DIR"
        monkeypatch.setenv(variable, str(folders["environment"] / kind))
        lines.append(f"{kind}-dir = {folders['user'] / kind}\n")
    (tmp_path / "configuration").write_text("".join(lines))
    monkeypatch.setenv("KIM_API_CONFIGURATION_FILE", str(tmp_path / "configuration"))
    return folders


def there():
    return [(one.item.kind, one.item.collection) for one in list_installed()]


ALL = [("driver", "environment"), ("driver", "user"), ("model", "environment"), ("model", "user")]


def test_list(run, copies):
    """Ours in all collections and none of the others that are installed beside them."""
    result = run("list")
    assert result.exit_code == 0
    hidden = "hidden by the one in environment"
    assert [line.split(maxsplit=4) for line in result.output.splitlines()[1:]] == [
        ["driver", DRIVER, "environment", sys.executable],
        ["driver", DRIVER, "user", sys.executable, hidden],
        ["model", MODEL, "environment", DRIVER],
        ["model", MODEL, "user", DRIVER, hidden],
    ]


def test_list_of_nothing(run, copies):
    for folder in copies.values():
        for kind in ("model-drivers", "portable-models"):
            shutil.rmtree(folder / kind)
    assert run("list").output == "none is installed\n"


def test_models_are_ours_without_their_driver(copies):
    for folder in copies.values():
        shutil.rmtree(folder / "model-drivers" / DRIVER)
    assert there() == ALL[2:]


@pytest.mark.parametrize("where", ["environment", "user"])
def test_remove_one_of_two(run, copies, where):
    result = run("remove", MODEL, DRIVER, "--collection", where)
    assert (
        result.output
        == f"removed the model {MODEL} ({where})\nremoved the driver {DRIVER} ({where})\n"
    )
    assert there() == [place for place in ALL if place[1] != where]


def test_what_is_refused(run, copies):
    folder = copies["user"] / "model-drivers"
    shutil.copytree(folder / DRIVER, folder / "Foreign")
    (library,) = (folder / "Foreign").glob("lib*.so")
    library.write_bytes(library.read_bytes().replace(MARK, MARK.upper()))
    for words, message in (
        ([MODEL], f"name = '{MODEL}': installed in environment and user"),
        (["Nothing"], "name = 'Nothing': no driver or model of this name is installed"),
        ([MODEL, "--collection", "system"], "in the collection system (but in environment, user)"),
        (
            ["Foreign"],
            "name = 'Foreign': this driver does not belong to torchml_core; --force removes it",
        ),
    ):
        result = run("remove", *words)
        assert result.exit_code == 1
        assert message in result.stderr
    assert run("remove", MODEL, "--collection", "mine").exit_code == 2
    with pytest.raises(tm.InputError, match="collection = 'mine': one of"):
        remove([MODEL], "mine")
    assert there() == ALL
    assert run("remove", "Foreign", "--force").exit_code == 0
    assert not (folder / "Foreign").exists()


def test_a_driver_that_models_ask_for(run, copies):
    remove([DRIVER], "user")  # another one is left
    result = run("remove", DRIVER)
    assert result.exit_code == 1
    assert f"installed models use this driver, for example {MODEL} (environment)" in result.stderr
    assert there() == [ALL[0], *ALL[2:]]
    assert run("remove", DRIVER, "--force").exit_code == 0
    assert there() == ALL[2:]


def test_a_removal_that_fails(run, copies, monkeypatch, tmp_path):
    (tmp_path / "rm").write_text("#!/bin/sh\necho not permitted >&2\nexit 1\n")
    (tmp_path / "rm").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    result = run("remove", MODEL, "--collection", "user")
    assert result.exit_code == 1
    assert f"{MODEL} (user) was not removed. KIM's tools said:" in result.stderr
    assert "not permitted" in result.stderr


def test_an_installation_touches_no_other_collection(run, copies):
    """KIM's own tool would remove the first of this name that it finds, a site's driver say."""
    before = [path.stat().st_ino for path in sorted(copies["environment"].rglob("lib*.so"))]
    result = run("install-driver")
    assert result.output == (
        f"installed the driver {DRIVER} (user)\n"
        f"note: KIM uses the driver {DRIVER} in environment instead of it\n"
    )
    assert there() == ALL
    after = [path.stat().st_ino for path in sorted(copies["environment"].rglob("lib*.so"))]
    assert before == after


def test_files_that_cannot_be_read_are_not_ours(tmp_path):
    (tmp_path / "libkim.so").touch()  # empty
    item = system.Item("driver", "user", "D", tmp_path)
    assert installed.python_of(item) is None
    assert installed.python_of(item._replace(folder=Path("/nowhere"))) is None
