"""The geometry of the neighbor search: empty space, both ends of a pair, and any magnitude."""

import numpy as np
import pytest
from ase import Atoms
from structures import (
    crystals_with_a_shell_at_the_cutoff,
    have_both_ends,
    images,
    rattled_silicon,
)

import torchml_core as tm
from torchml_core.pairs import search_pairs
from torchml_core.structure import as_structure


def n_tests(atoms, cutoff):
    """How many pairs of points a search tests: what its time is made of, for any machine."""
    with search_pairs(as_structure(atoms), cutoff) as search:
        return search.n_tests()


# ---- empty space


def droplet(radius=12.0):
    atoms = rattled_silicon(6)
    atoms.positions -= atoms.positions.mean(axis=0)
    atoms = atoms[np.linalg.norm(atoms.positions, axis=1) < radius]
    return Atoms(atoms.symbols, atoms.positions)


def with_atom_at(place):
    return droplet() + Atoms("Si", [place])


def copies(n, step):
    atoms = Atoms()
    for k in range(n):
        one = droplet(6.0)
        one.positions += k * np.array(step)
        atoms += one
    return atoms


def in_a_box(atoms, cell, shift=0.0, pbc=True):
    return Atoms(atoms.symbols, atoms.positions + shift, cell=cell, pbc=pbc)


def line(direction, step=2.0, n=300):
    noise = np.random.default_rng(0).normal(scale=0.3, size=(n, 3))
    return Atoms(f"Si{n}", step * np.arange(n)[:, None] * np.array(direction) + noise)


def wrapped(atoms):
    atoms.wrap()
    return atoms


# a structure with empty space, and the same pairs without
EMPTY_SPACE = {
    "droplet in a box": (in_a_box(droplet(), [1e3] * 3, 500.0), droplet()),
    "droplet in a huge box": (in_a_box(droplet(), [1e6] * 3, 300.0), droplet()),
    "droplet across a corner": (wrapped(in_a_box(droplet(), [1e6] * 3)), droplet()),
    "droplet in a tilted box": (
        in_a_box(droplet(), [[1e6, 0, 0], [9e5, 1e6, 0], [-7e5, 8e5, 1e6]], 10.0),
        droplet(),
    ),
    "an atom far away": (with_atom_at([1e4, 0, 0]), with_atom_at([20.0, 0, 0])),
    "an atom farther away": (with_atom_at([-1e8, 1e8, 1e8]), with_atom_at([20.0, 0, 0])),
    "an atom at the end of all numbers": (
        with_atom_at([1e300, -1e20, 1e3]),
        with_atom_at([20.0, 0, 0]),
    ),
    "two droplets": (copies(2, [0, 0, 1e6]), copies(2, [0, 0, 20])),
    "droplets along a diagonal": (copies(12, [1e4, 2e4, -3e4]), copies(12, [20, 0, 0])),
    "wire along a diagonal": (line([1, 1, 1]), line([3**0.5, 0, 0])),
    "atoms along a diagonal": (line([1, -1, 1], 20.0), line([1, 0, 0], 20.0)),
    "slab": (
        in_a_box(rattled_silicon((4, 4, 2)), [21.72, 21.72, 1e7]),
        in_a_box(rattled_silicon((4, 4, 2)), [21.72, 21.72, 20.0]),
    ),
    "slab in a tilted cell": (
        in_a_box(rattled_silicon((4, 4, 2)), [[21.72, 0, 0], [0, 21.72, 0], [3e6, -4e6, 1e6]]),
        in_a_box(rattled_silicon((4, 4, 2)), [[21.72, 0, 0], [0, 21.72, 0], [9, -4, 20.0]]),
    ),
    "wire with a period": (
        in_a_box(rattled_silicon((1, 1, 8)), [1e6, 1e5, 8 * 5.43], pbc=(True, False, True)),
        in_a_box(rattled_silicon((1, 1, 8)), [20.0, 20.0, 8 * 5.43]),
    ),
}


@pytest.mark.parametrize("name", EMPTY_SPACE)
@pytest.mark.parametrize("cutoff", [3.0, 6.0])
def test_empty_space_changes_neither_pairs_nor_work(name, cutoff):
    """A search that tests more pairs takes longer; one grid of cells for all space would fail."""
    empty, dense = EMPTY_SPACE[name]
    found, expected = (tm.neighbor_list("ijd", atoms, cutoff) for atoms in (empty, dense))
    if "diagonal" not in name:
        rows, expected_rows = (np.lexsort(lists[::-1]) for lists in (found, expected))
        for mine, theirs in zip(found, expected, strict=True):
            np.testing.assert_allclose(mine[rows], theirs[expected_rows], rtol=0, atol=1e-8)
    i, j, S, D = tm.neighbor_list("ijSD", empty, cutoff)
    np.testing.assert_array_equal(
        D,
        (empty.positions[j] - empty.positions[i])
        + sum(S[:, k, None] * empty.cell[k] * empty.pbc[k] for k in range(3)),
    )
    assert have_both_ends(images(i, j, S))
    assert n_tests(empty, cutoff) <= 3 * n_tests(dense, cutoff) + 1000


@pytest.mark.parametrize("name", ["wire along a diagonal", "droplets along a diagonal"])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_cells_that_are_listed_find_what_is_there(name, n_threads):
    atoms = EMPTY_SPACE[name][0]
    distances = np.linalg.norm(atoms.positions[:, None] - atoms.positions[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    found = tm.neighbor_list("ij", atoms, 5.0, sorted_rows=True, n_threads=n_threads)
    np.testing.assert_array_equal(np.column_stack(found), np.argwhere(distances < 5.0))


def test_a_batch_of_structures_with_empty_space():
    structures = [empty for empty, _ in EMPTY_SPACE.values()]
    *lists, begin = tm.neighbor_lists("ijSd", structures, 4.0)
    first = 0
    for k, atoms in enumerate(structures):
        i, j, S, d = (array[begin[k] : begin[k + 1]] for array in lists)
        for mine, theirs in zip(
            (i - first, j - first, S, d), tm.neighbor_list("ijSd", atoms, 4.0), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        first += len(atoms)


@pytest.mark.slow
def test_a_gas_is_searched_in_wide_cells():
    positions = np.random.default_rng(0).uniform(0, 2000, (2000, 3))
    atoms = Atoms("H2000", positions, cell=[2000] * 3, pbc=True)
    assert n_tests(atoms, 5.0) < 60 * len(atoms)
    found = tm.neighbor_list("ij", atoms, 100.0, sorted_rows=True)
    D = positions[None] - positions[:, None]
    D -= 2000 * np.rint(D / 2000)
    near = np.linalg.norm(D, axis=2) < 100.0
    np.fill_diagonal(near, False)
    np.testing.assert_array_equal(np.column_stack(found), np.argwhere(near))


# ---- both ends of a pair


def test_pairs_of_perfect_crystals_are_listed_from_both_ends():
    """Two hundred crystals, a shell at the cutoff: the two rows of a pair must round alike."""
    for atoms, cutoff in crystals_with_a_shell_at_the_cutoff():
        i, j, S, D, d = tm.neighbor_list("ijSDd", atoms, cutoff)
        assert (d < cutoff).all()
        vectors = {
            tuple(row): tuple(v) for row, v in zip(np.column_stack([i, j, S]), D, strict=True)
        }
        for (i, j, a, b, c), (x, y, z) in vectors.items():
            assert vectors[j, i, -a, -b, -c] == (-x, -y, -z)
        half = tm.neighbor_list("i", atoms, cutoff, half=True)
        assert 2 * len(half) == len(vectors)


def test_a_shell_at_the_cutoff_is_in_configurations_as_a_whole():
    """As crystals have it; ghosts are rounded too, so that the vectors of a shell differ."""
    for atoms, cutoff in crystals_with_a_shell_at_the_cutoff():
        c = tm.Configuration.from_atoms(atoms, cutoff)
        i, j = c.pair_centers(), c.neighbors
        found = images(i, c.parents[j], c.shifts[j])
        assert have_both_ends(found)
        assert found == images(*tm.neighbor_list("ijS", atoms, cutoff + 1e-6))
        (graph,) = c.staged_graph(cutoff, 1)
        of_atoms = graph[:, c.contributing[graph[0]]]
        assert found == images(of_atoms[0], c.parents[of_atoms[1]], c.shifts[of_atoms[1]])


# ---- what single faults in the search would miss


def test_single_precision_is_not_believed_near_the_cutoff():
    """Pairs along x at both ends of a structure, as near to the cutoff as double precision tells.

    They are a little more than a power of two from the middle, in the unit of the search (4 Å):
    there single precision is off by most of what it can be in a grid of that width.
    """
    rng = np.random.default_rng(0)
    for _ in range(250):
        begin = np.column_stack([rng.uniform(0, 0.5, 8), rng.uniform(0, 1, (8, 2))])
        directions = np.column_stack([np.ones(8), rng.uniform(-0.1, 0.1, (8, 2))])
        directions /= np.linalg.norm(directions, axis=1)[:, None]
        end = begin + directions * 3.0 * (1 + rng.choice([-1e-9, 1e-9], (8, 1)))
        positions = np.stack([begin, end], axis=1).reshape(16, 3)
        positions[:8, 0] = 263.0 - positions[:8, 0]
        d = np.linalg.norm(positions[1::2] - positions[0::2], axis=1)
        i, j = tm.neighbor_list("ij", positions=positions, cutoff=3.0)
        assert sorted(i[(i % 2 == 0) & (j == i + 1)] // 2) == np.flatnonzero(d < 3.0).tolist()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("narrower", 10.0 ** np.arange(-7, -1))
@pytest.mark.parametrize("pbc", [True, False])
def test_cells_are_not_narrower_than_the_cutoff(axis, narrower, pbc):
    """Pairs in every second of those cells that would just have one more in a box."""
    width, n = 3.0 * (1 - narrower / 2), 9
    edges = width * np.arange(1, n - 1)
    positions = np.zeros((2 * len(edges), 3))
    positions[0::2, axis] = edges - 3.0 * narrower / 8
    positions[1::2, axis] = edges + 3.0 * narrower / 8
    cell = [4.0] * 3  # one cell across: there are so few that none need be wider
    cell[axis] = n * width
    positions = np.concatenate([positions, [[0.0] * 3, np.array(cell) * (1 - 1e-12)]])
    found = tm.neighbor_list("ij", positions=positions, cell=cell, pbc=pbc, cutoff=3.0)
    pairs = set(zip(*(array.tolist() for array in found), strict=True))
    for k in range(len(edges) - 1):
        assert (2 * k, 2 * k + 3) in pairs
        assert (2 * k + 3, 2 * k) in pairs


@pytest.mark.parametrize("shear", [0.1, 1e-3, 1e-6, 1e-7, 1e-8])
def test_cells_that_are_nearly_right_angled(shear):
    """Two narrow cells further on in two directions: nearer than Pythagoras says."""
    edge = 3.0 * np.sqrt(2) * (1 + 0.3 * shear)  # half its shorter diagonal is within the cutoff
    cell = np.diag([4.5, edge, edge])
    cell[2, 1] = shear * edge
    near = [[0.5, 0.5 - 1e-12, 0.5 + 1e-12], [0.5, 1e-12, 1 - 1e-12]]  # shifted by b - c
    others = np.random.default_rng(0).uniform(0, 1, (150, 3))  # so many that cells are narrow
    positions = np.concatenate([near, others]) @ cell
    assert 2.9 < np.linalg.norm(positions[1] + cell[1] - cell[2] - positions[0]) < 3.0
    lists = tm.neighbor_list("ijS", positions=positions, cell=cell, pbc=True, cutoff=3.0)
    assert [0, 1, 0, 1, -1] in np.column_stack(lists).tolist()


@pytest.mark.parametrize("cells_away", [0.9e9, -0.9e9])
def test_atoms_almost_a_billion_cells_away(cells_away):
    positions = [[cells_away * 4 + 1, 0, 0], [2, 0, 0]]
    S, d = tm.neighbor_list("Sd", positions=positions, cell=[4] * 3, pbc=True, cutoff=1.5)
    assert S.tolist() == [[cells_away, 0, 0], [-cells_away, 0, 0]]
    assert d.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("cells_away", [1.1e9, -3e9, 1e11, 1e300])
def test_atoms_over_a_billion_cells_away_are_refused(cells_away):
    """Their shifts do not fit; it is named which, in the direction that counts."""
    positions = [[0, 0, 0], [1, 1e7, cells_away * 4], [1e300, 2, 3]]
    with pytest.raises(tm.InputError, match="positions: atom 1 at .* over a billion cells away"):
        tm.neighbor_list("S", positions=positions, cell=[4] * 3, pbc=(False, True, True), cutoff=1)


def test_the_atom_that_is_the_most_cells_away_is_named():
    """Not the farthest in Å."""
    positions = [[0, 0, 0], [0, 9e9, 0], [5e9, 0, 0]]
    with pytest.raises(tm.InputError, match=r"atom 2 at \[5000000000.0, 0.0, 0.0\] is over"):
        tm.neighbor_list("ij", positions=positions, cell=[1, 1000, 10], pbc=True, cutoff=1.0)


# ---- magnitudes


@pytest.mark.parametrize("exponent", [-320, -308, -200, -160, -105, -30, 30, 105, 160, 200, 300])
def test_lengths_of_any_magnitude(exponent):
    """Everything scaled by a power of two near 10**exponent, which no list but vectors shows."""
    scale = 2.0 ** round(exponent / np.log10(2))
    atoms = rattled_silicon(1)
    if exponent < -300:  # digits that such numbers have
        atoms.positions = np.round(atoms.positions)
        atoms.cell = np.round(atoms.cell)
    scaled = {"positions": atoms.positions * scale, "cell": atoms.cell[:] * scale, "pbc": True}
    for cutoff in (2.5, 3.25, 5.75):
        i, j, S, D, d = tm.neighbor_list("ijSDd", atoms, cutoff)
        found = tm.neighbor_list("ijSDd", cutoff=cutoff * scale, **scaled)
        for mine, expected in zip(found, (i, j, S, D * scale), strict=False):
            np.testing.assert_array_equal(mine, expected)
        np.testing.assert_allclose(found[4], d * scale, rtol=1e-15, atol=5e-324)
    lists = tm.neighbor_lists(
        "ij",
        positions=scaled["positions"],
        atom_offsets=[0, 8],
        cells=[scaled["cell"]],
        pbc=True,
        cutoff=5.75 * scale,
    )
    np.testing.assert_array_equal(lists[:2], [i, j])
    c = tm.Configuration.from_atoms(cutoff=5.75 * scale, symbols=["Si"] * 8, **scaled)
    assert c.n_pairs == len(i)
    (graph,) = c.staged_graph(3.25 * scale, 1)
    expected = tm.Configuration.from_atoms(atoms, 5.75).staged_graph(3.25, 1)[0]
    assert graph.shape == expected.shape


@pytest.mark.parametrize("cutoff", [1e39, 1e160, 1e200, 1.7e308])
def test_a_cutoff_beyond_all_atoms(cutoff):
    positions = np.array([[0.0, 0, 0], [1, 0, 0], [0, -2, 0]])
    i, j, d = tm.neighbor_list("ijd", positions=positions, cutoff=cutoff, sorted_rows=True)
    assert list(zip(i, j, strict=True)) == [(a, b) for a in range(3) for b in range(3) if a != b]
    np.testing.assert_array_equal(d, np.linalg.norm(positions[j] - positions[i], axis=1))


def test_atoms_of_very_different_magnitudes():
    positions = [
        [0, 0, 0],
        [1e-300, 0, 0],
        [1, 0, 0],
        [1e300, 0, 0],
        [1e300, 1, 0],
        [-1.7e308, 0, 0],
    ]
    found = {}
    for cutoff in (1e-301, 1e-299, 1.5, 1e299, 1.1e300):
        i, j, d = tm.neighbor_list("ijd", positions=positions, cutoff=cutoff)
        found[cutoff] = {(a, b): x for a, b, x in zip(i, j, d, strict=True) if a < b}
    assert found[1e-301] == {}
    assert found[1e-299] == {(0, 1): 1e-300}
    assert found[1.5] == {(0, 1): 1e-300, (0, 2): 1.0, (1, 2): 1.0, (3, 4): 1.0}
    assert set(found[1e299]) == set(found[1.5])
    assert len(found[1.1e300]) == 10  # all but those of the last


@pytest.mark.parametrize(
    ("cell", "cutoff", "message"),
    [
        (np.diag([1e-30, 1, 1]), 3.0, "cutoff = 3 is far too large for this cell"),
        ([[1e-30, 0, 0], [1, 1, 0], [0, 0, 1]], 3.0, "cell = .* less oblique vectors are needed"),
        (np.diag([1e-300, 1e300, 1]), 3.0, "cutoff = 3"),
        (np.eye(3) * 1e300, 3.0, "cutoff = 3: a larger one is needed for cell"),
        (np.eye(3) * 1e50, 1e-60, "cutoff = 1e-60: a larger one is needed for cell"),
        (np.eye(3), 1e200, r"cutoff = 1e\+200 is far too large for this cell"),
    ],
)
def test_what_is_out_of_range_is_named(cell, cutoff, message):
    with pytest.raises(tm.InputError, match=message):
        tm.neighbor_list("ij", positions=np.zeros((1, 3)), cell=cell, pbc=True, cutoff=cutoff)


def test_small_cells_with_small_cutoffs():
    """Right lists where the images within the cutoff are few, however odd the cell."""
    for cell in (np.diag([1e-30, 1, 1]), np.array([[1e-30, 0, 0], [1, 1, 0], [0, 0, 1]])):
        S = tm.neighbor_list("S", positions=np.zeros((1, 3)), cell=cell, pbc=True, cutoff=2.5e-30)
        assert sorted(S.tolist()) == [[k, 0, 0] for k in (-2, -1, 1, 2)]
        assert not len(
            tm.neighbor_list("S", positions=[[0.0] * 3], cell=cell, pbc=True, cutoff=1e-40)
        )


def test_ghosts_whose_shifts_do_not_fit_are_refused():
    """Two atoms two billion cells away from each other, and images fifty million away."""
    positions = [[-0.99e9 * 4, 0, 0], [0.99e9 * 4 + 1, 0, 0]]
    cell = [[4, 0, 0], [2e8, 4, 0], [0, 0, 4]]
    given = {"positions": positions, "cell": cell, "pbc": True, "symbols": ["Si"] * 2}
    c = tm.Configuration.from_atoms(cutoff=4.5, **given)
    assert abs(c.shifts).max() > 1.9e9
    with pytest.raises(tm.InputError, match="n_layers = 6: fewer ghosts are needed"):
        tm.Configuration.from_atoms(cutoff=4.5, n_layers=6, **given)
