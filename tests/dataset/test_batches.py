"""Batches: structures joined to one configuration, with the values and labels of each of them."""

import itertools

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from small_models import shuffled
from training_sets import labeled_oxides

import torchml_core as tm
from torchml_core.dataset import Dataset, combined

CUTOFF = 3.0


def descriptor():
    return tm.SymmetryFunctions(["O", "Si"], CUTOFF, [("g2", [[0.5, 0.0]]), ("g4", [[1, 1, 0.1]])])


def structures():
    return labeled_oxides(3)


@pytest.fixture
def data():
    return Dataset.from_atoms(structures())


def test_the_verbs_of_a_combined_configuration_are_those_of_its_parts():
    """Also where ghosts and atoms are mixed, and rows are in another order."""
    parts = [tm.Configuration.from_atoms(a, CUTOFF, ["Si", "O"]) for a in structures()]
    parts = [shuffled(c, seed)[0] for seed, c in enumerate(parts)]
    c, d, random = combined(parts), descriptor(), np.random.default_rng(0)
    one = tm.Configuration(  # checks all of the arrays
        *(c.positions, c.species, c.contributing, c.centers, c.offsets, c.neighbors),
        parents=c.parents,
        shifts=c.shifts,
        species_names=c.species_names,
    )
    assert one.neighbors.dtype == c.neighbors.dtype == np.int32
    rows, particles = (np.cumsum([getattr(k, n) for k in parts])[:-1] for n in SIZES)
    weights = random.normal(size=(c.n_centers, d.width))
    moves = random.normal(size=(c.n_particles, 3))
    found = (
        np.split(d.compute(c), rows),
        np.split(d.vjp(c, weights), particles),
        np.split(d.jvp(c, moves), rows),
        np.split(c.fold(moves), rows),
    )
    weights, moves = np.split(weights, rows), np.split(moves, particles)
    for k, part in enumerate(parts):
        np.testing.assert_array_equal(found[0][k], d.compute(part))
        np.testing.assert_array_equal(found[1][k], d.vjp(part, weights[k]))
        np.testing.assert_array_equal(found[2][k], d.jvp(part, moves[k]))
        np.testing.assert_array_equal(found[3][k], part.fold(moves[k]))
    assert c.cutoff == CUTOFF
    assert c.cell is None


SIZES = ("n_centers", "n_particles")


def test_what_cannot_be_combined():
    one = tm.Configuration.from_atoms(bulk("Si"), CUTOFF)
    other = tm.Configuration.from_atoms(bulk("Si"), CUTOFF, ["Si", "O"])
    for bad, message in (
        ([], r"configurations = \[\]: a sequence of Configurations is needed"),
        ([bulk("Si")], "a sequence of Configurations is needed"),
        (3, "Configurations is needed"),
        ([one, other], "species names .*; the same are needed"),
    ):
        with pytest.raises(tm.InputError, match=message):
            combined(bad)
    orphans = tm.Configuration.from_atoms(bulk("Si"), CUTOFF)
    orphans.parents = None
    with pytest.raises(tm.InputError, match="the parents of all ghosts"):
        combined([one, orphans])


@pytest.mark.parametrize("dtype", [torch.float64, "float32"])
def test_a_batch_has_values_and_labels(data, dtype):
    d = descriptor()
    (batch,) = data.batches(d, 16, dtype=dtype)
    assert repr(batch).startswith("<Batch: 5 structures, 29 atoms, ")
    single = dtype == "float32"
    assert batch.descriptor.dtype == batch.forces.dtype == (torch.float32 if single else dtype)
    for name in ("energy", "forces", "stress"):
        has = [getattr(example, name) is not None for example in data]
        assert getattr(batch, f"has_{name}").tolist() == has
    assert batch.indices.tolist() == [0, 1, 2, 3, 4]
    assert batch.n_atoms.tolist() == [3, 2, 8, 8, 8]
    np.testing.assert_allclose(batch.volumes, [e.atoms.cell.volume for e in data])
    for k, example in enumerate(data):
        own = batch.structure == k
        c = tm.Configuration.from_atoms(example.atoms, CUTOFF, ["O", "Si"])
        tolerance = 1e-6 if single else 0
        np.testing.assert_allclose(batch.descriptor[own], d.compute(c), tolerance)
        symbols = [("O", "Si")[code] for code in batch.species[own]]
        assert symbols == example.atoms.get_chemical_symbols()
        np.testing.assert_array_equal(batch.cells[k], example.atoms.cell.array)
        zeros = np.zeros((example.n_atoms, 3))
        forces = zeros if example.forces is None else example.forces
        np.testing.assert_allclose(batch.forces[own], forces, tolerance)
        assert batch.energy[k] == (example.energy or 0)
        np.testing.assert_array_equal(batch.stress[k], np.zeros(6) if k < 2 else example.stress)


def test_sizes_and_orders(data):
    d = descriptor()

    def indices(batches):
        return [batch.indices.tolist() for batch in batches]

    in_order = data.batches(d, 2)
    assert indices(in_order) == indices(in_order) == [[0, 1], [2, 3], [4]]
    assert indices(data.batches(d, 10, by="atoms")) == [[0, 1], [2], [3], [4]]
    assert indices(data.batches(d, 1, by="atoms")) == [[0], [1], [2], [3], [4]]  # none is left out
    random = data.batches(d, 2, seed=3)
    assert len(random) == 3
    first, second = indices(random), indices(random)
    assert first != second
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == list(range(5))
    again = data.batches(d, 2, seed=3)
    assert (indices(again.of_epoch(1)), indices(again)) == (second, first)
    assert indices(data.batches(d, 2, seed=4)) != first


def test_values_of_all_atoms(data):
    batches = data.batches(descriptor(), 2, seed=0)
    (batch,) = data.batches(descriptor(), 9)
    values, codes = batches.values()
    np.testing.assert_array_equal(values, batch.descriptor)
    np.testing.assert_array_equal(codes, batch.species)


def test_values_are_computed_once(data, monkeypatch):
    batches, calls = data.batches(descriptor(), 2, seed=0), []
    monkeypatch.setattr(tm.SymmetryFunctions, "compute", lambda *_, **__: calls.append(1))
    monkeypatch.setattr(tm.Configuration, "from_atoms", lambda *_, **__: calls.append(1))
    assert sum(batch.n_structures for batch in batches) == len(data)
    assert not calls


def test_bad_arguments(data):
    d = descriptor()
    for arguments, message in (
        ({"descriptor": "d"}, "descriptor = 'd': a Descriptor is needed"),
        ({"descriptor": tm.SOAP(["Si"], 3.0, 1, 1)}, "its species are Si; O, which the data have"),
        ({"size": 0}, "size = 0"),
        ({"by": "pairs"}, "by = 'pairs'"),
        ({"seed": -1}, "seed = -1"),
        ({"dtype": "int8"}, "dtype = 'int8'"),
    ):
        with pytest.raises(tm.InputError, match=message):
            data.batches(**{"descriptor": d, "size": 2, **arguments})
    assert list(Dataset([]).batches(d, 2)) == []
    with pytest.raises(tm.InputError, match="species: they are Si; O, which the data have"):
        data.batches(tm.Xi(2, CUTOFF), 2, species=["Si"])


def test_descriptors_that_do_not_know_species_and_atoms_without_neighbors(data):
    d = tm.Xi(2, CUTOFF)
    (batch,) = data.batches(d, 9, species=["Si", "O", "C"])
    assert batch.species.tolist()[:3] == [0, 1, 1]
    (batch,) = Dataset.from_atoms([Atoms("Si"), Atoms("O")]).batches(descriptor(), 9)
    assert batch.configuration.n_pairs == 0
    np.testing.assert_array_equal(batch.descriptor, 0)
