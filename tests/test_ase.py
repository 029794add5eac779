"""The ASE calculator: right values, independence of the skin, molecular dynamics, refusals."""

import numpy as np
import pytest
from ase import units
from ase.build import bulk, molecule
from ase.filters import StrainFilter
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


@pytest.mark.parametrize("change", ["nothing", "charges", "positions", "numbers", "cell", "pbc"])
def test_what_a_model_sees_is_evaluated_anew(descriptor_model, change):
    atoms = bulk("Si", cubic=True)  # of the model's one species, so changed numbers are refused
    atoms.calc = TorchMLCalculator(descriptor_model)
    atoms.get_potential_energy()
    if change == "charges":
        atoms.set_initial_charges([0.5] * 8)
    elif change == "positions":
        atoms.positions[2, 1] = np.nextafter(atoms.positions[2, 1], 9)
    elif change == "numbers":
        atoms.numbers[3] = 6
    elif change == "cell":
        atoms.set_cell(atoms.cell * 1.01, scale_atoms=False)
    elif change == "pbc":
        atoms.pbc = (True, True, False)
    changes = [change] if change in ("positions", "numbers", "cell", "pbc") else []
    assert atoms.calc.check_state(atoms) == changes
    if change == "numbers":
        with pytest.raises(tm.InputError, match="atom 3 is C"):
            atoms.get_potential_energy()
    else:
        expected = descriptor_model.evaluate(atoms).energy
        assert atoms.get_potential_energy() == pytest.approx(expected, rel=1e-12)


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
