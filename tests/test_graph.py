"""Staged graphs against their definition, walked with Python sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quick import examples
from structures import random_structure, rattled_silicon

import torchml_core as tm
from torchml_core.graph import staged_graph


def staged_graph_by_definition(positions, contributing, cutoff, n_layers):
    distances = np.linalg.norm(positions[:, None] - positions[None], axis=2)
    stage, graphs = set(np.flatnonzero(contributing).tolist()), []
    for _ in range(n_layers):
        edges, reached = set(), set()
        for i in stage:
            for j in np.flatnonzero(distances[i] <= cutoff).tolist():
                if j != i:
                    edges |= {(i, j), (j, i)}
                    reached.add(j)
        graphs.append(sorted(edges))
        stage = reached
    return graphs


@examples(100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_equals_the_definition(seed, n_layers):
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, 4, (rng.integers(1, 40), 3))
    contributing = rng.random(len(positions)) < 0.4
    graphs = staged_graph(positions, contributing, 1.3, n_layers)
    expected = staged_graph_by_definition(positions, contributing, 1.3, n_layers)
    assert len(graphs) == n_layers
    for graph, edges in zip(graphs, expected, strict=True):
        assert graph.shape == (2, len(edges))
        assert graph.dtype == np.int64
        assert graph.T.tolist() == [list(edge) for edge in edges]


@examples(50)
@given(st.integers(0, 2**32 - 1))
def test_every_atom_of_a_stage_has_all_its_neighbors(seed):
    """Ghosts reach far enough: each atom's in-edges are those of the periodic structure."""
    atoms, cutoff = random_structure(seed)
    cutoff = min(cutoff, 2.5)
    c = tm.Configuration.from_atoms(atoms, cutoff, n_layers=3)
    counts = np.bincount(tm.neighbor_list("i", atoms, cutoff), minlength=len(atoms))
    stage = c.centers
    for graph in c.staged_graph(cutoff, 3):
        degree = np.bincount(graph[1], minlength=c.n_particles)
        np.testing.assert_array_equal(degree[stage], counts[c.parents[stage]])
        stage = np.unique(graph[0][np.isin(graph[1], stage)])


@pytest.mark.parametrize("all_rows", [None, ([0, 1], [0, 1, 2], [1, 0])])
def test_a_distance_equal_to_the_cutoff_is_an_edge(all_rows):
    """Whether it is found by a search or in a driver's lists."""
    positions = np.array([[0.0, 0, 0], [1.1, 0, 0]])
    (graph,) = staged_graph(positions, [True, False], 1.1, 1, all_rows=all_rows)
    assert graph.tolist() == [[0, 1], [1, 0]]


@examples(100)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_given_rows_make_the_graph_that_a_search_makes(seed, n_layers):
    """Rows in any order, unsorted, and reaching further than the cutoff."""
    rng = np.random.default_rng(seed)
    positions = rng.uniform(0, 4, (rng.integers(1, 40), 3))
    contributing = rng.random(len(positions)) < 0.4
    near = np.linalg.norm(positions[:, None] - positions[None], axis=2) <= 1.3 + rng.random()
    np.fill_diagonal(near, False)
    particles = rng.permutation(len(positions)).astype(np.int32)
    rows = [rng.permutation(np.flatnonzero(near[i])) for i in particles]
    c = tm.Configuration(
        positions,
        np.zeros(len(positions), dtype=np.int32),
        contributing,
        np.flatnonzero(contributing),
        np.zeros(contributing.sum() + 1, dtype=np.int64),
        [],
        all_rows=(particles, np.cumsum([0, *map(len, rows)]), np.concatenate(rows)),
    )
    expected = staged_graph(positions, contributing, 1.3, n_layers)
    for graph, edges in zip(c.staged_graph(1.3, n_layers), expected, strict=True):
        np.testing.assert_array_equal(graph, edges)


def test_rows_that_are_not_those_of_all_particles_are_refused():
    arrays = ([[0.0, 0, 0], [1, 0, 0]], [0, 0], [True, False], [0], [0, 1], [1])
    with pytest.raises(tm.InputError, match="all_rows\\[0\\]: each of the 2 particles once"):
        tm.Configuration(*arrays, all_rows=([0, 0], [0, 1, 2], [1, 1]))


def test_no_contributing_particles_no_edges():
    (graph,) = staged_graph(np.zeros((2, 3)), [False, False], 1.0, 1)
    assert graph.shape == (2, 0)


def test_a_graph_that_would_lack_particles_is_refused():
    c = tm.Configuration.from_atoms(rattled_silicon(1), 3.0, n_layers=2)
    with pytest.raises(tm.InputError, match="end at cutoff 3, but the staged graph needs 3.5"):
        c.staged_graph(3.5, 1)
    with pytest.raises(tm.InputError, match="reach 2 layers, but the staged graph needs 3"):
        c.staged_graph(3.0, 3)
    assert len(c.staged_graph(2.5, 2)) == 2


@pytest.mark.parametrize("cutoff", [0.0, -1.0, np.inf, np.nan])
def test_bad_cutoffs_are_named(cutoff):
    with pytest.raises(tm.InputError, match="cutoff ="):
        staged_graph(np.zeros((1, 3)), [True], cutoff, 1)


@pytest.mark.parametrize("n_layers", [0, -1, 1.5])
def test_bad_layers_are_named(n_layers):
    with pytest.raises(tm.InputError, match="n_layers ="):
        staged_graph(np.zeros((1, 3)), [True], 1.0, n_layers)
