"""Compact symmetry functions, 184 per element, as in n2p2's published potential for ethylbenzene.

500 atoms of two elements, as dense as that liquid, with about 186 neighbors within the largest
cutoff. n2p2 has no Python interface: build it, and compare `nnp-predict` with these figures by
hand; docs/how_symmetry_functions_are_fast.md has such a comparison.
"""

import numpy as np
import pytest
from ase.build import bulk

import torchml_core as tm
from torchml_core.descriptors.symmetry_functions import CompactFunction

RADIAL = [(-15, 15), (-14, 14), (-12, 12), (-10, 10), (-8, 8), (-6, 6), (0, 10), (2.5, 12.5)]
RADIAL = [(left * 0.529177, right * 0.529177) for left, right in [*RADIAL, (5, 15)]]
ANGULAR = [(-90, 90), (0, 120), (0, 180), (49.1, 169.1), (60, 180), (90, 270)]


@pytest.fixture(scope="module")
def descriptor():
    functions = [
        CompactFunction("c2", (a,), radial, None, "poly2", asymmetric)
        for a in "CH"
        for radial in RADIAL
        for asymmetric in (True, False)
    ][:22]
    functions += [
        CompactFunction("c5", neighbors, radial, angular, "poly2", True)
        for neighbors in (("C", "C"), ("C", "H"), ("H", "H"))
        for radial in RADIAL
        for angular in ANGULAR
    ]
    return tm.ElementSymmetryFunctions({"H": functions, "C": functions})


@pytest.fixture(scope="module")
def configuration(descriptor):
    atoms = bulk("C", "fcc", a=3.56, cubic=True) * (5, 5, 5)
    atoms.rattle(0.3, seed=0)
    atoms.symbols = np.random.default_rng(0).choice(["C", "H"], len(atoms), p=[8 / 18, 10 / 18])
    return tm.Configuration.from_atoms(atoms, descriptor.cutoff, ["H", "C"])


@pytest.fixture(autouse=True)
def count(benchmark, configuration):
    benchmark.extra_info["atoms"] = configuration.n_centers


def random(shape, dtype):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values(benchmark, descriptor, configuration, dtype):
    benchmark(descriptor.compute, configuration, dtype=dtype, n_threads=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_vjp(benchmark, descriptor, configuration, dtype):
    weights = random((configuration.n_centers, descriptor.width), dtype)
    benchmark(descriptor.vjp, configuration, weights, n_threads=1)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_and_vjp(benchmark, descriptor, configuration, dtype, n_threads):
    weights = random((configuration.n_centers, descriptor.width), dtype)

    def both():
        descriptor.compute(configuration, dtype=dtype, n_threads=n_threads)
        descriptor.vjp(configuration, weights, n_threads=n_threads)

    benchmark(both)
