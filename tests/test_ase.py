"""The ASE calculator: right values, independence of the skin, molecular dynamics, refusals."""

import numpy as np
import pytest
import small_models
from ase import units
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.filters import StrainFilter
from ase.io import read, write
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator
from torchml_core.testing import finite_difference_forces, finite_difference_stress


@pytest.fixture(scope="module")
def descriptor_model(examples):
    return tm.PortableModel.load(examples / "models" / "SymmetryFunctions_Si")


@pytest.fixture(scope="module")
def raw_model(examples):
    return tm.PortableModel.load(examples / "models" / "StillingerWeber_Si")


@pytest.fixture(scope="module")
def graph_model(examples):
    return tm.PortableModel.load(examples / "models" / "Graph_Si")


@pytest.mark.parametrize("name", ["descriptor_model", "raw_model", "graph_model"])
def test_values_are_those_of_the_model_and_of_finite_differences(name, request):
    model = request.getfixturevalue(name)
    atoms = rattled_silicon(1)
    atoms.calc = TorchMLCalculator(model, skin=0.3)
    prediction = model.evaluate(atoms).fold()
    assert atoms.get_potential_energy() == pytest.approx(prediction.energy, rel=1e-12)
    assert atoms.calc.results["free_energy"] == atoms.get_potential_energy()
    forces, stress = atoms.get_forces(), atoms.get_stress()
    np.testing.assert_allclose(forces, prediction.forces, rtol=0, atol=1e-10)
    scale = np.abs(forces).max()
    expected = finite_difference_forces(model, atoms, indices=[0, 5])
    np.testing.assert_allclose(forces[[0, 5]], expected, rtol=0, atol=1e-7 * scale)
    expected = finite_difference_stress(model, atoms)
    np.testing.assert_allclose(stress, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


def test_energies_and_stresses_add_up(descriptor_model):
    atoms = rattled_silicon(1)
    atoms.calc = TorchMLCalculator(descriptor_model)
    assert atoms.get_potential_energies().sum() == pytest.approx(atoms.get_potential_energy())
    assert atoms.get_stresses().shape == (8, 6)
    np.testing.assert_allclose(atoms.get_stresses().sum(axis=0), atoms.get_stress(), atol=1e-12)


@pytest.mark.parametrize(
    "change",
    ["nothing", "charges", "positions", "numbers", "cell", "cell.array", "pbc", "pbc[2]", "order"],
)
def test_what_a_model_sees_is_evaluated_anew(descriptor_model, change):
    atoms = bulk("Si", cubic=True)  # of the model's one species, so changed numbers are refused
    atoms.calc = TorchMLCalculator(descriptor_model, extrapolation="ignore")  # a surface
    atoms.get_potential_energy()
    if change == "charges":
        atoms.set_initial_charges([0.5] * 8)
    elif change == "positions":
        atoms.positions[2, 1] = np.nextafter(atoms.positions[2, 1], 9)
    elif change == "numbers":
        atoms.numbers[3] = 6
    elif change == "cell.array":
        atoms.cell.array[1, 1] *= 1.01
    elif change == "pbc[2]":
        atoms.pbc[2] = False
    elif change == "order":
        atoms.arrays["positions"] = atoms.positions[::-1]  # not contiguous
    elif change == "cell":
        atoms.set_cell(atoms.cell * 1.01, scale_atoms=False)
    elif change == "pbc":
        atoms.pbc = (True, True, False)
    changes = {"nothing": [], "charges": [], "order": ["positions"]}
    changes = changes.get(change, [change.split(".")[0].split("[")[0]])
    assert atoms.calc.check_state(atoms) == changes
    if change == "numbers":
        with pytest.raises(tm.InputError, match="atom 3 is C"):
            atoms.get_potential_energy()
    else:
        expected = descriptor_model.evaluate(atoms).energy
        assert atoms.get_potential_energy() == pytest.approx(expected, rel=1e-12)


def test_atoms_of_the_calculator_are_those_of_the_results(descriptor_model):
    """Whatever happens to the atoms that were given, or to those that it returned."""
    atoms = bulk("Si", cubic=True)
    calculator = TorchMLCalculator(descriptor_model, extrapolation="ignore")
    assert calculator.atoms is None
    energy = calculator.get_property("energy", atoms)
    before = atoms.copy()
    atoms.positions[0] += 0.1
    atoms.cell.array[0, 0] += 1
    calculator.atoms.positions[0] += 0.1
    assert calculator.atoms == before
    assert calculator.check_state(before) == []
    assert calculator.get_property("energy") == energy
    assert calculator.get_atoms() == before
    calculator.reset()
    assert calculator.atoms is None


def test_what_a_model_cannot_give_is_said(raw_model):
    atoms = rattled_silicon(1)
    atoms.calc = TorchMLCalculator(raw_model)
    with pytest.raises(tm.UnsupportedError, match="particle_virials: a raw model"):
        atoms.get_stresses()
    atoms.pbc = False
    with pytest.raises(tm.UnsupportedError, match="stress: a cell with a volume and a periodic"):
        atoms.get_stress()
    assert np.isfinite(atoms.get_forces()).all()


def test_a_slab_relaxes_in_its_plane(raw_model):
    slab = bulk("Si", cubic=True)
    slab.pbc = (True, True, False)
    slab.center(vacuum=4.0, axis=2)
    height = slab.cell[2, 2]
    slab.set_cell(slab.cell * [[0.98], [1.01], [1]], scale_atoms=True)
    slab.calc = TorchMLCalculator(raw_model)
    with BFGS(StrainFilter(slab, mask=[1, 1, 0, 0, 0, 1]), logfile=None) as optimizer:
        assert optimizer.run(fmax=1e-3, steps=20)
    assert np.abs(slab.get_stress()[[0, 1, 5]]).max() < 1e-3
    a, b, c = slab.cell.lengths()
    assert a == pytest.approx(b, abs=0.02)
    assert c == pytest.approx(height)


def test_an_unknown_species_is_named(raw_model):
    water = molecule("H2O")
    water.calc = TorchMLCalculator(raw_model)
    with pytest.raises(tm.InputError, match=r"atom 0 is O, not one of \['Si'\]"):
        water.get_potential_energy()


@pytest.mark.parametrize("name", ["descriptor_model", "raw_model"])
def test_dynamics_conserve_energy_and_do_not_depend_on_the_skin(name, request):
    energies, positions, builds = [], [], []
    for skin in (0.0, 0.6):
        atoms = rattled_silicon(1)
        atoms.calc = TorchMLCalculator(request.getfixturevalue(name), skin=skin)
        atoms.set_momenta(np.random.default_rng(1).normal(scale=0.85, size=(8, 3)))  # 300 K
        dynamics = VelocityVerlet(atoms, 1 * units.fs)
        trace = []
        for _ in range(50):
            dynamics.run(1)
            trace.append(atoms.get_total_energy())
        energies.append(trace)
        positions.append(atoms.positions.copy())
        builds.append(atoms.calc.verlet.n_builds)
    assert np.ptp(energies[1]) < 2e-3 * 8  # eV, 8 atoms
    np.testing.assert_allclose(energies[0], energies[1], rtol=0, atol=1e-9)
    np.testing.assert_allclose(positions[0], positions[1], rtol=0, atol=1e-9)
    assert builds[1] < builds[0] == 51


def test_a_folder_is_loaded(examples):
    atoms = rattled_silicon(1)
    atoms.calc = TorchMLCalculator(examples / "models" / "StillingerWeber_Si")
    assert atoms.get_potential_energy() < 0


def committee(tmp_path):
    descriptor = tm.SymmetryFunctions(["Si"], 3.2, [("g2", [[0.3, 0.0], [0.5, 1.5]])])
    folders = []
    for number in (1, 2, 3):
        network = small_models.DescriptorNet(2)
        network.last.data *= number
        folders.append(tmp_path / str(number))
        tm.PortableModel.create(folders[-1], model=network, species=["Si"], descriptor=descriptor)
    return tm.Committee(folders)


def test_a_committee_has_deviations(tmp_path):
    together, atoms = committee(tmp_path), rattled_silicon(1)
    atoms.calc = TorchMLCalculator(together)
    expected = together.evaluate(atoms).fold()
    assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-12)
    assert atoms.calc.results["energy_std"] == pytest.approx(expected.energy_std, rel=1e-12)
    assert "forces_std" not in atoms.calc.results
    close = np.testing.assert_allclose
    close(atoms.get_forces(), expected.forces, rtol=0, atol=1e-12)
    close(atoms.calc.results["forces_std"], expected.forces_std, rtol=0, atol=1e-12)
    close(atoms.calc.results["stress_std"], expected.stress_std, rtol=0, atol=1e-14)
    write(tmp_path / "atoms.extxyz", atoms)
    close(read(tmp_path / "atoms.extxyz").get_forces(), expected.forces, rtol=0, atol=1e-7)
    atoms.rattle(1e-3)  # with the same lists
    atoms.get_forces()
    moved = together.evaluate(atoms).fold()
    close(atoms.calc.results["forces_std"], moved.forces_std, rtol=0, atol=1e-12)
    assert atoms.calc.verlet.n_builds == 1


def test_deviations_of_forces_only_when_requested(tmp_path):
    atoms = rattled_silicon(1)
    atoms.calc = TorchMLCalculator(committee(tmp_path), deviations=False)
    atoms.get_forces()
    assert "energy_std" in atoms.calc.results
    assert not {"forces_std", "stress_std"} & set(atoms.calc.results)
    forces_std = atoms.calc.get_property("forces_std", atoms)
    expected = atoms.calc.model.evaluate(atoms).fold().forces_std
    np.testing.assert_allclose(forces_std, expected, rtol=0, atol=1e-12)
    atoms.calc = TorchMLCalculator(atoms.calc.model.models[0])
    with pytest.raises(PropertyNotImplementedError):
        atoms.calc.get_property("forces_std", atoms)
