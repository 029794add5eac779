"""VerletList: no pair within the cutoff is ever missing, and few lists are made."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st
from quick import examples
from structures import rattled_silicon

import torchml_core as tm


def pairs_within(c, cutoff):
    """The pairs of a configuration that are within a cutoff, as (i, parent of j, shift)."""
    i = c.pair_centers()
    near = np.linalg.norm(c.positions[c.neighbors] - c.positions[i], axis=1) <= cutoff
    rows = np.column_stack([i, c.parents[c.neighbors], c.shifts[c.neighbors]])[near]
    return sorted(rows.tolist())


@examples(20)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]))
def test_a_random_walk_never_loses_a_pair(seed, skin):
    rng = np.random.default_rng(seed)
    atoms = rattled_silicon(1)
    verlet = tm.VerletList(4.0, skin)
    for _ in range(30):
        atoms.positions += rng.normal(scale=0.03, size=atoms.positions.shape)
        c = verlet.update(atoms)
        np.testing.assert_array_equal(c.positions[:8], atoms.positions)
        np.testing.assert_array_equal(
            pairs_within(c, 4.0), pairs_within(tm.Configuration.from_atoms(atoms, 4.0), 4.0)
        )
    assert verlet.n_builds == 30 if skin == 0 else verlet.n_builds < 30


def test_lists_last_until_an_atom_has_moved_half_the_skin():
    atoms = rattled_silicon(1)
    verlet = tm.VerletList(4.0, 0.5)
    verlet.update(atoms)
    atoms.positions[3, 0] += 0.2499
    verlet.update(atoms)
    assert verlet.n_builds == 1
    atoms.positions[3, 0] += 0.0002
    verlet.update(atoms)
    assert verlet.n_builds == 2


@pytest.mark.parametrize("skin", [0.0, 0.5])
def test_any_unit_of_length(skin):
    """Also one in which the squares of lengths are no numbers."""
    for unit in (1e-170, 1e170):
        atoms = Atoms("Si2", np.array([[0, 0, 0], [0, 0, 4.3]]) * unit)
        verlet = tm.VerletList(4.0 * unit, skin * unit)
        verlet.update(atoms)
        atoms.positions[1, 2] = 3.9 * unit
        assert verlet.update(atoms).n_pairs == 2
        assert verlet.n_builds == 2


@pytest.mark.parametrize(
    "change", ["cell", "cell in place", "pbc", "pbc in place", "species", "order", "number"]
)
def test_other_changes_make_new_lists(change):
    atoms = rattled_silicon(1)
    atoms.symbols[5] = "C"
    verlet = tm.VerletList(4.0, 0.5, species=["Si", "C"])
    verlet.update(atoms)
    if change == "cell":
        atoms.set_cell(atoms.cell * 1.0001, scale_atoms=False)
    elif change == "cell in place":
        atoms.cell.array[2, 2] += 1e-9
    elif change == "pbc":
        atoms.pbc = (True, True, False)
    elif change == "pbc in place":
        atoms.pbc[1] = False
    elif change == "species":
        atoms.symbols[2] = "C"
    elif change == "order":
        atoms.arrays["numbers"][[5, 6]] = atoms.numbers[[6, 5]]
    else:
        atoms = atoms[:-1]
    c = verlet.update(atoms)
    assert verlet.n_builds == 2
    fresh = tm.Configuration.from_atoms(atoms, 4.5, ["Si", "C"])
    np.testing.assert_array_equal(c.positions, fresh.positions)
    np.testing.assert_array_equal(c.species, fresh.species)
    np.testing.assert_array_equal(c.cell, fresh.cell)
    np.testing.assert_array_equal(c.pbc, fresh.pbc)


def test_arrays_of_other_types_and_orders():
    """They are converted in each step, as they are for new lists."""
    atoms = rattled_silicon(1)
    verlet = tm.VerletList(4.0)
    expected = verlet.update(atoms).positions
    for positions in (np.asfortranarray(atoms.positions), atoms.positions[::-1][::-1]):
        atoms.arrays["positions"] = positions
        np.testing.assert_array_equal(verlet.update(atoms).positions, expected)
    atoms.arrays["numbers"] = atoms.numbers.astype(np.int32)
    atoms.arrays["positions"] = atoms.positions.astype(np.float32)
    np.testing.assert_array_equal(verlet.update(atoms).positions[:8], atoms.positions)
    assert verlet.n_builds == 1


def test_earlier_configurations_do_not_change():
    atoms = rattled_silicon(1)
    verlet = tm.VerletList(4.0)
    first = verlet.update(atoms)
    before = first.positions.copy()
    atoms.positions += 0.01
    verlet.update(atoms)
    np.testing.assert_array_equal(first.positions, before)


def test_threads_get_their_own_lists(monkeypatch):
    """Whatever another thread does between any two steps of an update."""
    one, other = rattled_silicon(1), rattled_silicon(1, seed=5)
    other.positions[0] += 1.0
    verlet = tm.VerletList(4.0)
    expected = tm.Configuration.from_atoms(one, 4.5)
    original = tm.Configuration.from_atoms

    def with_another(*arguments, **options):
        monkeypatch.setattr(tm.Configuration, "from_atoms", original)
        verlet.update(other)
        found = original(*arguments, **options)
        verlet.update(other)
        return found

    monkeypatch.setattr(tm.Configuration, "from_atoms", with_another)
    c = verlet.update(one)
    np.testing.assert_array_equal(c.positions, expected.positions)
    np.testing.assert_array_equal(c.neighbors, expected.neighbors)

    with ThreadPoolExecutor(4) as pool:
        some = [rattled_silicon(1, seed=seed, amplitude=0.3) for seed in range(4)] * 25
        for atoms, found in zip(some, pool.map(verlet.update, some), strict=True):
            fresh = original(atoms, 4.0)
            assert pairs_within(found, 4.0) == pairs_within(fresh, 4.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"species": 3}, "species = 3"), ({"n_layers": "x"}, "n_layers = 'x'")],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(tm.InputError, match=message):
        tm.VerletList(4.0, **arguments)


@pytest.mark.parametrize("skin", [-0.1, np.nan, np.inf, "thick"])
def test_bad_skins_are_named(skin):
    with pytest.raises(tm.InputError, match="skin ="):
        tm.VerletList(4.0, skin)


def test_positions_are_checked_in_every_step():
    atoms = rattled_silicon(1)
    verlet = tm.VerletList(4.0)
    verlet.update(atoms)
    atoms.positions[3, 1] = np.nan
    with pytest.raises(tm.InputError, match=r"positions\[3, 1\] = nan"):
        verlet.update(atoms)


def test_what_was_returned_may_be_changed():
    atoms = rattled_silicon(1)
    verlet = tm.VerletList(4.0)
    first = verlet.update(atoms)
    expected = first.positions.copy()
    first.positions += 1.0
    first.cell[:] = 0.0
    np.testing.assert_allclose(verlet.update(atoms).positions, expected, rtol=0, atol=1e-13)
    assert verlet.n_builds == 1
