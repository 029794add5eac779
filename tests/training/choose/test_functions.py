"""Symmetry functions chosen from a larger set."""

import numpy as np
import pytest
from ase.build import bulk

import torchml_core as tm
from torchml_core.dataset import Dataset
from torchml_core.training import select_functions


@pytest.fixture(scope="module")
def data():
    structures = []
    for k in range(6):
        atoms = bulk("SiC", "zincblende", a=4.4, cubic=True)
        atoms.rattle(0.1, seed=k)
        structures.append(atoms)
    return Dataset.from_atoms(structures)


RADIAL = [[4.0, 1.8], [4.0, 2.0], [4.0, 2.0001], [4.0, 2.6], [4.0, 3.2]]
ANGULAR = [[1, 1, 0.1], [1, -1, 0.1], [4, 1, 0.1]]


def functions_of(d):
    return [(type, row) for type, rows in d.functions for row in rows or [()]]


@pytest.mark.parametrize("method", ["cur", "farthest"])
@pytest.mark.parametrize("mode", ["pooled", "resolved"])
def test_functions_that_differ_are_chosen(data, method, mode):
    pool = tm.SymmetryFunctions(
        ["Si", "C"], 4.0, [("g1", []), ("g2", RADIAL), ("g5", ANGULAR)], species_mode=mode
    )
    d = select_functions(pool, data, 5, method=method)
    chosen = functions_of(d)
    assert len(chosen) == 5
    assert [f for f in functions_of(pool) if f in chosen] == chosen  # in their order
    assert not {("g2", (4.0, 2.0)), ("g2", (4.0, 2.0001))} <= set(chosen)
    assert d.species_mode == mode


def test_values_keep_their_normalization(data):
    """The values of the chosen functions are those of the pool, with its means and deviations."""
    width = 2 * 5 + 3 * 3
    pool = tm.SymmetryFunctions(
        ["Si", "C"],
        4.0,
        [("g2", RADIAL), ("g5", ANGULAR)],
        species_mode="resolved",
        mean=np.arange(width),
        std=1.0 + np.arange(width),
    )
    d = select_functions(pool, data, 4)
    c = data.configuration(0, 4.0)
    assert set(d.labels) < set(pool.labels)
    columns = [pool.labels.index(label) for label in d.labels]
    assert np.array_equal(d.compute(c), pool.compute(c)[:, columns])


def test_lists_of_elements(data):
    function = ("g2", ("Si",), 4.0, 4.0)
    pool = tm.ElementSymmetryFunctions(
        {"Si": [(*function, 2.5 + 0.2 * k) for k in range(6)], "C": [(*function, 2.0)]}
    )
    d = select_functions(pool, data, 3)
    assert d.widths == {"Si": 3, "C": 1}
    assert set(d.functions["Si"]) < set(pool.functions["Si"])


def test_what_cannot_be_chosen(data):
    pool = tm.SymmetryFunctions(["Si", "C"], 4.0, [("g2", [[4.0, 2.0], [4.0, 2.0]])])
    with pytest.raises(tm.InputError, match="n = 3: at most 2, the number of functions"):
        select_functions(pool, data, 3)
    for method in ("cur", "farthest"):
        with pytest.raises(tm.InputError, match="n = 2: at most 1, as many functions as differ"):
            select_functions(pool, data, 2, method=method)
    with pytest.raises(tm.UnsupportedError, match="SOAP is not a list of functions"):
        select_functions(tm.SOAP(["Si", "C"], 4.0, 2, 1), data, 2)
    with pytest.raises(tm.InputError, match="structures are needed"):
        select_functions(pool, Dataset([]), 1)
