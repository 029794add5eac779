"""A network for each element of silicon carbide: trained, stored, and run in ASE and LAMMPS."""

import numpy as np
import pytest
import torch
from ase.build import bulk
from ase.io.lammpsdata import write_lammps_data
from simulators import lammps

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator

CUTOFF = 3.5
SPECIES = ["Si", "C"]
RUN = """
kim           init {model} metal
atom_modify   map array
read_data     carbide.data
kim           interactions C Si
thermo_style  custom step pe
thermo_modify format float %.17g
thermo        5
fix           ensemble all nve
run           15
write_dump    all custom end id x y z fx fy fz modify format float %.17g
"""


def carbide(seed, repeat=(1, 1, 1)):
    """Elements exchanged on some sites, so that centers of both have the same neighbors."""
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True) * repeat
    atoms.rattle(0.08, seed=seed)
    rng = np.random.default_rng(seed)
    atoms.symbols[rng.permutation(len(atoms))[:4]] = ["Si", "C"] * 2
    return atoms


def target(atoms):
    """Energies of a pair potential: radii of the elements, and an energy of each atom."""
    i, j, d = tm.neighbor_list("ijd", atoms, CUTOFF)
    radius = np.where(atoms.symbols == "Si", 1.2, 0.8)
    pairs = (1 - d / CUTOFF) ** 3 * np.exp(radius[i] + radius[j] - d)
    return pairs.sum() + np.where(atoms.symbols == "Si", -1.0, -2.0).sum()


def trained(networks, descriptor):
    """Fit the energies of a few crystals; return the errors before and after, eV per atom."""
    c = [tm.Configuration.from_atoms(carbide(seed), CUTOFF, SPECIES) for seed in range(8)]
    rows = [torch.from_numpy(descriptor.compute(one)) for one in c]
    codes = [torch.from_numpy(one.codes(networks.species)[one.centers]).long() for one in c]
    energies = torch.tensor([target(carbide(seed)) for seed in range(8)], dtype=torch.float64)
    optimizer = torch.optim.LBFGS(networks.parameters(), line_search_fn="strong_wolfe", max_iter=60)
    errors = []

    def loss():
        optimizer.zero_grad()
        found = [networks(D, species).sum() for D, species in zip(rows, codes, strict=True)]
        value = torch.mean(((torch.stack(found) - energies) / 8) ** 2)
        value.backward()
        errors.append(float(value.detach()) ** 0.5)
        return value

    optimizer.step(loss)
    return errors[0], errors[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(1)
    functions = [("g2", [[0.3, 0.0], [1.0, 1.8], [2.0, 2.6]]), ("g5", [[1, -1, 0.05]])]
    descriptor = tm.SymmetryFunctions(SPECIES, CUTOFF, functions, species_mode="pooled")
    networks = tm.nn.ElementNetworks(descriptor, hidden=(8,))
    before, after = trained(networks, descriptor)
    assert before > 0.5
    assert after < 0.05
    folder = tmp_path_factory.mktemp("models") / "Trained_SiC"
    tm.PortableModel.create(folder, model=networks, species=SPECIES, descriptor=descriptor)
    return folder


def test_in_ase_and_on_one_and_two_ranks(folder, collection, lmp, mpirun, tmp_path):
    model, atoms = tm.PortableModel.load(folder), carbide(20, (2, 2, 2))
    expected = model.evaluate(atoms).fold()
    atoms.calc = TorchMLCalculator(model)
    assert atoms.get_potential_energy() == pytest.approx(expected.energy, rel=1e-13)
    np.testing.assert_allclose(atoms.get_forces(), expected.forces, rtol=0, atol=1e-12)
    exchanged = atoms.copy()
    exchanged.symbols = ["C" if symbol == "Si" else "Si" for symbol in atoms.symbols]
    assert abs(model.evaluate(exchanged).energy - expected.energy) > 1e-3
    write_lammps_data(tmp_path / "carbide.data", atoms, specorder=["C", "Si"], masses=True)
    text = RUN.format(model=collection.model(folder))
    for ranks in (1, 2):
        done = lammps(text, tmp_path, ranks).good()
        (table,), end = done.thermo(), done.dump("end")
        assert table["PotEng"][0] == pytest.approx(expected.energy, rel=1e-10)
        atoms.positions = np.stack([end[axis] for axis in "xyz"], axis=1)
        p = model.evaluate(atoms).fold()
        assert abs(p.energy - expected.energy) > 1e-2  # the atoms have moved
        assert table["PotEng"][-1] == pytest.approx(p.energy, rel=1e-10)
        forces = np.stack([end[f"f{axis}"] for axis in "xyz"], axis=1)
        scale = np.abs(p.forces).max()
        np.testing.assert_allclose(forces, p.forces, rtol=0, atol=1e-10 * scale)
