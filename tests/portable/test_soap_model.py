"""Portable models with SOAP: from a descriptor and a network to forces, stress and inspection."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from click.testing import CliRunner
from requirements import SHARED_DATA
from small_models import DescriptorNet
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator
from torchml_core.cli import main
from torchml_core.testing import finite_difference_forces, finite_difference_stress

CUTOFF = 3.6
FROM_FILES = {
    "radial_basis": "polynomial",
    "smoothing": None,
    "cross_blocks": "upper",
    "normalization": "libdescriptor",
}
SETTINGS = {
    "of files": FROM_FILES,
    "default": {"sigma": 0.6},
    "unit norm": {"unit_norm": True, "cross_blocks": "upper"},
    "channels": {"species_weights": [[1.0, 0.4], [-0.8, 1.3]], "radial_basis": "polynomial"},
}


def silicon_carbide():
    atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
    atoms.set_cell(atoms.cell.array + np.diag([0.3, 0.2], k=1), scale_atoms=True)
    atoms.rattle(0.1, seed=4)
    return atoms


@pytest.fixture(params=SETTINGS)
def descriptor(request):
    return tm.SOAP(["Si", "C"], CUTOFF, 3, 2, **SETTINGS[request.param])


@pytest.fixture
def network(descriptor):
    """Values of SOAP are of very different sizes: the first layer divides them by theirs."""
    c = tm.Configuration.from_atoms(silicon_carbide(), CUTOFF)
    network = DescriptorNet(descriptor.width)
    size = np.abs(descriptor.compute(c)).max(axis=0)
    with torch.no_grad():
        network.first /= torch.from_numpy(np.where(size > 0, size, 1))
    return network


@pytest.fixture
def model(descriptor, network, tmp_path):
    with pytest.warns(tm.ModelWarning, match="centers of different species"):
        tm.PortableModel.create(
            tmp_path / "model", model=network, species=["C", "Si"], descriptor=descriptor
        )
    return tm.PortableModel.load(tmp_path / "model")


def test_what_is_loaded_is_what_was_created(model, descriptor, tmp_path):
    assert model.descriptor == descriptor
    assert model.parameters.descriptor == "SOAP"
    assert model.cutoff == model.influence_distance == CUTOFF
    model.save(tmp_path / "copy")
    assert tm.PortableModel.load(tmp_path / "copy").descriptor == descriptor


def test_energy_is_that_of_the_network(model, descriptor, network):
    atoms = silicon_carbide()
    c = tm.Configuration.from_atoms(atoms, CUTOFF, ["C", "Si"])
    expected = network(torch.from_numpy(descriptor.compute(c))).detach().numpy().ravel()
    prediction = model.evaluate(atoms)
    np.testing.assert_allclose(prediction.particle_energies[c.centers], expected, rtol=1e-12)
    assert prediction.energy == pytest.approx(expected.sum(), rel=1e-12)


@pytest.mark.parametrize("structure", [silicon_carbide, lambda: silicon_carbide() * (2, 1, 1)])
def test_forces_and_stress_by_finite_differences(model, structure):
    atoms = structure()
    prediction = model.evaluate(atoms).fold()
    expected = finite_difference_forces(model, atoms, indices=range(6))
    scale = np.abs(expected).max()
    assert scale > 1e-2
    np.testing.assert_allclose(prediction.forces[:6], expected, rtol=0, atol=1e-7 * scale)
    expected = finite_difference_stress(model, atoms)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(prediction.stress, expected, rtol=0, atol=1e-7 * scale)


def test_forces_of_a_molecule_by_finite_differences(model):
    rng = np.random.default_rng(2)
    atoms = Atoms("SiCSiC", positions=np.diag([1.9] * 4)[:, :3] + rng.uniform(-0.2, 0.2, (4, 3)))
    prediction = model.evaluate(atoms).fold()
    expected = finite_difference_forces(model, atoms)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(prediction.forces, expected, rtol=0, atol=1e-7 * scale)
    assert np.abs(prediction.forces.sum(axis=0)).max() < 1e-12 * scale


def test_isolated_atoms_have_no_forces(model):
    atoms = Atoms("SiC", positions=[[0, 0, 0], [0, 0, 50.0]])
    prediction = model.evaluate(atoms).fold()
    assert np.isfinite(prediction.energy)
    np.testing.assert_array_equal(prediction.forces, np.zeros((2, 3)))


def test_calculator(model):
    atoms = silicon_carbide()
    prediction = model.evaluate(atoms).fold()
    atoms.calc = TorchMLCalculator(model, skin=0.4)
    scale = np.abs(prediction.forces).max()
    np.testing.assert_allclose(atoms.get_forces(), prediction.forces, atol=1e-11 * scale)
    np.testing.assert_allclose(atoms.get_stress(), prediction.stress, atol=1e-11 * scale)


def test_inspect(model, descriptor, tmp_path):
    result = CliRunner().invoke(main, ["inspect", str(tmp_path / "model")])
    assert result.exit_code == 0, result.output
    assert "descriptor.dat: SOAP" in result.stdout
    path = str(tmp_path / "model" / "descriptor.dat")
    for options in ([], ["--kind", "soap"]):
        result = CliRunner().invoke(main, ["inspect", path, *options])
        assert result.exit_code == 0, result.output
        assert "SOAP" in result.stdout
        assert descriptor.labels[0] in result.stdout


def test_inspect_names_the_line_of_a_wrong_file(tmp_path):
    path = tmp_path / "wrong.dat"
    path.write_text("4\n3\n4.5\n-1\npolynomial\n1\nSi\n")
    result = CliRunner().invoke(main, ["inspect", str(path), "--kind", "SOAP"])
    assert result.exit_code == 1
    assert f"{path}:4: " in result.stdout.replace("\n", "")


def test_evaluate_command(model, tmp_path):
    from ase.io import read, write

    write(tmp_path / "in.extxyz", [silicon_carbide()])
    command = ["evaluate", str(tmp_path / "model"), str(tmp_path / "in.extxyz")]
    result = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "out.extxyz")])
    assert result.exit_code == 0, result.output
    prediction = model.evaluate(silicon_carbide()).fold()
    found = read(tmp_path / "out.extxyz")
    assert found.get_potential_energy() == pytest.approx(prediction.energy, rel=1e-6)


def test_model_of_another_width_is_refused(tmp_path):
    d = tm.SOAP(["Si"], CUTOFF, 3, 2)
    tm.PortableModel.create(
        tmp_path / "m", model=DescriptorNet(d.width + 1), species=["Si"], descriptor=d
    )
    with pytest.raises(tm.ModelError):
        tm.PortableModel.load(tmp_path / "m").evaluate(rattled_silicon(1))


def test_inspected_files(tmp_path):
    """In libdescriptor's layout and in KLIFF's; and those that libdescriptor was given."""
    for density in ("separate", "cumulative"):
        d = tm.SOAP(["Si", "C"], CUTOFF, 3, 2, species_density=density, **FROM_FILES)
        d.to_file(tmp_path / f"{density}.dat")
    given = SHARED_DATA / "libdescriptor" / "dat"
    for path in sorted([*tmp_path.glob("*.dat"), *given.glob("*__soap_*.dat")]):
        for options in ([], ["--kind", "SOAP"]):
            result = CliRunner().invoke(main, ["inspect", str(path), *options])
            assert result.exit_code == 0, result.output
