"""Xi of 1000 rattled silicon atoms with 28 neighbors each, one thread, lists given.

libdescriptor, the only other implementation, takes 460 µs per atom for the values at q = 4 on one
core of an AMD EPYC (it is not installed by this project's extras).
"""

import numpy as np
import pytest
from ase.build import bulk

import torchml_core as tm

CUTOFF = 5.0


@pytest.fixture(scope="module")
def configuration():
    atoms = bulk("Si", cubic=True) * (5, 5, 5)
    atoms.rattle(0.05, seed=0)
    return tm.Configuration.from_atoms(atoms, CUTOFF)


@pytest.fixture(autouse=True)
def count(benchmark, configuration):
    benchmark.extra_info["atoms"] = configuration.n_centers


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("q", [4, 6, 8])
def test_values(benchmark, configuration, q, dtype):
    benchmark(tm.Xi(q, CUTOFF).compute, configuration, dtype=dtype, n_threads=1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("q", [4, 6, 8])
def test_values_then_vjp(benchmark, configuration, q, dtype):
    xi = tm.Xi(q, CUTOFF)
    weights = np.random.default_rng(0).standard_normal((configuration.n_centers, xi.width))
    weights = weights.astype(dtype)

    def values_then_vjp():
        xi.compute(configuration, dtype=dtype, n_threads=1)
        xi.vjp(configuration, weights, n_threads=1)

    benchmark(values_then_vjp)


@pytest.mark.parametrize("q", [4, 8])
def test_jacobian(benchmark, configuration, q):
    benchmark(tm.Xi(q, CUTOFF).jacobian, configuration, n_threads=1)
