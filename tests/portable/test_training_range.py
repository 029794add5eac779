"""The range of descriptor values in training data, and how models use it."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from small_models import DescriptorNet
from structures import rattled_silicon

import torchml_core as tm

FUNCTIONS = [("g2", [[0.3, 0.0], [0.5, 1.5]]), ("g4", [[1, -1, 0.01]])]


def structures():
    silicon_carbide = bulk("SiC", "zincblende", a=4.36, cubic=True)
    silicon_carbide.rattle(0.1, seed=1)
    return [bulk("Si"), silicon_carbide, rattled_silicon(1), Atoms("C")]


def test_of_every_element():
    descriptor = tm.SymmetryFunctions(["Si", "C", "H"], 4.0, FUNCTIONS)
    found = tm.training_range(descriptor, iter(structures()))
    rows = {"Si": [], "C": []}
    for atoms in structures():
        c = tm.Configuration.from_atoms(atoms, 4.0)
        for symbol, row in zip(atoms.symbols, descriptor.compute(c), strict=True):
            rows[symbol].append(row)
    assert list(found) == ["Si", "C"]
    for symbol, own in rows.items():
        np.testing.assert_array_equal(found[symbol].min, np.min(own, axis=0))
        np.testing.assert_array_equal(found[symbol].max, np.max(own, axis=0))


def test_each_element_has_its_own_components():
    own = {"Si": [("g2", ("C",), 4.0, 0.1)], "C": [("g2", None, 3.0, eta) for eta in (0.1, 0.2)]}
    found = tm.training_range(tm.ElementSymmetryFunctions(own), structures())
    assert {element: len(limits.min) for element, limits in found.items()} == {"Si": 1, "C": 2}
    assert found["Si"].min == (0.0,)


@pytest.mark.parametrize("normalization", [{}, {"mean": [1e6, -0.3, 1e-3], "std": [1e-3, 7, 0.1]}])
def test_training_data_are_within_their_own_range(normalization, tmp_path):
    descriptor = tm.SymmetryFunctions(["Si"], 4.0, FUNCTIONS, **normalization)
    data = [rattled_silicon(1, seed) for seed in range(3)]
    limits = tm.training_range(descriptor, data)
    plain = tm.training_range(tm.SymmetryFunctions(["Si"], 4.0, FUNCTIONS), data)
    for k in range(2):  # of values that are not normalized
        np.testing.assert_allclose(limits["Si"][k], plain["Si"][k], atol=1e-9)
    model = tm.PortableModel.create(
        tmp_path / "m",
        model=DescriptorNet(3),
        species=["Si"],
        descriptor=descriptor,
        training_range=limits,
    )
    assert model.card.training_range == limits
    assert [model.evaluate(atoms).extrapolation for atoms in data] == [[], [], []]
    assert model.evaluate(bulk("Si", a=5.0)).extrapolation


def test_what_it_cannot_be_given():
    descriptor = tm.SymmetryFunctions(["Si"], 4.0, FUNCTIONS)
    for arguments, message in (
        ((descriptor, []), r"structures = \[\]: at least one structure"),
        ((descriptor, 5), "structures = 5: an iterable"),
        ((tm.Xi(2, 4.0), [bulk("Si")]), "a descriptor with species is needed"),
        ((descriptor, [bulk("C")]), "C"),
    ):
        with pytest.raises(tm.InputError, match=message):
            tm.training_range(*arguments)
