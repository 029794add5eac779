"""neighbor_list against ASE's and against brute force."""

import importlib.util
from concurrent.futures import ThreadPoolExecutor

import ase.neighborlist
import numpy as np
import pytest
from ase import Atoms
from hypothesis import assume, example, given
from hypothesis import strategies as st
from quick import examples
from requirements import need
from structures import brute_force_pairs, most_shifts, random_structure, rattled_silicon

import torchml_core as tm
from torchml_core._memory import kept_memory

seeds = st.integers(0, 2**32 - 1)


def sorted_pairs(i, j, S, *more):
    """Rows (i, j, S) in lexicographic order, and whatever else in the same order."""
    rows = np.column_stack([i, j, S]).astype(int)
    order = np.lexsort(rows.T[::-1])
    return rows[order], *(array[order] for array in more)


def assert_same_lists(atoms, cutoff, other=ase.neighborlist.neighbor_list):
    ours = sorted_pairs(*tm.neighbor_list("ijSDd", atoms, cutoff))
    others = sorted_pairs(*other("ijSDd", atoms, cutoff))
    np.testing.assert_array_equal(ours[0], others[0])
    for mine, theirs in zip(ours[1:], others[1:], strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-10)


@pytest.mark.slow
@examples(50)
@given(seeds)
def test_equals_ase_on_random_structures(seed):
    assert_same_lists(*random_structure(seed))


@pytest.mark.slow
def test_equals_matscipy_on_thousands_of_random_structures():
    """Which is a hundred times as fast as ASE."""
    need(importlib.util.find_spec("matscipy"), "matscipy is not installed")
    matscipy = importlib.import_module("matscipy.neighbours")
    for seed in range(3000):
        try:
            assert_same_lists(*random_structure(seed), matscipy.neighbour_list)
        except AssertionError as error:
            raise AssertionError(f"random_structure({seed}): {error}") from error


@examples(100)
@given(seeds)
def test_equals_brute_force_on_random_structures(seed):
    atoms, cutoff = random_structure(seed)
    # a very oblique cell may have 1e8 images to try, which would take hours
    assume(np.prod(2.0 * most_shifts(atoms, cutoff) + 1) < 20_000)
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


@examples(200)
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


@examples(100)
@given(seeds, st.booleans(), st.booleans())
def test_sorted_rows(seed, half, self_interaction):
    atoms, cutoff = random_structure(seed)
    options = {"half": half, "self_interaction": self_interaction}
    rows = np.column_stack(tm.neighbor_list("ijS", atoms, cutoff, sorted_rows=True, **options))
    expected = sorted_pairs(*tm.neighbor_list("ijS", atoms, cutoff, **options))[0]
    np.testing.assert_array_equal(rows, expected)


@pytest.mark.parametrize("cutoff", [8.6, 8.8])
def test_long_sorted_rows(cutoff):
    """Of about 140 neighbors, which are sorted in another way than short ones."""
    rows = np.column_stack(tm.neighbor_list("ijS", rattled_silicon(2), cutoff, sorted_rows=True))
    assert np.bincount(rows[:, 0]).min() > 128
    np.testing.assert_array_equal(rows, rows[np.lexsort(rows.T[::-1])])


@examples(20)
@given(seeds, st.booleans())
def test_each_atom_is_its_own_neighbor_once(seed, half):
    atoms, cutoff = random_structure(seed)
    pairs = {}
    for selves in (False, True):
        rows = tm.neighbor_list("ijS", atoms, cutoff, half=half, self_interaction=selves)
        pairs[selves] = sorted(np.column_stack(rows).tolist())
    expected = [*pairs[False], *([k, k, 0, 0, 0] for k in range(len(atoms)))]
    assert pairs[True] == sorted(expected)


@examples(50)
@given(seeds)
def test_quantities_alone_are_the_same(seed):
    atoms, cutoff = random_structure(seed)
    together = tm.neighbor_list("ijSDd", atoms, cutoff)
    for quantity, expected in zip("ijSDd", together, strict=True):
        np.testing.assert_array_equal(tm.neighbor_list(quantity, atoms, cutoff), expected)
    np.testing.assert_array_equal(tm.neighbor_list("Sd", atoms, cutoff)[1], together[4])


def test_pairs_at_the_cutoff_in_single_precision():
    """Distances that single precision cannot tell from the cutoff are decided in double."""
    rng = np.random.default_rng(0)
    directions = rng.normal(size=(400, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    lengths = 3.0 * (1 + np.repeat([-1e-9, -1e-13, 1e-13, 1e-9], 100))
    positions = np.concatenate([np.zeros((1, 3)), directions * lengths[:, None]]) + 40.0
    distances = np.linalg.norm(positions[1:] - positions[0], axis=1)
    i, j = tm.neighbor_list("ij", positions=positions, cutoff=3.0)
    found = set(j[i == 0])
    assert found == set(1 + np.flatnonzero(distances < 3.0))
    assert 190 < len(found) < 210


@examples(30)
@given(
    st.lists(seeds, max_size=6),
    st.booleans(),
    st.sampled_from([1, 2]),
    st.sampled_from([1, 8, 500]),
)
@example([0, 1, 2, 3, 4, 5], False, 1, 1)  # whose lists grow
def test_many_structures_in_one_call(some_seeds, half, n_threads, at_once):
    structures = [random_structure(seed)[0] for seed in some_seeds]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchml_core.neighbors.ATOMS_AT_ONCE", at_once)
        *lists, begin = tm.neighbor_lists("ijSDd", structures, 2.0, half=half, n_threads=n_threads)
    first = 0
    assert begin[0] == 0
    assert begin[-1] == len(lists[0])
    for k, atoms in enumerate(structures):
        expected = tm.neighbor_list("ijSDd", atoms, 2.0, half=half)
        for quantity, mine, theirs in zip("ijSDd", lists, expected, strict=True):
            offset = first if quantity in "ij" else 0
            np.testing.assert_array_equal(mine[begin[k] : begin[k + 1]], theirs + offset)
        first += len(atoms)


def test_many_structures_as_arrays():
    structures = [rattled_silicon(1, seed=seed) for seed in range(5)]
    arrays = {
        "positions": np.concatenate([atoms.positions for atoms in structures]),
        "atom_offsets": np.arange(0, 41, 8),
        "cells": np.array([atoms.cell[:] for atoms in structures]),
        "pbc": True,
    }
    for mine, theirs in zip(
        tm.neighbor_lists("ijSDd", cutoff=5.0, **arrays),
        tm.neighbor_lists("ijSDd", structures, 5.0),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, theirs)
    flat = arrays["cells"].copy()
    flat[3, 2] = flat[3, 1]
    for wrong, message in [
        ({"cells": flat}, "structure 3: cell = .* is singular"),
        ({"cells": flat[:4]}, r"cells has shape \(4, 3, 3\)"),
        ({"atom_offsets": [0, 8]}, "ascend from 0 to 40"),
        ({"atom_offsets": [0, 20, 10, 40]}, "ascend from 0 to 40"),
        ({"atom_offsets": np.array([0, 20, 10, 40], np.uint64)}, "ascend from 0 to 40"),
        (
            {"atom_offsets": np.array([0, 2**63, 40], np.uint64)},
            "atom_offsets.1. = 9223372036854775808",
        ),
        ({"atom_offsets": [[0, 40]]}, "atom_offsets has shape"),
        ({"atom_offsets": [0.0, 40.0]}, "atom_offsets is of dtype float64"),
        ({"atom_offsets": []}, "ascend from 0 to 40"),
        ({"pbc": "True"}, "pbc = 'True'"),
        ({"cells": flat * 1j}, "cells is of dtype complex128"),
        ({"cells": np.full((5, 3, 3), np.nan), "pbc": False}, r"cells\[0, 0, 0\] = nan"),
        ({"half": "no"}, "half = 'no'"),
        ({"pbc": None}, "positions, atom_offsets, cells and pbc"),
    ]:
        with pytest.raises(tm.InputError, match=message):
            tm.neighbor_lists("ij", cutoff=5.0, **{**arrays, **wrong})
    structures[2].positions[1, 1] = np.nan
    with pytest.raises(tm.InputError, match=r"structure 2: positions\[1, 1\] = nan"):
        tm.neighbor_lists("ij", structures, 5.0)


def test_structures_that_are_converted_among_others_that_are_not():
    structures = [rattled_silicon(1, seed=seed) for seed in range(3)]
    expected = tm.neighbor_lists("ijSDd", structures, 5.0)
    structures[1].arrays["positions"] = np.asfortranarray(structures[1].positions)
    for mine, theirs in zip(tm.neighbor_lists("ijSDd", structures, 5.0), expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    structures[1].positions = 0.0  # one place for all, which lists do not mind
    structures[2].cell[2] = structures[2].cell[1] * (1 + 1e-12)
    with pytest.raises(tm.InputError, match="structure 2: cell = .* is singular"):
        tm.neighbor_lists("ij", structures, 5.0)


def test_the_structure_of_a_fault_is_named(monkeypatch):
    monkeypatch.setattr("torchml_core.neighbors.ATOMS_AT_ONCE", 16)
    structures = [rattled_silicon(1, seed=seed) for seed in range(4)]
    structures[3].positions[1] = 1e20
    with pytest.raises(tm.InputError, match="structure 3: positions: atom 1 at .* billion cells"):
        tm.neighbor_lists("ij", structures, 3.0, n_threads=1)
    with pytest.raises(tm.InputError, match="structure 0: positions: atom 1 at .* billion cells"):
        tm.neighbor_lists("ij", structures[3:], 3.0)


def test_more_atoms_than_int32_counts(monkeypatch):
    monkeypatch.setattr("torchml_core.neighbors.MOST_ATOMS", 15)
    tm.neighbor_lists("ij", [rattled_silicon(1)], 3.0)
    with pytest.raises(tm.InputError, match="positions: 16 atoms; at most 15"):
        tm.neighbor_lists("ij", [rattled_silicon(1)] * 2, 3.0)


def test_a_workspace_is_used_again():
    out = tm.NeighborWorkspace()
    first = tm.neighbor_list("ijSDd", rattled_silicon(2, seed=1), 5.0, out=out)
    for n, cutoff, fits in [(2, 5.0, True), (1, 3.0, True), (3, 5.0, False)]:
        atoms = rattled_silicon(n, seed=2)
        found = tm.neighbor_list("ijSDd", atoms, cutoff, out=out)
        for mine, expected in zip(found, tm.neighbor_list("ijSDd", atoms, cutoff), strict=True):
            np.testing.assert_array_equal(mine, expected)
        assert np.shares_memory(found[3], first[3]) == fits
    with pytest.raises(tm.InputError, match="out is a list"):
        tm.neighbor_list("ij", rattled_silicon(1), 3.0, out=[])


def test_results_do_not_share_memory_while_somebody_has_them():
    atoms = rattled_silicon(4)
    kept = tm.neighbor_list("ijSDd", atoms, 5.0)
    views = [array[5:] for array in tm.neighbor_list("ijSDd", atoms, 5.0)]
    before = [array.copy() for array in (*kept, *views)]
    for seed in range(5):
        tm.neighbor_list("ijSDd", rattled_silicon(4, seed=seed), 5.0)
    for array, expected in zip((*kept, *views), before, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert not np.shares_memory(kept[3], views[3])


@pytest.mark.parametrize("n_bytes", [-1, "1", None, 1.5, 2**63, 10**400, True, [1]])
def test_bad_limits_of_kept_memory_are_named(n_bytes):
    with pytest.raises(tm.InputError, match="n_bytes = "):
        tm.set_kept_memory(n_bytes)


def test_memory_of_dropped_results_is_kept_up_to_a_limit():
    before = tm.set_kept_memory(2**20)
    try:
        tm.neighbor_list("ijSDd", rattled_silicon(6), 5.0)
        assert 0 < kept_memory() <= 2**20
        tm.set_kept_memory(0)
        assert kept_memory() == 0
        tm.neighbor_list("ijSDd", rattled_silicon(6), 5.0)
        assert kept_memory() == 0
    finally:
        assert tm.set_kept_memory(before) == 0


def test_searches_of_several_threads_do_not_disturb_each_other():
    structures = [rattled_silicon(3, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda a: tm.neighbor_list("ijSDd", a, 5.0), structures * 3))
    for atoms, lists in zip(structures * 3, found, strict=True):
        for mine, expected in zip(lists, tm.neighbor_list("ijSDd", atoms, 5.0), strict=True):
            np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("half", [False, True])
def test_centers_ascend(half):
    i = tm.neighbor_list("i", rattled_silicon(2), 5.0, half=half, self_interaction=True)
    assert (np.diff(i) >= 0).all()


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_threads_change_nothing(n_threads):
    atoms = rattled_silicon(6)
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


def test_what_needs_a_conversion_gives_the_same():
    """Arguments that are right as they are take another way than those that are converted."""
    atoms = rattled_silicon(1)
    positions, cell = atoms.positions.copy(), np.array(atoms.cell)
    expected = tm.neighbor_list("ijSDd", positions=positions, cell=cell, pbc=True, cutoff=4.0)
    for change in (
        {"positions": positions.tolist()},
        {"positions": np.asfortranarray(positions)},
        {"positions": positions.astype(">f8")},
        {"cell": cell.tolist()},
        {"cell": cell.diagonal()},
        {"pbc": [1, 1, 1]},
        {"pbc": np.ones(6, bool)[::2]},
        {"cutoff": np.float32(4)},
        {"cutoff": 4},
        {"half": 0, "n_threads": np.int64(1)},
    ):
        given = {"positions": positions, "cell": cell, "pbc": True, "cutoff": 4.0, **change}
        for mine, theirs in zip(tm.neighbor_list("ijSDd", **given), expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    whole = {"positions": positions.astype(np.float32), "cell": cell, "pbc": True, "cutoff": 4.0}
    rounded = {**whole, "positions": whole["positions"].astype(float)}
    for mine, theirs in zip(
        tm.neighbor_list("ijSDd", **whole), tm.neighbor_list("ijSDd", **rounded), strict=True
    ):
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


@examples(100)
@given(seeds)
def test_another_cell_of_the_same_lattice_gives_the_same_pairs(seed):
    rng = np.random.default_rng(seed)
    atoms, cutoff = random_structure(seed)
    atoms.pbc = True
    transform = np.eye(3, dtype=int)
    for _ in range(3):
        a, b = rng.choice(3, 2, replace=False)
        transform[a] += rng.integers(-5, 6) * transform[b]
    other = atoms.copy()
    other.set_cell(transform @ np.array(atoms.cell))
    i, j, S, D = tm.neighbor_list("ijSD", other, cutoff)
    expected, expected_D = sorted_pairs(*tm.neighbor_list("ijSD", atoms, cutoff))
    found, D = sorted_pairs(i, j, S @ transform, D)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(D, expected_D, rtol=0, atol=1e-9)


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
        ({"quantities": "ii"}, "quantities = 'ii'"),
        ({"quantities": ""}, "quantities = ''"),
        ({"n_threads": 0}, "n_threads = 0"),
        ({"n_threads": 1.5}, "n_threads = 1.5"),
        ({"positions": np.zeros((1, 3))}, "either a structure, or positions="),
        ({"structure": None}, "structure: ASE Atoms"),
        ({"structure": "Si"}, "structure is a str"),
        ({"structure": Atoms(numbers=[10**9])}, r"numbers\[0\] = 1000000000: at most 118"),
        ({"structure": Atoms(numbers=[1, -1])}, r"numbers\[1\] = -1: at least 0"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    given = {"quantities": "ij", "structure": rattled_silicon(1), "cutoff": 3.0, **arguments}
    with pytest.raises(tm.InputError, match=message):
        tm.neighbor_list(**given)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"positions": [[0, 0, np.nan]]}, r"positions\[0, 2\] = nan"),
        ({"positions": [[0, 0, 0], [1, -np.inf, 0]]}, r"positions\[1, 1\] = -inf"),
        ({"positions": [[0, 0]]}, r"shape \(1, 2\)"),
        ({"positions": [["a", 0, 0]]}, "real numbers are needed"),
        ({"cell": np.eye(3)}, "pbc: True, False, or three"),
        (
            {"cell": np.zeros((3, 3)), "pbc": True},
            "singular: linearly independent periodic vectors a, b, c",
        ),
        ({"cell": [[1, 0, 0], [2, 0, 0], [0, 0, 1]], "pbc": [1, 1, 0]}, "vectors a, b are needed"),
        ({"cell": np.diag([1, np.nan, 1]), "pbc": True}, r"cell\[1, 1\] = nan: a finite number"),
        ({"cell": np.diag([1, 1, np.inf]), "pbc": [1, 1, 0]}, r"cell\[2, 2\] = inf"),
        ({"cell": np.eye(3) * 1j, "pbc": True}, "cell is of dtype complex128; real numbers"),
        ({"cell": [1j, 1, 1], "pbc": True}, "cell is of dtype complex128; real numbers"),
        ({"cell": [[1, 0, 0], [0, 1]], "pbc": True}, "cell = .*: an array of shape"),
        ({"cell": "cubic", "pbc": True}, "cell"),
        ({"positions": [[0j, 0, 0]]}, "positions is of dtype complex128; real numbers"),
        ({"cell": np.eye(3), "pbc": "False"}, "pbc = 'False': True or False"),
        ({"cell": np.eye(3), "pbc": "FFF"}, "pbc = 'FFF'"),
        ({"cell": np.eye(3), "pbc": np.nan}, "pbc = nan"),
        ({"cell": np.eye(3), "pbc": [1, 0, 2]}, "pbc = "),
        ({"half": "False"}, "half = 'False'"),
        ({"self_interaction": None}, "self_interaction = None"),
        ({"sorted_rows": 2}, "sorted_rows = 2"),
        ({"cell": np.ones((2, 3)), "pbc": True}, r"shape \(2, 3\)"),
        (
            {"cell": np.eye(3), "pbc": [True, False]},
            r"pbc = \[True, False\]: True or False, or an array",
        ),
        ({"positions": [[0, 0, 1e20]], "cell": np.eye(3), "pbc": True}, "a billion cells away"),
    ],
)
def test_bad_structures_are_named(arguments, message):
    with pytest.raises(tm.InputError, match=message):
        tm.neighbor_list("ij", **{"positions": np.zeros((1, 3)), "cutoff": 3.0, **arguments})


def test_a_singular_cell_is_fine_where_it_is_not_periodic():
    i = tm.neighbor_list("i", positions=np.zeros((1, 3)), cell=[2, 0, 0], pbc=[1, 0, 0], cutoff=3)
    assert len(i) == 2
