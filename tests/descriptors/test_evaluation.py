"""Descriptor.evaluate: values, then their gradient from what was kept, equal to the last bit."""

import copy
import pickle

import numpy as np
import pytest
from ase.build import bulk

import torchml_core as tm


def rattled(species, size=2):
    atoms = bulk("Si", cubic=True) * (size, size, size)
    atoms.rattle(0.1, seed=0)
    del atoms[5]  # so that the last group of atoms is not full
    atoms.symbols = np.random.default_rng(0).choice(species, len(atoms))
    return atoms


DESCRIPTORS = {
    "soap": lambda: tm.SOAP(["Si"], 4.5, 8, 3),
    "soap of short rows, unit norm": lambda: tm.SOAP(["Si", "C"], 4.0, 3, 2, unit_norm=True),
    "xi": lambda: tm.Xi(2, 4.5, species=["Si"]),
    "spherical expansion": lambda: tm.SphericalExpansion(["Si"], 4.0, 3, 2),
    "bispectrum": lambda: tm.Bispectrum(["Si"], 4.0, 2),
    "symmetry functions": lambda: tm.SymmetryFunctions(["Si"], 4.0, [("g2", [[0.1, 0.0]])]),
}
KEEPING = ("soap", "soap of short rows, unit norm", "xi")


@pytest.fixture(params=DESCRIPTORS)
def name(request):
    return request.param


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("most_kept", [2**28, 40_000, 0])
def test_same_bits(name, dtype, most_kept):
    d = DESCRIPTORS[name]()
    c = tm.Configuration.from_atoms(rattled(d.species), d.cutoff, d.species)
    g = np.random.default_rng(1).standard_normal((c.n_centers, d.width)).astype(dtype)
    e = d.evaluate(c, dtype=dtype, most_kept=most_kept)
    assert np.array_equal(e.values, d.compute(c, dtype=dtype))
    for _ in range(2):
        gradient, virial = e.vjp(g, virial=True)
        expected, expected_virial = d.vjp(c, g, virial=True)
        assert gradient.dtype == dtype
        assert np.array_equal(gradient, expected)
        assert np.array_equal(virial, expected_virial)
    assert e.kept_nbytes <= most_kept
    assert (e.kept_nbytes > 0) == (name in KEEPING and most_kept > 0)


def test_gradient_is_that_of_the_values(name):
    """Neither positions nor values that are changed meanwhile matter."""
    d = DESCRIPTORS[name]()
    c = tm.Configuration.from_atoms(rattled(d.species), d.cutoff, d.species)
    g = np.ones((c.n_centers, d.width))
    expected = d.vjp(c, g)
    e = d.evaluate(c)
    c.positions = c.positions + 0.01 * np.arange(c.n_particles)[:, None]
    e.values[:] = 7.0
    assert np.array_equal(e.vjp(g), expected)


def test_normalized_values():
    functions = [("g2", [[0.1, 0.0], [1.0, 0.0]])]
    d = tm.SymmetryFunctions(["Si"], 4.0, functions, mean=[0.5, 0.1], std=[2.0, 3.0])
    c = tm.Configuration.from_atoms(rattled(["Si"]), d.cutoff, d.species)
    e = d.evaluate(c)
    assert np.array_equal(e.values, d.compute(c))
    g = np.ones((c.n_centers, d.width))
    assert np.array_equal(e.vjp(g), d.vjp(c, g))


def test_several_blocks_and_threads():
    """Blocks of a gradient end with whole groups of atoms, wherever rows have how many pairs."""
    d = tm.SOAP(["Si"], 6.0, 1, 1)
    c = tm.Configuration.from_atoms(rattled(["Si"], 6), d.cutoff, d.species)
    assert c.n_pairs > 70_000
    g = np.random.default_rng(0).standard_normal((c.n_centers, d.width))
    expected, virial = d.vjp(c, g, virial=True, n_threads=1)
    pairs = d.pair_gradients(c, g)
    summed = np.zeros((c.n_particles, 3))
    np.add.at(summed, c.neighbors, pairs)
    np.subtract.at(summed, c.pair_centers(), pairs)
    assert np.allclose(expected, summed, rtol=0, atol=1e-12 * abs(summed).max())
    for n_threads in (1, 2):
        gradient, own = d.evaluate(c, n_threads=n_threads).vjp(g, virial=True)
        assert np.array_equal(gradient, expected)
        assert np.array_equal(own, virial)


def test_bad_arguments():
    d = DESCRIPTORS["soap"]()
    c = tm.Configuration.from_atoms(rattled(["Si"]), d.cutoff, d.species)
    with pytest.raises(tm.InputError, match="most_kept = -1"):
        d.evaluate(c, most_kept=-1)
    with pytest.raises(tm.InputError, match="dtype"):
        d.evaluate(c, dtype=np.int32)
    with pytest.raises(tm.InputError, match="a Configuration is needed"):
        d.evaluate(rattled(["Si"]))
    with pytest.raises(tm.InputError, match="dE_dD"):
        d.evaluate(c).vjp(np.ones((3, d.width)))


def test_pickled_and_copied(name):
    d = DESCRIPTORS[name]()
    c = tm.Configuration.from_atoms(rattled(d.species, 1), d.cutoff, d.species)
    e = d.evaluate(c)
    g = np.ones_like(e.values)
    expected = e.vjp(g)
    e.values[:] = 7.0
    for again in (pickle.loads(pickle.dumps(e)), copy.copy(e), copy.deepcopy(e)):
        assert (again.values == 7).all()
        assert np.array_equal(again.vjp(g), expected)
