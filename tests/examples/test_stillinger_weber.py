"""The vectorised Stillinger-Weber model beside two others of the same potential."""

import itertools
from math import exp

import ase.build
import numpy as np
import pytest
import torch
from structures import rattled_silicon

import torchml_core as tm


@pytest.fixture
def model(example_model):
    return example_model("StillingerWeber_Si")


def slow_energies(atoms, p, cutoff):
    """Energy of each atom, term by term: the formula in the script's docstring, in plain loops."""
    i, D, d = tm.neighbor_list("iDd", atoms, cutoff)
    energies = np.zeros(len(atoms))
    for atom in range(len(atoms)):
        near = [(r, vector) for r, vector in zip(d[i == atom], D[i == atom], strict=True)]
        for r, _ in near:
            s = p["sigma"] / r
            e2 = p["A"] * (p["B"] * s ** p["p"] - s ** p["q"]) * exp(p["sigma"] / (r - cutoff))
            energies[atom] += e2 / 2
        for (r_j, v_j), (r_k, v_k) in itertools.combinations(near, 2):
            cos = v_j @ v_k / (r_j * r_k)
            decay = exp(p["gamma"] / (r_j - cutoff) + p["gamma"] / (r_k - cutoff))
            energies[atom] += p["lam"] * decay * (cos - p["cos_theta0"]) ** 2
    return energies


def compressed(repeat):
    """More neighbors than the four of the crystal, and triplets of every angle."""
    atoms = rattled_silicon(repeat, seed=1, amplitude=0.2)
    atoms.set_cell(0.85 * atoms.cell, scale_atoms=True)
    return atoms


@pytest.mark.parametrize("atoms", [rattled_silicon(1), compressed(1), compressed((2, 1, 1))])
def test_energies_of_atoms_are_those_of_plain_loops(atoms, model, script):
    sw = script("make_stillinger_weber")
    expected = slow_energies(atoms, sw.PARAMETERS, sw.CUTOFF)
    found = model.evaluate(atoms).fold().particle_energies
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize(
    "name", ["silicon", "silicon_cluster", pytest.param("compressed", marks=pytest.mark.slow)]
)
def test_equal_to_the_original_portable_model(name, model, structure, shared_data):
    atoms = compressed(1) if name == "compressed" else structure(name)
    original = tm.PortableModel.load(shared_data / "portable_models" / "TorchMLModel1_SW")
    expected, found = original.evaluate(atoms), model.evaluate(atoms)
    assert found.energy == pytest.approx(expected.energy, rel=1e-10)
    assert np.abs(found.forces - expected.forces).max() <= 1e-10 * np.abs(expected.forces).max()
    assert np.abs(found.virial - expected.virial).max() <= 1e-10 * np.abs(expected.virial).max()


def test_perfect_crystal_has_the_cohesive_energy_of_the_paper(model):
    """-2 epsilon a bond and two bonds an atom: -4.3364 eV at the ideal angle, 2^(1/6) sigma."""
    atoms = ase.build.bulk("Si", a=2 ** (1 / 6) * 2.0951 * 4 / np.sqrt(3))
    assert model.evaluate(atoms).energy / len(atoms) == pytest.approx(-2 * 2.1682, rel=2e-5)


@pytest.mark.parametrize("sizes", [[], [0], [1], [3], [2, 0, 4, 1, 0], [0, 0, 5]])
def test_triplets_are_all_pairs_of_a_row_once(sizes, script):
    network = script("make_stillinger_weber").StillingerWeber({}, 1.0)
    rows = torch.repeat_interleave(torch.tensor(sizes, dtype=torch.int64))
    first, second = network.triplets(rows, len(sizes))
    starts = np.cumsum([0, *sizes])
    expected = [
        pair
        for start, size in zip(starts, sizes, strict=False)
        for pair in itertools.combinations(range(start, start + size), 2)
    ]
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected


def test_the_script_makes_the_model_that_is_there(model, script, tmp_path, structure):
    made = script("make_stillinger_weber").make(tmp_path)
    atoms = structure("silicon")
    assert made.parameters == model.parameters
    assert np.array_equal(made.evaluate(atoms).forces, model.evaluate(atoms).forces)
    assert script("make_stillinger_weber").make(tmp_path).folder == tmp_path  # and once more
