"""What must hold for each of the example models."""

import json

import ase
import numpy as np
import pytest
from small_models import shuffled
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.testing import finite_difference_forces, finite_difference_stress

MODELS = ("StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si")
TRAINED = ("SymmetryFunctions_Si", "Graph_Si")


@pytest.fixture(params=MODELS)
def model(request, example_model):
    return example_model(request.param)


def configuration(model, atoms, cutoff=None):
    """Of atoms, with lists that may reach further than the model's cutoff."""
    return tm.Configuration.from_atoms(
        atoms, cutoff or model.cutoff, model.species, n_layers=model.parameters.n_layers
    )


@pytest.mark.parametrize("name", ["silicon", "silicon_cluster"])
def test_forces_are_minus_differences_of_the_energy(model, name, structure):
    atoms = structure(name)
    forces = model.evaluate(atoms).fold().forces
    some = [0, 7, 20]
    expected = finite_difference_forces(model, atoms, indices=some)
    assert np.abs(forces[some] - expected).max() <= 1e-7 * np.abs(expected).max()
    assert np.abs(forces.sum(0)).max() < 1e-11


def test_stress_is_the_difference_quotient_of_the_energy(model):
    atoms = rattled_silicon(1, seed=3)
    expected = finite_difference_stress(model, atoms)
    stress = model.evaluate(atoms).stress
    assert np.abs(stress - expected).max() <= 1e-7 * np.abs(expected).max()


def test_a_doubled_cell_has_twice_the_energy(model):
    atoms = rattled_silicon(1)
    one, two = model.evaluate(atoms).fold(), model.evaluate(atoms * (1, 2, 1)).fold()
    assert two.energy == pytest.approx(2 * one.energy, rel=1e-13)
    assert np.abs(two.forces - np.tile(one.forces, (2, 1))).max() < 1e-12


def test_energies_of_atoms_add_up(model, structure):
    prediction = model.evaluate(structure("silicon_cluster")).fold()
    assert prediction.particle_energies.shape == (29,)
    assert prediction.particle_energies.sum() == pytest.approx(prediction.energy, rel=1e-14)


def test_particles_may_come_in_any_order(model):
    c = configuration(model, rattled_silicon(1))
    mixed, order = shuffled(c)
    expected, found = model.evaluate(c), model.evaluate(mixed)
    assert found.energy == pytest.approx(expected.energy, rel=1e-14)
    assert np.abs(found.forces - expected.forces[order]).max() < 1e-12
    assert np.abs(found.particle_energies - expected.particle_energies[order]).max() < 1e-12


def test_list_entries_beyond_the_cutoff_do_not_count(model, structure):
    atoms = structure("silicon_cluster")
    near, far = (model.evaluate(configuration(model, atoms, r)) for r in (None, 7.5))
    assert far.energy == pytest.approx(near.energy, rel=1e-14)
    assert np.abs(far.forces - near.forces).max() < 1e-12


def test_atoms_without_neighbors(model):
    """One atom alone, and atoms out of each other's reach, have the same energy each."""
    alone = model.evaluate(ase.Atoms("Si"))
    assert np.isfinite(alone.energy)
    assert np.array_equal(alone.forces, np.zeros((1, 3)))
    positions = 20.0 * np.arange(3)[:, None] * np.ones(3)
    apart = model.evaluate(ase.Atoms("Si3", positions))
    assert apart.energy == pytest.approx(3 * alone.energy, rel=1e-14)
    assert np.array_equal(apart.forces, np.zeros((3, 3)))


def test_energy_and_force_vanish_smoothly_at_the_cutoff(model):
    alone = model.evaluate(ase.Atoms("Si")).energy

    def pair(distance):
        prediction = model.evaluate(ase.Atoms("Si2", [[0, 0, 0], [0, 0, distance]]))
        return abs(prediction.energy - 2 * alone), np.abs(prediction.forces).max()

    inside, outside = pair(model.cutoff - 1e-5), pair(model.cutoff + 1e-5)
    assert pair(model.cutoff - 1.0)[0] > 1e-4  # they do interact
    assert inside[0] < 1e-8
    assert inside[1] < 1e-4
    assert outside[0] < 1e-14  # a product with two rows rounds unlike one with one
    assert outside[1] == 0.0


def test_a_silicon_model_refuses_carbon(model):
    with pytest.raises(tm.InputError, match=r"atom 1 is C, not one of \['Si'\]"):
        model.evaluate(ase.Atoms("SiC", [[0, 0, 0], [0, 0, 2]]))


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_the_stated_errors_are_reproduced(
    name, example_model, examples, script, shared_data, silicon_sets
):
    held_out = silicon_sets["test"]
    stated = json.loads((examples / "models" / name / "errors.json").read_text())["test"]
    found = script("silicon_data").errors(example_model(name), held_out)
    assert found["configurations"] == stated["configurations"] == len(held_out)
    for key in ("energy_meV_per_atom", "forces_meV_per_A"):
        assert found[key] == pytest.approx(stated[key], rel=1e-6)
    excess = found["excess_of_dynamics_meV_per_atom"]
    assert excess.keys() == {"300 K", "600 K", "900 K"}
    for temperature, figures in stated["excess_of_dynamics_meV_per_atom"].items():
        assert excess[temperature] == pytest.approx(figures, rel=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_the_readme_states_the_same_errors(name, examples):
    stated = json.loads((examples / "models" / name / "errors.json").read_text())["test"]
    energy, forces = stated["energy_meV_per_atom"], stated["forces_meV_per_A"]
    figures = [energy["rmse"], energy["mae"], forces["rmse"], forces["mae"]]
    row = f"| {name} | " + " | ".join(f"{figure:.1f}" for figure in figures) + " |"
    assert row in (examples / "models" / "README.md").read_text().splitlines()


def test_a_model_is_small(model):
    assert sum(file.stat().st_size for file in model.folder.iterdir()) < 200_000
