"""SOAP of 1000 rattled silicon atoms with 28 neighbors each, n_max 8 and l_max 6; lists given.

``torchml-core bench --only soap,soap-gradients`` compares with other packages.
"""

import numpy as np
import pytest
from ase.build import bulk

import torchml_core as tm
from torchml_core.bench.soap import L_MAX, N_MAX, SIGMA

CUTOFF = 5.0
FOUR = ("H", "C", "N", "O")


@pytest.fixture(scope="module")
def atoms():
    atoms = bulk("Si", cubic=True) * (5, 5, 5)
    atoms.rattle(0.05, seed=0)
    return atoms


@pytest.fixture(scope="module")
def mixed(atoms):
    """The same positions with four species."""
    mixed = atoms.copy()
    mixed.symbols = np.random.default_rng(0).choice(FOUR, len(atoms))
    return mixed


@pytest.fixture(scope="module")
def descriptor():
    return tm.SOAP(["Si"], CUTOFF, N_MAX, L_MAX, sigma=SIGMA)


@pytest.fixture(scope="module")
def configuration(atoms):
    return tm.Configuration.from_atoms(atoms, CUTOFF, ["Si"])


@pytest.fixture(autouse=True)
def count(benchmark, atoms):
    benchmark.extra_info["atoms"] = len(atoms)


def random(shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values(benchmark, descriptor, configuration, dtype, n_threads):
    benchmark.group = "values"
    benchmark(descriptor.compute, configuration, dtype=dtype, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_and_vjp(benchmark, descriptor, configuration, dtype, n_threads):
    weights = random((configuration.n_centers, descriptor.width), dtype)

    def both():
        descriptor.compute(configuration, dtype=dtype, n_threads=n_threads)
        descriptor.vjp(configuration, weights, n_threads=n_threads)

    benchmark.group = "values and gradients"
    benchmark(both)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_jvp(benchmark, descriptor, configuration, dtype):
    direction = random((configuration.n_particles, 3), dtype)
    benchmark(descriptor.jvp, configuration, direction, n_threads=1)


def test_jacobian(benchmark, descriptor, configuration):
    benchmark.group = "values and gradients"
    benchmark(descriptor.jacobian, configuration, n_threads=1)


def test_values_and_lists(benchmark, descriptor, atoms):
    def everything():
        c = tm.Configuration.from_atoms(atoms, CUTOFF, ["Si"], n_threads=1)
        return descriptor.compute(c, n_threads=1)

    benchmark.group = "values"
    benchmark(everything)


@pytest.mark.parametrize("smoothing", ["cosine", None])
@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_bases(benchmark, configuration, basis, smoothing):
    d = tm.SOAP(["Si"], CUTOFF, N_MAX, L_MAX, radial_basis=basis, smoothing=smoothing)
    benchmark(d.compute, configuration, n_threads=1)


def test_unit_norm(benchmark, configuration):
    d = tm.SOAP(["Si"], CUTOFF, N_MAX, L_MAX, unit_norm=True)
    benchmark(d.compute, configuration, n_threads=1)


@pytest.mark.parametrize("what", ["values", "values and vjp"])
@pytest.mark.parametrize("channels", [None, 1])
def test_four_species(benchmark, mixed, channels, what):
    """3696 values per atom with full cross blocks; 252 with one channel."""
    weights = None if channels is None else random((len(FOUR), channels))
    d = tm.SOAP(FOUR, CUTOFF, N_MAX, L_MAX, sigma=SIGMA, species_weights=weights)
    c = tm.Configuration.from_atoms(mixed, CUTOFF, FOUR)
    dE_dD = random((c.n_centers, d.width))

    def work():
        d.compute(c, n_threads=1)
        if what == "values and vjp":
            d.vjp(c, dE_dD, n_threads=1)

    benchmark.group = "four species"
    benchmark(work)


def test_expansion(benchmark, configuration):
    d = tm.SphericalExpansion(["Si"], CUTOFF, N_MAX, L_MAX, sigma=SIGMA)
    benchmark(d.compute, configuration, n_threads=1)


def test_construction(benchmark):
    """Bases and tables; with a new cutoff each time, because equal settings share their table."""
    cutoffs = iter(np.linspace(4.5, 5.5, 100000))
    c = tm.Configuration.from_atoms(bulk("Si", cubic=True), 5.5, ["Si"])
    benchmark.pedantic(
        lambda: tm.SOAP(["Si"], next(cutoffs), N_MAX, L_MAX, sigma=SIGMA).compute(c), rounds=5
    )
