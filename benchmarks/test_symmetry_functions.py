"""Symmetry functions, compared with MDescriptor and DScribe.

The structure has 1000 rattled silicon atoms with 28 neighbors each; the cutoff is 5 Å. The set51 of
functions has 8 g2 and 43 g4. All run in one process with one thread, so that ratios are meaningful
on a shared machine. Ours run with and without making the neighbor lists, because the other packages
make theirs. ``pip install torchml_core[peers]`` installs the other packages. n2p2 has no Python
interface: build it, and compare its `nnp-symfunc` with these figures by hand.
"""

import numpy as np
import pytest
from ase.build import bulk
from set51 import CUTOFF, G2, G4, set51

import torchml_core as tm


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


def test_mdescriptor(benchmark, descriptor, atoms, configuration):
    mdescriptor = pytest.importorskip("mdescriptor")
    peer = mdescriptor.get_descriptor("ACSF")(
        species=[14],
        r_cut=CUTOFF,
        g2_params=[tuple(row) for row in G2],
        g4_params=[(eta, zeta, lam) for zeta, lam, eta in G4],
        execution=mdescriptor.ExecutionOptions(num_threads=1),
    )
    values = peer.compute([atoms]).values[:, -descriptor.width :]  # g1 comes first
    np.testing.assert_allclose(values, descriptor.compute(configuration), rtol=1e-6)
    benchmark(peer.compute, [atoms])


def test_dscribe(benchmark, descriptor, atoms, configuration):
    dscribe = pytest.importorskip("dscribe.descriptors")
    peer = dscribe.ACSF(
        species=["Si"],
        r_cut=CUTOFF,
        g2_params=G2,
        g4_params=[[eta, zeta, lam] for zeta, lam, eta in G4],
        periodic=True,
    )
    values = peer.create(atoms)[:, -descriptor.width :]  # g1 comes first
    np.testing.assert_allclose(values, descriptor.compute(configuration), rtol=1e-6)
    benchmark(peer.create, atoms)
