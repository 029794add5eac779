"""Descriptors that are chosen from the data."""

from functools import partial

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

import torchml_core as tm
from torchml_core.dataset import Dataset


def test_cutoffs_are_twice_the_distance_of_neighbors():
    data = Dataset.from_atoms([bulk("Mo", a=3.2), bulk("Mo", a=3.2, cubic=True)])
    d = tm.training.choose_descriptor(data)
    assert d.species == ("Mo",)
    assert d.cutoff == pytest.approx(2 * 3.2 * np.sqrt(0.75), abs=0.01)
    assert tm.training.choose_descriptor(data, cutoff=6).cutoff == 6


@pytest.mark.parametrize("kind", ["SOAP", "SymmetryFunctions"])
def test_sizes_and_elements(kind):
    one = Dataset.from_atoms([bulk("Si")])
    choose = partial(tm.training.choose_descriptor, kind=kind)
    widths = [choose(one, size=s).width for s in ("small", "medium", "large")]
    assert widths == sorted(set(widths))
    d = choose(Dataset.from_atoms([molecule("CH3OH")]))
    assert isinstance(d, getattr(tm, kind))
    assert d.species == ("H", "C", "O")
    assert "[H-C]" in " ".join(d.labels)


def test_many_elements_are_mixed_in_channels():
    five = Dataset.from_atoms([bulk(s, "fcc", a=4.0) for s in ("Ni", "Cu", "Pd", "Ag", "Au")])
    four = five.select(range(4))
    assert tm.training.choose_descriptor(five).width == tm.training.choose_descriptor(four).width
    atoms = bulk("Ni", "fcc", a=4.0, cubic=True)
    others = atoms.copy()
    others.symbols[1] = "Au"
    d = tm.training.choose_descriptor(five)
    values = [
        d.compute(tm.Configuration.from_atoms(a, d.cutoff, d.species)) for a in (atoms, others)
    ]
    assert np.abs(values[0] - values[1])[0].max() > 1e-3


def test_values_tell_structures_apart_that_stretch_one_bond():
    data = Dataset.from_atoms([bulk("Si", cubic=True)])
    d = tm.training.choose_descriptor(data)
    atoms = bulk("Si", cubic=True)
    c = [tm.Configuration.from_atoms(a, d.cutoff, d.species) for a in (atoms, atoms.copy())]
    moved = atoms.copy()
    moved.positions[0, 0] += 0.05
    other = tm.Configuration.from_atoms(moved, d.cutoff, d.species)
    assert np.array_equal(d.compute(c[0]), d.compute(c[1]))
    assert np.abs(d.compute(other) - d.compute(c[0])).max() > 1e-3


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        ([], "structures are needed"),
        ([Atoms("Si"), Atoms("Si2", [[0, 0, 0], [0, 0, 20]])], "within 16 Å"),
    ],
)
def test_without_neighbors_nothing_can_be_chosen(structures, message):
    with pytest.raises(tm.InputError, match=message):
        tm.training.choose_descriptor(Dataset.from_atoms(structures))
