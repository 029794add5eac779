"""Farthest points and CUR against slow references, with ties, equal points and low ranks."""

import numpy as np
import pytest
from ase.build import bulk

import torchml_core as tm
from torchml_core.dataset import Dataset, farthest_points
from torchml_core.dataset.selection import cur_columns, farthest_rows

RANDOM = np.random.default_rng(0)


def slow_farthest(points, n):
    mean = sum(points) / len(points)
    chosen = [max(range(len(points)), key=lambda k: np.linalg.norm(points[k] - mean))]
    while len(chosen) < n:
        chosen.append(
            max(
                range(len(points)),
                key=lambda k: min(np.linalg.norm(points[k] - points[j]) for j in chosen),
            )
        )
    return chosen


def slow_cur(matrix, n):
    """By singular vectors of the matrix, of which chosen columns are projected out."""
    chosen = []
    for _ in range(n):
        basis = np.linalg.qr(matrix[:, chosen])[0]
        rest = matrix - basis @ (basis.T @ matrix)
        scores = np.linalg.svd(rest)[2][0] ** 2
        scores[chosen] = -1
        chosen.append(int(np.argmax(scores)))
    return chosen


def test_farthest_rows():
    points = RANDOM.normal(size=(30, 4))
    assert farthest_rows(points, 12) == slow_farthest(points, 12)


def test_cur_columns():
    matrix = RANDOM.normal(size=(40, 15)) * np.linspace(1, 3, 15)
    assert cur_columns(matrix.T @ matrix, 15) == slow_cur(matrix, 15)


def test_groups_of_columns():
    """Once a group is chosen, what follows from its columns does not count in others."""
    matrix = RANDOM.normal(size=(20, 6))
    matrix[:, 4] *= 20
    matrix[:, 5] = matrix[:, 4] + 1e-3 * matrix[:, 5]  # follows from the first group
    groups = [np.array([0, 4]), np.array([1, 2]), np.array([3, 5])]
    assert cur_columns(matrix.T @ matrix, 2, groups)[1] == 1


def test_ties_and_equal_points():
    square = np.array([[0.0, 0], [0, 1], [1, 1], [1, 0]])
    assert farthest_rows(square, 2) == [0, 2]
    assert farthest_rows(np.repeat(square, 3, axis=0), 9) == [0, 6, 3, 9]  # only 4 differ
    matrix = RANDOM.normal(size=(10, 3))
    double = np.concatenate([matrix, matrix, np.zeros((10, 1))], axis=1)
    chosen = cur_columns(double.T @ double, 7)
    assert sorted(chosen) == [0, 1, 2]  # the first of equal ones


@pytest.fixture(scope="module")
def data():
    """Ten rattled crystals, of which the last is twice there, and an expanded one."""
    structures = []
    for k in range(10):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.02 + 0.01 * k, seed=k)
        structures.append(atoms)
    expanded = bulk("Si", a=6.5, cubic=True)
    expanded.rattle(0.01, seed=3)
    return Dataset.from_atoms([*structures, structures[-1], expanded])


@pytest.fixture(scope="module")
def descriptor():
    rows = [[1.0, 2.0 + 0.25 * k] for k in range(8)]
    return tm.SymmetryFunctions(["Si"], 4.0, [("g2", rows), ("g5", [[1, -1, 0.05]])])


@pytest.mark.parametrize("method", ["farthest", "cur"])
def test_structures(data, descriptor, method):
    chosen = farthest_points(data, descriptor, 6, method=method)
    assert 11 in chosen  # the expanded one
    assert not {9, 10} <= set(chosen)
    assert farthest_points(data, descriptor, 3, method=method) == chosen[:3]


def test_more_structures_than_there_are(data, descriptor):
    with pytest.raises(tm.InputError, match="n = 12: at most 11, the number of different"):
        farthest_points(data, descriptor, 12)
    with pytest.raises(tm.InputError, match="n = 13: at most 12, the number of structures,"):
        farthest_points(data, descriptor, 13)
    with pytest.raises(tm.InputError, match="method = 'best': one of"):
        farthest_points(data, descriptor, 3, method="best")
