"""What is said in several files about versions and dependencies is the same in all of them."""

import re

import pytest
import yaml

import torchml_core as tm

tomllib = pytest.importorskip("tomllib")  # since Python 3.11

CONDA_NAMES = {"torch": "pytorch", "PyYAML": "pyyaml"}


@pytest.fixture(scope="module")
def metadata(project):
    return tomllib.loads((project / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def recipe(project):
    return yaml.safe_load((project / "recipe" / "recipe.yaml").read_text())


def test_version(project, metadata, recipe):
    citation = yaml.safe_load((project / "CITATION.cff").read_text())
    assert metadata["version"] == tm.__version__
    assert citation["version"] == tm.__version__
    assert recipe["context"]["version"] == tm.__version__


def test_recipe_requires_what_the_package_requires(metadata, recipe):
    expected = {"python"}
    for requirement in metadata["dependencies"]:
        name, versions = re.fullmatch(r"([\w.-]+)(.*)", requirement).groups()
        expected.add(f"{CONDA_NAMES.get(name, name)} {versions}".strip())
    assert set(recipe["requirements"]["run"]) == expected


def test_recipe_builds_with_what_the_package_is_built_with(project, recipe):
    pyproject = tomllib.loads((project / "pyproject.toml").read_text())
    host = {line.split()[0] for line in recipe["requirements"]["host"]}
    needed = {re.match(r"\w+", line)[0].lower() for line in pyproject["build-system"]["requires"]}
    assert needed < host


def test_the_conda_environment_of_the_documentation_has_all_requirements(project, metadata):
    line = re.search(r"conda create .*", (project / "docs" / "install.md").read_text())[0]
    named = {re.match(r"[\w-]+", word)[0] for word in line.split()[4:] if word[0].isalpha()}
    for requirement in metadata["dependencies"]:
        name = re.match(r"[\w.-]+", requirement)[0]
        assert CONDA_NAMES.get(name, name) in named | {n.removesuffix("-cpu") for n in named}, name
