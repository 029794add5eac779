"""Configuration: ghosts, lists, folding, species by name, and what it refuses."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import given
from hypothesis import strategies as st
from quick import examples
from structures import random_structure, rattled_silicon

import torchml_core as tm

seeds = st.integers(0, 2**32 - 1)


def pairs_as_images(c):
    """Each pair of a configuration as (atom i, parent of j, shift of j)."""
    return np.column_stack([c.pair_centers(), c.parents[c.neighbors], c.shifts[c.neighbors]])


def hops(atoms, cutoff, n_layers):
    """All (atom, shift) within n_layers hops of an atom of the cell, found by walking."""
    links = {}
    for i, j, *S in np.column_stack(tm.neighbor_list("ijS", atoms, cutoff)).tolist():
        links.setdefault(i, []).append((j, *S))
    reached = {(i, 0, 0, 0) for i in range(len(atoms))}
    frontier = reached
    for _ in range(n_layers):
        frontier = {
            (j, a + S[0], b + S[1], c + S[2])
            for i, a, b, c in frontier
            for j, *S in links.get(i, [])
        } - reached
        reached = reached | frontier
    return reached


@examples(200)
@given(seeds)
def test_lists_and_ghosts_are_those_of_the_periodic_structure(seed):
    atoms, cutoff = random_structure(seed)
    c = tm.Configuration.from_atoms(atoms, cutoff)
    n = len(atoms)
    np.testing.assert_array_equal(c.positions[:n], atoms.positions)
    np.testing.assert_array_equal(c.contributing, np.arange(c.n_particles) < n)
    np.testing.assert_array_equal(c.centers, np.arange(n))
    np.testing.assert_allclose(
        c.positions, atoms.positions[c.parents] + c.shifts @ np.array(atoms.cell), atol=1e-12
    )
    images = pairs_as_images(c)
    assert len(np.unique(images, axis=0)) == len(images)
    expected = np.column_stack(tm.neighbor_list("ijS", atoms, cutoff))
    np.testing.assert_array_equal(np.unique(images, axis=0), np.unique(expected, axis=0))
    assert set(range(n, c.n_particles)) <= set(c.neighbors.tolist())  # no ghost without need
    names = np.array(c.species_names)
    np.testing.assert_array_equal(
        names[c.species], np.array(atoms.get_chemical_symbols())[c.parents]
    )


@examples(60)
@given(seeds, st.integers(1, 3))
def test_ghosts_of_several_layers_are_all_images_within_so_many_hops(seed, n_layers):
    atoms, cutoff = random_structure(seed)
    cutoff = min(cutoff, 2.5)
    c = tm.Configuration.from_atoms(atoms, cutoff, n_layers=n_layers)
    particles = np.column_stack([c.parents, c.shifts]).tolist()
    assert len(particles) == c.n_particles
    assert {tuple(row) for row in particles} == hops(atoms, cutoff, n_layers)


def test_a_distance_equal_to_the_cutoff_is_listed():
    c = tm.Configuration.from_atoms(Atoms("Si2", [[0, 0, 0], [2.0, 0, 0]]), 2.0)
    assert c.n_pairs == 2
    assert len(tm.neighbor_list("i", Atoms("Si2", [[0, 0, 0], [2.0, 0, 0]]), 2.0)) == 0


def test_distances_that_count_as_equal_to_the_cutoff():
    """Up to 1e-10 of it, itself included, for lists and for graphs made of them."""
    for excess, n_pairs in ((5e-11, 2), (1e-10, 2), (2e-10, 0)):
        c = tm.Configuration.from_atoms(Atoms("Si2", [[0, 0, 0], [2 * (1 + excess), 0, 0]]), 2.0)
        assert c.n_pairs == n_pairs
        (graph,) = c.staged_graph(2.0, 1)
        assert graph.shape == (2, n_pairs)


def test_molecule_without_cell():
    water = molecule("H2O")
    c = tm.Configuration.from_atoms(water, 3.0, ["O", "H"])
    assert c.n_particles == 3
    assert c.species.tolist() == [0, 1, 1]
    assert c.n_pairs == 6


def test_arrays_instead_of_atoms():
    atoms = rattled_silicon(1)
    c = tm.Configuration.from_atoms(
        cutoff=4.0, positions=atoms.positions, cell=atoms.cell[:], pbc=True, symbols=["Si"] * 8
    )
    np.testing.assert_array_equal(c.positions, tm.Configuration.from_atoms(atoms, 4.0).positions)


def test_particles_of_large_structures_do_not_depend_on_threads():
    """Nor on whether atoms are in the cell: threads number ghosts of their own, then join them."""
    atoms = rattled_silicon(12, amplitude=0.2)
    assert len(atoms) * 28 > 2 * 100_000  # enough pairs for two parts
    outside = atoms.copy()
    outside.positions += np.random.default_rng(0).integers(-2, 3, (len(atoms), 3)) @ atoms.cell
    inside = atoms.copy()
    inside.wrap()
    for structure in (atoms, inside, outside):
        one, two = (tm.Configuration.from_atoms(structure, 5.0, n_threads=n) for n in (1, 2))
        for name in ("positions", "parents", "shifts", "offsets", "neighbors", "contributing"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def test_species_in_any_sequence_give_the_same_codes():
    atoms = Atoms("SiCH", np.eye(3) * 2)
    for species in (["H", "C", "Si"], ("H", "C", "Si"), np.array(["H", "C", "Si"])):
        c = tm.Configuration.from_atoms(atoms, 4.0, species)
        assert c.species.tolist() == [2, 1, 0]
        assert c.species_names == ("H", "C", "Si")


def test_threads_change_nothing():
    atoms = rattled_silicon(6)
    one, two = (tm.Configuration.from_atoms(atoms, 5.0, n_threads=n) for n in (1, 2))
    for name in ("positions", "offsets", "neighbors", "parents", "shifts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


def shuffled(c, seed=0):
    """The same configuration with its particles in another order, ghosts between atoms."""
    order = np.random.default_rng(seed).permutation(c.n_particles)  # new -> old
    place = np.argsort(order).astype(np.int32)  # old -> new
    return tm.Configuration(
        c.positions[order],
        c.species[order],
        c.contributing[order],
        place[c.centers],
        c.offsets,
        place[c.neighbors],
        parents=place[c.parents[order]],
        shifts=c.shifts[order],
        species_names=c.species_names,
        cell=c.cell,
        pbc=c.pbc,
        cutoff=c.cutoff,
    )


def test_fold_adds_ghosts_onto_parents():
    c = tm.Configuration.from_atoms(rattled_silicon(1), 5.0)
    values = np.random.default_rng(0).normal(size=(c.n_particles, 3))
    expected = np.zeros((8, 3))
    for particle, parent in enumerate(c.parents):
        expected[parent] += values[particle]
    np.testing.assert_allclose(c.fold(values), expected, atol=1e-13)
    assert c.fold(np.ones(c.n_particles, dtype=int)).sum() == c.n_particles


def test_fold_of_shuffled_particles_is_in_the_order_of_contributing_ones():
    c = shuffled(tm.Configuration.from_atoms(rattled_silicon(1), 5.0))
    atoms = np.flatnonzero(c.contributing)
    one_hot = np.zeros(c.n_particles)
    one_hot[c.parents == atoms[3]] = 1.0
    assert np.flatnonzero(c.fold(one_hot)).tolist() == [3]


def test_with_positions_moves_ghosts_with_their_atoms():
    atoms = rattled_silicon(1)
    c = shuffled(tm.Configuration.from_atoms(atoms, 5.0))
    moved = atoms.positions + 0.1 * np.random.default_rng(1).normal(size=(8, 3))
    distances = np.linalg.norm(c.positions[c.contributing][:, None] - atoms.positions, axis=2)
    new = moved[distances.argmin(axis=1)]  # in the order of the shuffled particles
    m = c.with_positions(new)
    np.testing.assert_allclose(m.positions, m.positions[m.parents] + m.shifts @ c.cell, atol=1e-12)
    np.testing.assert_array_equal(m.positions[m.contributing], new)
    assert m.neighbors is c.neighbors


def test_particle_positions_are_a_differentiable_function():
    torch = pytest.importorskip("torch")
    atoms = rattled_silicon(1)
    c = tm.Configuration.from_atoms(atoms, 4.0)
    positions = torch.tensor(atoms.positions, requires_grad=True)
    cell = torch.tensor(np.array(atoms.cell), requires_grad=True)
    particles = c.particle_positions(positions, cell)
    np.testing.assert_allclose(particles.detach().numpy(), c.positions, atol=1e-12)
    weights = np.random.default_rng(0).normal(size=c.positions.shape)
    (particles * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(positions.grad.numpy(), c.fold(weights), atol=1e-12)
    np.testing.assert_allclose(cell.grad.numpy(), c.shifts.T @ weights, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_particle_positions_can_be_compiled(backend):
    torch = pytest.importorskip("torch")

    def cubes(c, positions, cell):
        return c.particle_positions(positions, cell) ** 3

    compiled = torch.compile(cubes, backend=backend, fullgraph=True)
    for atoms, cutoff in [(rattled_silicon(1), 4.0), (rattled_silicon(1), 3.0), (bulk("Si"), 3.0)]:
        c = tm.Configuration.from_atoms(atoms, cutoff)
        positions = torch.tensor(atoms.positions, requires_grad=True)
        found = compiled(c, positions, torch.tensor(atoms.cell[:]))
        np.testing.assert_allclose(found.detach().numpy(), c.positions**3, atol=1e-10)
        (gradient,) = torch.autograd.grad(found.sum(), positions)
        np.testing.assert_allclose(gradient.numpy(), c.fold(3 * c.positions**2), atol=1e-10)


def test_what_particle_positions_are_made_of_is_checked():
    torch = pytest.importorskip("torch")
    c = tm.Configuration.from_atoms(bulk("Si"), 4.0)
    good = torch.zeros(2, 3)
    for positions, cell, message in [
        (np.zeros((2, 3)), None, "positions is a float64; a torch.Tensor"),
        (good.long(), None, "positions is a torch.int64"),
        (torch.zeros(3, 3), None, r"positions has shape \(3, 3\); \(2, 3\)"),
        (good, None, "cell: a torch.Tensor"),
        (good, torch.eye(2), "cell: a torch.Tensor of shape"),
    ]:
        with pytest.raises(tm.InputError, match=message):
            c.particle_positions(positions, cell)


def test_codes_are_translated_by_name():
    c = tm.Configuration.from_atoms(molecule("CH3OH"), 3.0, ["C", "H", "O"])
    names = ("O", "X", "C", "H")
    assert [names[code] for code in c.codes(names)] == [c.species_names[code] for code in c.species]
    with pytest.raises(tm.InputError, match=r"particle 1 is O, not one of \['C', 'H'\]"):
        c.codes(["C", "H"])


def test_codes_without_names_are_taken_as_they_are():
    c = tm.Configuration(np.zeros((1, 3)), [2], [True], [0], [0, 0], [])
    assert c.codes(["A", "B", "C"]).tolist() == [2]
    with pytest.raises(tm.InputError, match="species\\[0\\] = 2: a code of one of the 2 species"):
        c.codes(["A", "B"])


def test_cutoff_that_is_too_small_is_refused():
    c = tm.Configuration.from_atoms(rattled_silicon(1), 3.0)
    with pytest.raises(tm.InputError, match="end at cutoff 3, but the model needs 4"):
        c.require_cutoff(4.0, "the model")
    c.require_cutoff(3.0, "the model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff": 0}, "cutoff = 0"),
        ({"cutoff": np.inf}, "cutoff = inf"),
        ({"species": ["C"]}, r"atom 0 is Si, not one of \['C'\]"),
        ({"species": ["Si", "Si"]}, r"species = \['Si', 'Si'\]: each symbol only once"),
        ({"species": []}, "at least one"),
        ({"species": [14]}, r"species = \[14\]: a sequence of chemical symbols"),
        ({"species": 14}, "species = 14: a sequence of chemical symbols"),
        ({"species": b"Si"}, "species = b'Si'"),
        ({"species": {"Si", "C"}}, "species = .*: a sequence"),
        ({"n_layers": 0}, "n_layers = 0"),
        ({"n_layers": 1.5}, "n_layers = 1.5"),
        ({"n_layers": "2"}, "n_layers = '2'"),
        ({"n_layers": None}, "n_layers = None"),
        ({"n_layers": 10**30}, "n_layers = .*: a whole number from 1 to 1000 is needed"),
        ({"structure": Atoms()}, "structure has no atoms"),
        ({"structure": Atoms("Si", cell=np.zeros((3, 3)), pbc=True)}, "singular"),
        ({"structure": Atoms("Si", [[np.nan, 0, 0]])}, r"positions\[0, 0\] = nan"),
    ],
)
def test_from_atoms_names_what_is_wrong(arguments, message):
    given = {"structure": bulk("Si"), "cutoff": 3.0, **arguments}
    with pytest.raises(tm.InputError, match=message):
        tm.Configuration.from_atoms(**given)


GOOD = {
    "positions": np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]),
    "species": [0, 0, 1],
    "contributing": [False, True, True],
    "centers": [1, 2],
    "offsets": [0, 2, 3],
    "neighbors": [0, 2, 1],
    "parents": [2, 1, 2],
    "shifts": np.zeros((3, 3), dtype=int),
    "species_names": ["C", "Si"],
}


def test_a_driver_brings_its_own_particles_and_lists():
    c = tm.Configuration(**GOOD)
    assert (c.n_particles, c.n_centers, c.n_pairs) == (3, 2, 3)
    assert c.pair_centers().tolist() == [1, 1, 2]
    c = tm.Configuration(**{**GOOD, "species_names": np.array(["C", "Si"])})
    assert [type(name) for name in c.species_names] == [str, str]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": np.zeros((3, 2))}, r"positions has shape \(3, 2\)"),
        ({"positions": np.full((3, 3), np.nan)}, r"positions\[0, 0\] = nan"),
        ({"species": [0, 1]}, r"species has shape \(2,\)"),
        ({"species": [0, -1, 0]}, r"species\[1\] = -1"),
        ({"species": [0, 0.5, 0]}, "species is of dtype float64"),
        ({"species": [0, 0, 7]}, r"species\[2\] = 7"),
        ({"species": [0, 2, 0]}, r"species\[1\] = 2: a code of one of \['C', 'Si'\]"),
        ({"contributing": [True]}, r"contributing has shape \(1,\)"),
        ({"centers": [1, 1]}, "the 2 contributing"),
        ({"centers": [0, 2]}, "the 2 contributing"),
        ({"centers": [1]}, "the 2 contributing"),
        ({"offsets": [0, 3]}, r"offsets has shape \(2,\)"),
        ({"offsets": [0, 2, 9]}, "ascend from 0"),
        ({"offsets": [1, 2, 3]}, "ascend from 0"),
        ({"neighbors": [0, 2, 3]}, r"neighbors\[2\] = 3: one of the 3 particles"),
        ({"neighbors": [0, 2, -1]}, r"neighbors\[2\] = -1"),
        ({"neighbors": [0, 2, 2]}, "particle 2 is in its own row"),
        (
            {"neighbors": [0, 0, 1]},
            r"neighbors\[1\] = 0: this particle is already in the row of particle 1",
        ),
        (
            {"offsets": [0, 3, 4], "neighbors": [2, 0, 0, 1]},
            r"neighbors\[2\] = 0: this particle is already in the row of particle 1",
        ),
        ({"parents": [0, 1, 2]}, r"parents\[0\] = 0: a contributing particle is needed"),
        ({"parents": [1, 2, 2]}, r"parents\[1\] = 2: 1 is needed"),
        ({"parents": [9, 1, 2]}, r"parents\[0\] = 9"),
        ({"shifts": np.zeros((2, 3), dtype=int)}, r"shifts has shape \(2, 3\)"),
        ({"shifts": np.eye(3, dtype=int)}, r"shifts\[1\] = .*: a zero shift of a contributing"),
        (
            {"contributing": ["False", "True", "True"]},
            "contributing = .*: an array of True or False",
        ),
        ({"contributing": [np.nan, 1, 1]}, "contributing = .*: an array of True or False"),
        ({"positions": np.zeros((3, 3), dtype=complex)}, "positions is of dtype complex128"),
        ({"cell": np.full((3, 3), np.nan), "pbc": True}, r"cell\[0, 0\] = nan"),
        ({"cell": np.zeros((3, 3)), "pbc": True}, "cell = .*singular"),
        ({"cell": np.eye(3), "pbc": "FFF"}, "pbc = 'FFF'"),
        ({"cell": np.eye(3), "pbc": np.nan}, "pbc = nan"),
        ({"pbc": "False"}, "pbc = 'False'"),
        ({"n_layers": 0}, "n_layers = 0"),
        ({"n_layers": "many"}, "n_layers = 'many'"),
        ({"species_names": 7}, "species_names = 7"),
        ({"all_rows": 3}, "all_rows = 3"),
        ({"all_rows": ([0], [0])}, "all_rows = "),
        ({"cell": np.eye(3)}, "pbc: True, False, or three"),
        ({"cell": np.eye(2), "pbc": True}, r"cell has shape \(2, 2\)"),
        ({"cutoff": -1}, "cutoff = -1"),
    ],
)
def test_the_constructor_names_what_is_wrong(arguments, message):
    with pytest.raises(tm.InputError, match=message):
        tm.Configuration(**{**GOOD, **arguments})


@pytest.mark.parametrize(
    "name", ["species", "centers", "offsets", "neighbors", "parents", "shifts"]
)
@pytest.mark.parametrize("value", [2**31, 2**32 + 1, -(2**32) + 1, 2**63, 2**64 + 1])
def test_integers_are_not_wrapped(name, value):
    """2**32 + 1 was 1 in int32, which is a particle."""
    wrong = np.array(GOOD[name], dtype=object if value >= 2**63 else np.int64)
    wrong.flat[1] = value
    if value == 2**63:
        wrong = wrong.astype(np.uint64)
    with pytest.raises(tm.InputError, match=name):
        tm.Configuration(**{**GOOD, name: wrong})
    rows = [np.arange(3), [0, 0, 0, 1], [value]]
    with pytest.raises(tm.InputError, match="neighbors"):
        tm.Configuration(**GOOD, all_rows=rows)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint32, np.int64, np.uint64])
def test_any_type_of_integer_will_do(dtype):
    names = ("species", "centers", "offsets", "neighbors", "parents", "shifts")
    c = tm.Configuration(**{**GOOD, **{name: np.array(GOOD[name], dtype) for name in names}})
    assert c.neighbors.tolist() == GOOD["neighbors"]
    types = {name: getattr(c, name).dtype for name in names}
    assert types == {name: np.int64 if name == "offsets" else np.int32 for name in names}


def test_two_images_of_one_atom_are_different_neighbors():
    c = tm.Configuration.from_atoms(bulk("Si"), 6.0)
    names = ("positions", "species", "contributing", "centers", "offsets", "neighbors", "parents")
    again = tm.Configuration(**{name: getattr(c, name) for name in names})
    assert again.n_pairs == c.n_pairs
    row = c.parents[c.neighbors[: c.offsets[1]]]
    assert len(set(row.tolist())) < len(row)


def test_ghosts_are_not_moved_without_the_cell():
    shifts = np.zeros((3, 3), dtype=int)
    shifts[0, 0] = 1
    c = tm.Configuration(**{**GOOD, "shifts": shifts})
    with pytest.raises(tm.InputError, match="cell: it is needed to move ghosts"):
        c.with_positions(np.zeros((2, 3)))


def test_thousands_of_ghosts_are_there_once_each():
    c = tm.Configuration.from_atoms(rattled_silicon(2), 7.0, n_layers=3)
    assert c.n_particles > 2200
    images = np.column_stack([c.parents, c.shifts])
    assert len(np.unique(images, axis=0)) == c.n_particles


def test_more_ghosts_than_there_is_memory_for(monkeypatch):
    monkeypatch.setattr("torchml_core.configuration.most_particles", lambda: 1000)
    with pytest.raises(tm.InputError, match="n_layers = 900: fewer ghosts are needed"):
        tm.Configuration.from_atoms(bulk("Si"), 3.0, n_layers=900)
    n = tm.Configuration.from_atoms(bulk("Si"), 3.0).n_particles
    monkeypatch.setattr("torchml_core.configuration.most_particles", lambda: n)
    assert tm.Configuration.from_atoms(bulk("Si"), 3.0).n_particles == n
    monkeypatch.setattr("torchml_core.configuration.most_particles", lambda: n - 1)
    with pytest.raises(tm.InputError, match="n_layers = 1: fewer ghosts are needed"):
        tm.Configuration.from_atoms(bulk("Si"), 3.0)


@pytest.mark.parametrize("symbols", [[14, 14], "Si", [b"Si", b"Si"], ["Si", None], ["Si"], 3, {}])
def test_symbols_are_texts_one_for_each_atom(symbols):
    with pytest.raises(tm.InputError, match="symbols"):
        tm.Configuration.from_atoms(cutoff=3.0, positions=np.zeros((2, 3)), symbols=symbols)


@pytest.mark.parametrize("values", [np.zeros((2, 3)), 1.0, "abc", [[1], [1, 2], [3]], [None] * 3])
def test_only_numbers_of_all_particles_are_folded(values):
    with pytest.raises(tm.InputError, match="per_particle"):
        tm.Configuration(**GOOD).fold(values)


def test_what_needs_parents_says_so():
    c = tm.Configuration(**{**GOOD, "parents": None, "shifts": None})
    with pytest.raises(tm.InputError, match="parents"):
        c.fold(np.zeros(3))
    with pytest.raises(tm.InputError, match="parents"):
        c.with_positions(np.zeros((2, 3)))
