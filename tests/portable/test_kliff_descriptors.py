"""Descriptor models that KLIFF trained and exported: its own descriptors, energies and forces."""

import numpy as np
import pytest
from ase import Atoms
from click.testing import CliRunner
from requirements import has_shared_data
from small_models import DescriptorNet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.cli import main
from torchml_core.testing import check_descriptor

# the network that is made up where KLIFF's is absent is not told the species
pytestmark = pytest.mark.filterwarnings("ignore::torchml_core.ModelWarning")


@pytest.fixture(params=["soap_Si", "soap_SiC"])
def folder(request, tmp_path):
    """A model that KLIFF exported; where it is absent, a made-up one with such a descriptor."""
    if has_shared_data():
        return request.getfixturevalue("shared_data") / "kliff" / request.param
    species = {"soap_Si": ["Si"], "soap_SiC": ["Si", "C"]}[request.param]
    settings = {"cross_blocks": "upper", "normalization": "libdescriptor", "smoothing": None}
    d = tm.SOAP(
        species, 4.0, 3, 2, radial_basis="polynomial", species_density="cumulative", **settings
    )
    network = DescriptorNet(d.width)
    return tm.PortableModel.create(
        tmp_path / request.param, model=network, species=species, descriptor=d
    ).folder


@pytest.fixture
def kliff(folder, shared_data):
    """KLIFF's own numbers."""
    with np.load(folder / "reference.npz") as arrays:
        return dict(arrays)


@pytest.fixture
def atoms(kliff):
    return Atoms(
        list(kliff["species"]), positions=kliff["coords"], cell=kliff["cell"], pbc=kliff["pbc"]
    )


def test_numbers_are_those_of_kliff(folder, kliff, atoms):
    model = tm.PortableModel.load(folder)
    c = tm.Configuration.from_atoms(atoms, model.cutoff, model.species)
    largest = np.abs(kliff["X"]).max()
    np.testing.assert_allclose(
        model.descriptor.compute(c), kliff["X"], rtol=0, atol=2e-10 * largest
    )
    prediction = model.evaluate(atoms).fold()
    assert prediction.energy == pytest.approx(float(kliff["e"]), rel=1e-10)
    np.testing.assert_allclose(prediction.forces, kliff["f"], rtol=0, atol=1e-10)


def test_descriptor_and_its_file(folder, tmp_path):
    d = tm.PortableModel.load(folder).descriptor
    assert d.species_density == "cumulative"
    atoms = rattled_silicon(1)
    atoms.symbols[::3] = d.species[-1]
    check_descriptor(d, atoms)
    d.to_file(tmp_path / "again.dat")
    assert tm.read_descriptor(tmp_path / "again.dat", "SOAP") == d


def test_inspect_says_what_the_densities_are(folder):
    result = CliRunner().invoke(main, ["inspect", str(folder)])
    assert result.exit_code == 0, result.output
    assert "species density     cumulative: Si" in result.output
    if folder.name == "soap_SiC":
        assert "Si, Si+C; the file is in KLIFF's layout" in result.output
