"""neighbor_list against ASE's and against brute force."""

import ase.neighborlist
import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from structures import brute_force_pairs, random_structure, rattled_silicon

import torchml_core as tm
from torchml_core.pairs import reduce_lattice

seeds = st.integers(0, 2**32 - 1)


def sorted_pairs(i, j, S, *more):
    """Rows (i, j, S) in lexicographic order, and whatever else in the same order."""
    rows = np.column_stack([i, j, S]).astype(int)
    order = np.lexsort(rows.T[::-1])
    return rows[order], *(array[order] for array in more)


def assert_same_lists(atoms, cutoff):
    ours = sorted_pairs(*tm.neighbor_list("ijSDd", atoms, cutoff))
    ase_lists = sorted_pairs(*ase.neighborlist.neighbor_list("ijSDd", atoms, cutoff))
    np.testing.assert_array_equal(ours[0], ase_lists[0])
    for mine, theirs in zip(ours[1:], ase_lists[1:], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_equals_ase_on_random_structures(seed):
    assert_same_lists(*random_structure(seed))


@pytest.mark.slow
def test_equals_ase_on_thousands_of_random_structures():
    for seed in range(3000):
        try:
            assert_same_lists(*random_structure(seed))
        except AssertionError as error:
            raise AssertionError(f"random_structure({seed}): {error}") from error


@settings(max_examples=100, deadline=None)
@given(seeds)
def test_equals_brute_force_on_random_structures(seed):
    atoms, cutoff = random_structure(seed)
    rows, D = sorted_pairs(*tm.neighbor_list("ijSD", atoms, cutoff))
    assert rows.tolist() == [list(pair) for pair in brute_force_pairs(atoms, cutoff)]
    i, j, S = rows[:, 0], rows[:, 1], rows[:, 2:]
    expected = atoms.positions[j] - atoms.positions[i] + S @ np.array(atoms.cell)
    np.testing.assert_allclose(D, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cutoff", [0.5, 2.5, 5.0, 12.0])
def test_equals_ase_on_silicon(cutoff):
    assert_same_lists(rattled_silicon(2), cutoff)


def test_many_cells_of_the_grid():
    assert_same_lists(rattled_silicon(6), 3.0)


@pytest.mark.parametrize("distance", [1e4, 1e9])
def test_far_away_atoms_do_not_stop_the_search(distance):
    atoms = Atoms("Si4", [[0, 0, 0], [1, 0, 0], [distance, 0, 0], [distance, 1, distance]])
    i, j = tm.neighbor_list("ij", atoms, 2.0)
    assert list(zip(i, j, strict=True)) == [(0, 1), (1, 0)]


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_half_list_is_each_pair_once(seed):
    atoms, cutoff = random_structure(seed)
    i, j, S, d = tm.neighbor_list("ijSd", atoms, cutoff, half=True)
    both = np.column_stack([np.r_[i, j], np.r_[j, i], np.r_[S, -S]])
    full = sorted_pairs(*tm.neighbor_list("ijS", atoms, cutoff))[0]
    np.testing.assert_array_equal(sorted_pairs(both[:, 0], both[:, 1], both[:, 2:])[0], full)
    assert 2 * len(d) == len(full)


def test_self_interaction_adds_each_atom_once():
    atoms = rattled_silicon(1)
    ours = sorted_pairs(*tm.neighbor_list("ijSd", atoms, 5.0, self_interaction=True))
    theirs = sorted_pairs(
        *ase.neighborlist.neighbor_list("ijSd", atoms, 5.0, self_interaction=True)
    )
    np.testing.assert_array_equal(ours[0], theirs[0])
    np.testing.assert_allclose(ours[1], theirs[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("half", [False, True])
def test_centers_ascend(half):
    i = tm.neighbor_list("i", rattled_silicon(2), 5.0, half=half, self_interaction=True)
    assert (np.diff(i) >= 0).all()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_threads_change_nothing(n_threads):
    atoms = rattled_silicon(3)
    for mine, alone in zip(
        tm.neighbor_list("ijSDd", atoms, 5.0, n_threads=n_threads),
        tm.neighbor_list("ijSDd", atoms, 5.0, n_threads=1),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, alone)


def test_arrays_instead_of_atoms():
    atoms = rattled_silicon(1)
    from_arrays = tm.neighbor_list(
        "ijS", cutoff=5.0, positions=atoms.positions, cell=atoms.cell[:], pbc=(True, True, False)
    )
    atoms.pbc = (True, True, False)
    for mine, theirs in zip(from_arrays, tm.neighbor_list("ijS", atoms, 5.0), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_types_and_order_of_what_is_returned():
    d, j, D, i, S = tm.neighbor_list("djDiS", rattled_silicon(1), 3.0)
    assert (d.dtype, j.dtype, D.dtype, i.dtype, S.dtype) == ("f8", "i4", "f8", "i4", "i4")
    assert D.shape == S.shape == (len(i), 3)
    assert isinstance(tm.neighbor_list("j", rattled_silicon(1), 3.0), np.ndarray)


def test_no_atoms_no_pairs():
    i, S = tm.neighbor_list("iS", positions=np.zeros((0, 3)), cutoff=3.0)
    assert i.shape == (0,)
    assert S.shape == (0, 3)


def test_input_is_left_untouched():
    atoms = rattled_silicon(1)
    atoms.positions += 20.0
    before = atoms.copy()
    tm.neighbor_list("ijSDd", atoms, 5.0)
    assert atoms == before


@settings(max_examples=200, deadline=None)
@given(seeds)
def test_reduced_lattice_is_the_same_lattice(seed):
    vectors = np.random.default_rng(seed).normal(size=(3, 3))
    vectors[2] += 50 * vectors[0]
    reduced, transform = reduce_lattice(vectors)
    assert round(abs(np.linalg.det(transform))) == 1
    np.testing.assert_allclose(transform @ vectors, reduced, atol=1e-12)
    lengths = np.linalg.norm(reduced, axis=1)
    for a in range(3):
        for b in range(3):
            if a != b:
                assert abs(reduced[a] @ reduced[b]) <= (0.5 + 1e-6) * lengths[b] ** 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff": 0}, "cutoff = 0: a positive finite number"),
        ({"cutoff": -1.0}, "cutoff = -1.0"),
        ({"cutoff": np.inf}, "cutoff = inf"),
        ({"cutoff": np.nan}, "cutoff = nan"),
        ({"cutoff": None}, "cutoff = None"),
        ({"cutoff": "far"}, "cutoff = 'far'"),
        ({"cutoff": 1e5}, "cutoff = 100000 is far too large for this cell of 8 atoms"),
        ({"quantities": "ijx"}, "quantities = 'ijx'"),
        ({"quantities": ""}, "quantities = ''"),
        ({"n_threads": 0}, "n_threads = 0"),
        ({"n_threads": 1.5}, "n_threads = 1.5"),
        ({"positions": np.zeros((1, 3))}, "either it or positions="),
        ({"structure": None}, "structure: give ASE Atoms"),
        ({"structure": "Si"}, "structure is a str"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"quantities": "ij", "structure": rattled_silicon(1), "cutoff": 3.0, **arguments}
    with pytest.raises(tm.InputError, match=message):
        tm.neighbor_list(**given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": [[0, 0, np.nan]]}, "atom 0 has z = nan"),
        ({"positions": [[0, 0, 0], [1, -np.inf, 0]]}, "atom 1 has y = -inf"),
        ({"positions": [[0, 0]]}, r"shape \(1, 2\)"),
        ({"positions": [["a", 0, 0]]}, "an array of shape"),
        ({"cell": np.eye(3)}, "pbc: say it"),
        ({"cell": np.zeros((3, 3)), "pbc": True}, "singular: its periodic vectors a, b, c"),
        ({"cell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]], "pbc": [1, 1, 0]}, "vectors a, b must"),
        ({"cell": np.diag([1, np.nan, 1]), "pbc": True}, "finite numbers are needed"),
        ({"cell": np.ones((2, 3)), "pbc": True}, r"shape \(2, 3\)"),
        ({"cell": np.eye(3), "pbc": [True, False]}, "one bool or three"),
        ({"positions": [[0, 0, 1e20]], "cell": np.eye(3), "pbc": True}, "a billion cells away"),
    ],
)
def test_bad_structures_are_named(arguments, message):
    with pytest.raises(tm.InputError, match=message):
        tm.neighbor_list("ij", **{"positions": np.zeros((1, 3)), "cutoff": 3.0, **arguments})


def test_a_singular_cell_is_fine_where_it_is_not_periodic():
    i = tm.neighbor_list("i", positions=np.zeros((1, 3)), cell=[2, 0, 0], pbc=[1, 0, 0], cutoff=3)
    assert len(i) == 2
