"""The descriptor of CONTRIBUTING.md, compiled outside the package as the page says."""

import re
import shutil

import numpy as np
import pytest
from compiled import compile_folder, import_from
from descriptors.kit import DescriptorKit, silicon_carbide

import torchml_core as tm
from torchml_core.descriptors import registry

pytestmark = pytest.mark.slow  # it is compiled
CUTOFF, ETA = 4.3, (0.1, 0.5, 2.0)


@pytest.fixture(scope="module")
def gaussians(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe") / "descriptor"
    generated = shutil.ignore_patterns("*.so", "*.c", "build", "__pycache__")
    shutil.copytree(project / "examples" / "descriptor", folder, ignore=generated)
    compile_folder(folder)
    return import_from(folder, "gaussians")


@pytest.fixture(params=[["Si", "C"], ["C", "Si", "Ge"]], ids=len)
def descriptor(gaussians, request):
    return gaussians.Gaussians(request.param, CUTOFF, ETA)


class TestKit(DescriptorKit):
    """All that every descriptor must pass."""


def test_values(descriptor):
    c = tm.Configuration.from_atoms(silicon_carbide(), CUTOFF)
    rows = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
    r = np.linalg.norm(c.positions[c.neighbors] - c.positions[c.centers[rows]], axis=1)
    fc = np.where(r < CUTOFF, 0.5 * (np.cos(np.pi * r / CUTOFF) + 1), 0)
    expected = np.zeros((c.n_centers, len(ETA)))
    for k, eta in enumerate(ETA):
        np.add.at(expected[:, k], rows, np.exp(-eta * r**2) * fc)
    np.testing.assert_allclose(descriptor.compute(c), expected, rtol=1e-13)


@pytest.mark.parametrize("wrong", [(), (0.1, -1), ("x",)])
def test_wrong_settings_are_named(gaussians, wrong):
    with pytest.raises(tm.InputError, match=r"eta.* is needed"):
        gaussians.Gaussians(["Si"], CUTOFF, wrong)


def test_its_file_is_read_by_name(gaussians, descriptor, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    tm.register_descriptor(gaussians.Gaussians)
    descriptor.to_file(tmp_path / "gaussians.dat")
    assert tm.read_descriptor(tmp_path / "gaussians.dat", "Gaussians") == descriptor
    (tmp_path / "wrong.dat").write_text("Si\n4.0\n0.5 -1\n")
    with pytest.raises(tm.FileFormatError, match=r"wrong.dat:3: eta\[1\] = -1"):
        tm.read_descriptor(tmp_path / "wrong.dat", "Gaussians")


def test_the_page_names_what_there_is(project):
    page = (project / "docs" / "add_a_descriptor.md").read_text()
    assert "python setup.py build_ext --inplace" in page
    named = set(re.findall(r"\]\(([^)]+)\)", page))
    own = {f"../examples/descriptor/{name}" for name in ("gaussians/kernel.pyx", "setup.py")}
    assert own | {"../examples/descriptor/gaussians/gaussians.py"} <= named
    for name in named:
        assert (project / "docs" / name).exists(), name
