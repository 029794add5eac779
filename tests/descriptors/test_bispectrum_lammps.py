"""Equal to LAMMPS: published SNAP potentials, energies, forces and strain derivatives."""

import numpy as np
import pytest
from ase import Atoms
from descriptors.snap_potentials import SnapPotential
from requirements import shared_cases

import torchml_core as tm

# LAMMPS's factor from eV/Å³ to bar in its units "metal", and the one that the strain derivatives
# were converted back with.
NKTV2P = 1.6021765e6 / 1.602176634e6
# Of LAMMPS's forces, relative to the largest. With chemflag they are the derivatives of its
# energies only if coefficients of equal components are equal, which those of a file are up to
# rounding: finite differences agree with ours, see test_chemical_forces.
TOLERANCES = {"InP_JCPA2020": 1e-9}
NAMES = ("Ta06A", "WBe_Wood_PRB2019", "InP_JCPA2020", "Si_Zuo_JPCA2020.quadratic")


@pytest.fixture(scope="module", params=shared_cases(NAMES))
def potential(request, shared_data):
    folder = shared_data / "snap"
    with np.load(folder / f"{request.param}.npz") as arrays:
        arrays = dict(arrays)
    return load(folder, request.param), arrays, TOLERANCES.get(request.param, 1e-12)


def load(folder, name):
    return SnapPotential(folder / f"{name}.snapcoeff", folder / f"{name}.snapparam")


@pytest.mark.parametrize("structure", ["rattled_sheared", "cluster_14"])
def test_energies_forces_and_strain_derivatives(potential, structure):
    snap, arrays, tolerance = potential
    of = {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith(structure)}
    periodic = "cell" in of
    atoms = Atoms(of["symbols"], of["positions"], cell=of.get("cell"), pbc=periodic)
    c = tm.Configuration.from_atoms(atoms, snap.descriptor.cutoff, snap.descriptor.species)
    energies, gradients = snap.energies(c)
    expected = of["atom_energies"]
    assert np.abs(energies - expected).max() <= 1e-12 * np.abs(expected).max()
    gradient, virial = snap.descriptor.vjp(c, gradients, virial=True)
    forces, expected = -c.fold(gradient), of["forces"]
    assert np.abs(forces - expected).max() <= tolerance * np.abs(expected).max()
    expected = of["dE_dstrain"] / NKTV2P
    assert np.abs(-virial - expected).max() <= tolerance * np.abs(expected).max()


def test_chemical_forces(shared_data):
    """Where LAMMPS's are off: central differences of the energies that are equal to its own."""
    snap = load(shared_data / "snap", "InP_JCPA2020")
    with np.load(shared_data / "snap" / "InP_JCPA2020.npz") as arrays:
        symbols, positions = arrays["cluster_14/symbols"], arrays["cluster_14/positions"]
    step, direction = 2e-3, np.random.default_rng(0).standard_normal(positions.shape)

    def energy(k):
        atoms = Atoms(symbols, positions + k * step * direction)
        c = tm.Configuration.from_atoms(atoms, snap.descriptor.cutoff, snap.descriptor.species)
        return c, *snap.energies(c)

    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    found = sum(w * (energy(k)[1].sum() - energy(-k)[1].sum()) for k, w in weights.items()) / step
    c, _, gradients = energy(0)
    expected = np.sum(c.fold(snap.descriptor.vjp(c, gradients)) * direction)
    assert found == pytest.approx(expected, rel=2e-11)
