"""Symmetry functions of 1000 rattled silicon atoms with 28 neighbors each; cutoff 5 Å.

The set51 of functions has 8 g2 and 43 g4. ``torchml-core bench --only symmetry-functions`` compares
with other packages. n2p2 has no Python interface: build it, and compare its `nnp-symfunc` with
these figures by hand.
"""

import numpy as np
import pytest
from ase.build import bulk

import torchml_core as tm
from torchml_core.bench.symmetry_functions import CUTOFF, set51


@pytest.fixture(scope="module")
def atoms():
    atoms = bulk("Si", cubic=True) * (5, 5, 5)
    atoms.rattle(0.05, seed=0)
    return atoms


@pytest.fixture(scope="module")
def descriptor():
    return set51()


@pytest.fixture(scope="module")
def configuration(atoms):
    return tm.Configuration.from_atoms(atoms, CUTOFF, ["Si"])


@pytest.fixture(autouse=True)
def count(benchmark, atoms):
    benchmark.extra_info["atoms"] = len(atoms)


def random(shape, dtype):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values(benchmark, descriptor, configuration, dtype, n_threads):
    benchmark(descriptor.compute, configuration, dtype=dtype, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_and_vjp(benchmark, descriptor, configuration, dtype, n_threads):
    weights = random((configuration.n_centers, descriptor.width), dtype)

    def both():
        descriptor.compute(configuration, dtype=dtype, n_threads=n_threads)
        descriptor.vjp(configuration, weights, n_threads=n_threads)

    benchmark(both)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_vjp(benchmark, descriptor, configuration, dtype):
    weights = random((configuration.n_centers, descriptor.width), dtype)
    benchmark(descriptor.vjp, configuration, weights, n_threads=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_jvp(benchmark, descriptor, configuration, dtype):
    direction = random((configuration.n_particles, 3), dtype)
    benchmark(descriptor.jvp, configuration, direction, n_threads=1)


def test_jacobian(benchmark, descriptor, configuration):
    benchmark(descriptor.jacobian, configuration, n_threads=1)


def test_values_and_lists(benchmark, descriptor, atoms):
    def everything():
        c = tm.Configuration.from_atoms(atoms, CUTOFF, ["Si"], n_threads=1)
        return descriptor.compute(c, n_threads=1)

    benchmark(everything)


@pytest.mark.parametrize("mode", ["pooled", "resolved"])
def test_three_species(benchmark, atoms, mode):
    """18 g4 per triplet in both modes; 18 values (pooled) or 108 (resolved)."""
    mixed = atoms.copy()
    mixed.symbols = np.random.default_rng(0).choice(["Si", "C", "Ge"], len(atoms))
    rows = [[z, lam, eta] for eta in (0.01, 0.05, 0.1) for z in (1, 2, 4) for lam in (-1, 1)]
    d = tm.SymmetryFunctions(["Si", "C", "Ge"], CUTOFF, [("g4", rows)], species_mode=mode)
    c = tm.Configuration.from_atoms(mixed, CUTOFF)
    benchmark(d.compute, c, n_threads=1)
