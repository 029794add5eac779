"""The bispectrum of about 1000 rattled silicon atoms with 28 or 58 neighbors each; lists given.

``torchml-core bench --only bispectrum`` compares with LAMMPS's ``pair_style snap`` and MDescriptor.
"""

import numpy as np
import pytest

import torchml_core as tm
from torchml_core.bench.structures import dense_silicon, silicon

CASES = {  # twojmax, cutoff, structure
    "2J 8, 28 neighbors": (8, 5.0, lambda: silicon(5, 0.03)),
    "2J 6, 28 neighbors": (6, 5.0, lambda: silicon(5, 0.03)),
    "2J 8, 58 neighbors": (8, 5.9, lambda: dense_silicon(8)),
    "2J 6, 58 neighbors": (6, 5.9, lambda: dense_silicon(8)),
}


@pytest.fixture(params=CASES)
def case(request, benchmark):
    """(descriptor, configuration)"""
    twojmax, cutoff, make = CASES[request.param]
    atoms = make()
    benchmark.group = request.param
    benchmark.extra_info["atoms"] = len(atoms)
    return tm.Bispectrum(["Si"], cutoff, twojmax), tm.Configuration.from_atoms(atoms, cutoff)


def random(shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values(benchmark, case, dtype, n_threads):
    d, c = case
    benchmark(d.compute, c, dtype=dtype, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_then_vjp(benchmark, case, dtype, n_threads):
    d, c = case
    weights = random((c.n_centers, d.width), dtype)

    def both():
        d.compute(c, dtype=dtype, n_threads=n_threads)
        d.vjp(c, weights, n_threads=n_threads)

    benchmark(both)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_energies_and_forces_in_one_pass(benchmark, case, dtype):
    d, c = case
    benchmark(d.energy_and_gradient, c, random(d.width, dtype), n_threads=1)


def test_jvp(benchmark, case):
    d, c = case
    benchmark(d.jvp, c, random((c.n_particles, 3)), n_threads=1)


def test_jacobian(benchmark, case):
    d, c = case
    benchmark.pedantic(d.jacobian, (c,), {"n_threads": 1}, rounds=3)


@pytest.mark.parametrize("twojmax", [8, 14])
def test_construction(benchmark, twojmax):
    """With a new cutoff each time; lists of products are shared by equal angular momenta."""
    cutoffs = iter(np.linspace(4.5, 5.5, 100000))
    c = tm.Configuration.from_atoms(silicon(1), 5.5, ["Si"])
    benchmark.pedantic(lambda: tm.Bispectrum(["Si"], next(cutoffs), twojmax).compute(c), rounds=5)
