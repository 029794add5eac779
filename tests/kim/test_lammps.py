"""What LAMMPS gets from the driver, against the library: every convention, any number of ranks."""

import itertools

import numpy as np
import pytest
import structures
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import write
from ase.io.lammpsdata import write_lammps_data
from requirements import shared_cases
from simulators import QUIET, lammps
from snap_potentials import beryllide, write_potential

import torchml_core as tm
from torchml_core.portable.species_input import ELEMENTS_MAP
from torchml_core.training.run import train
from torchml_core.training.run.screen import Screen
from torchml_core.training.run.settings import read_settings

# One configuration under one model. Several of these make an input; each starts with `clear`.
ONE = """
clear
kim           init {model} metal
atom_modify   map array
boundary      {boundary}
box           tilt large
read_data     {data}
kim           interactions {species}
{computes}
thermo_style  custom step pe pxx pyy pzz pyz pxz pxy
thermo_modify format float %.17g
dump          all all custom 1 {dump} id fx fy fz {columns}
dump_modify   all format float %.17g
run           0
"""
OF_ATOMS = """
compute       energies all pe/atom
compute       stresses all stress/atom NULL
"""
# These return one energy, of which atoms have no shares: see test_failures.py for who asks anyway.
TOTAL_ONLY = (
    *("Graph_SiC", "TorchMLModel1_SW", "TorchMLModel3_Graph"),
    *("schnet_z_SiC", "graph2_species_SiC"),
)
BAR = 1.6021765e6  # eV/Å³ in bar, as LAMMPS has it; the tests of units have nature's


def one_atom(symbol="Si", vacuum=12.0):
    return Atoms(symbol, positions=[[1.0, 2.0, 3.0]], cell=[vacuum] * 3, pbc=True)


def tilted():
    atoms = structures.rattled_silicon((2, 1, 1), seed=2)
    atoms.set_cell([[10.86, 0, 0], [2.1, 5.43, 0], [-1.3, 1.7, 5.6]], scale_atoms=True)
    return atoms


def cluster():
    atoms = structures.rattled_silicon(1, seed=3)
    atoms.center(vacuum=3.0)
    atoms.pbc = False
    return atoms


def wire():
    """Periodic along x alone, between fixed walls."""
    atoms = structures.rattled_silicon((2, 1, 1), seed=4)
    atoms.center(vacuum=2.0, axis=(1, 2))
    atoms.pbc = [True, False, False]
    return atoms


def far_apart():
    """Atoms at one end of a long box: at its other end ranks have none, not even ghosts."""
    atoms = structures.rattled_silicon(1, seed=5)[:5]
    atoms.set_cell([80.0, 5.43, 5.43])
    return atoms


def evaporated():
    """As above, and an atom without neighbors in the middle, which is all that a rank has."""
    atoms = far_apart()
    return atoms + Atoms("Si", positions=[[50.0, 2.0, 2.0]])


STRUCTURES = {
    "bulk": lambda: structures.rattled_silicon((2, 1, 1), seed=1),
    "tilted": tilted,
    "cluster": cluster,
    "wire": wire,
    "far_apart": far_apart,
    "evaporated": evaporated,
    "one_atom": one_atom,
}


def carbide():
    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True) * (2, 1, 1)
    atoms.rattle(0.08, seed=6)
    order = np.random.default_rng(0).permutation(len(atoms))  # species mixed
    return atoms[order]


def carbide_pair():
    return Atoms("CSi", positions=[[0.1, 0.2, 0.3], [1.5, 0.9, 1.0]], cell=[30.0] * 3, pbc=True)


TWO_SPECIES = {
    "carbide": carbide,
    "carbide_pair": carbide_pair,
    "one_carbon": lambda: one_atom("C"),
}


def run_all(cases, folder, ranks, environment=()):
    """LAMMPS on each (model, name of a structure, atoms, species in the order of LAMMPS types)."""
    text = ""
    for model, name, atoms, species in cases:
        write_lammps_data(folder / f"{name}.data", atoms, specorder=species, masses=True)
        text += ONE.format(
            model=model,
            data=f"{name}.data",
            dump=f"{model}.{name}",
            boundary=" ".join("p" if periodic else "f" for periodic in atoms.pbc),
            species=" ".join(species),
            computes="" if model in TOTAL_ONLY else OF_ATOMS,
            columns="" if model in TOTAL_ONLY else "c_energies c_stresses[*]",
        )
    done = lammps(text, folder, ranks, environment=environment, timeout=120).good()
    found = {}
    for (model, name, *_), table in zip(cases, done.thermo(), strict=True):
        found[model, name] = {**table, **done.dump(f"{model}.{name}")}
    return found


def stack(found, *columns):
    return np.stack([found[column] for column in columns], axis=-1)


def check(found, expected, volume):
    """Compare with the library's prediction, folded."""
    close = np.testing.assert_allclose
    scale = max(1.0, np.abs(expected.forces).max())
    assert found["PotEng"][0] == pytest.approx(expected.energy, rel=1e-12, abs=1e-12)
    close(stack(found, "fx", "fy", "fz"), expected.forces, rtol=0, atol=1e-10 * scale)
    pressure = stack(found, "Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy")[0] * volume / BAR
    scale = max(1.0, np.abs(expected.virial).max())
    close(pressure, as_voigt(expected.virial), rtol=0, atol=1e-10 * scale)
    if "c_energies" not in found:
        return
    close(found["c_energies"], expected.particle_energies, rtol=1e-10, atol=1e-10)
    # LAMMPS: minus the virial, in the order xx yy zz xy xz yz
    stresses = stack(found, *(f"c_stresses[{k}]" for k in (1, 2, 3, 6, 5, 4))) / BAR
    try:
        virials = as_voigt(expected.particle_virials)
    except tm.UnsupportedError:
        virials = np.zeros((len(stresses), 6))  # LAMMPS warns of it
    close(stresses, -virials, rtol=0, atol=1e-10 * scale)


def as_voigt(virial):
    rows, columns = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
    return (virial[..., rows, columns] + virial[..., columns, rows]) / 2


OURS = [
    *itertools.product(("StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si"), STRUCTURES),
    *itertools.product(("Raw_SiC", "Descriptor_SiC", "Elements_SiC", "Graph_SiC"), TWO_SPECIES),
]
REAL = [
    *itertools.product(("TorchMLModel2_Desc", "TorchMLModel3_Graph"), ("bulk", "wire", "one_atom")),
    # Few atoms, since it loops over triplets in TorchScript; without neighbors it fails by itself.
    *itertools.product(("TorchMLModel1_SW",), ("cluster", "far_apart", "evaporated", "one_atom")),
]
BUILTIN = "SW_StillingerWeber_1985_Si__MO_405512056662_005"
WITH_BUILTIN = ("cluster", "far_apart", "evaporated")


def cases_of(pairs):
    for model, name in pairs:
        if name in STRUCTURES:
            yield model, name, STRUCTURES[name](), ["Si"]
        else:  # the model has Si first
            yield model, name, TWO_SPECIES[name](), ["C", "Si"]


@pytest.fixture(
    scope="module",
    params=[1, 2, 4],
    ids=lambda n: f"ranks{n}",
)
def ranks(request, lmp):
    if request.param > 1:
        request.getfixturevalue("mpirun")
    return request.param


@pytest.fixture(scope="module")
def ours(ranks, our_models, tmp_path_factory):
    return run_all(list(cases_of(OURS)), tmp_path_factory.mktemp("lammps"), ranks, QUIET)


@pytest.fixture(scope="module")
def real(ranks, real_models, tmp_path_factory):
    cases = list(cases_of([*REAL, *((BUILTIN, name) for name in WITH_BUILTIN)]))
    # the graph model divides by its largest species, which is 0 as a code
    return run_all(cases, tmp_path_factory.mktemp("lammps"), ranks, {ELEMENTS_MAP: "1"})


def expected_of(folder, name):
    ((_, _, atoms, _),) = cases_of([("", name)])
    return tm.PortableModel.load(folder).evaluate(atoms).fold(), atoms.get_volume()


@pytest.mark.parametrize(("model", "name"), OURS)
def test_as_the_library(model, name, ours, our_models):
    check(ours[model, name], *expected_of(our_models[model], name))


@pytest.mark.parametrize(("model", "name"), shared_cases(REAL))
def test_models_of_others_as_the_library(model, name, real, real_models, monkeypatch):
    monkeypatch.setenv(ELEMENTS_MAP, "1")
    check(real[model, name], *expected_of(real_models[model], name))


@pytest.mark.parametrize("name", shared_cases(WITH_BUILTIN))
def test_a_model_of_others_is_stillinger_weber(name, real):
    found, expected = real["TorchMLModel1_SW", name], real[BUILTIN, name]
    assert found["PotEng"][0] == pytest.approx(expected["PotEng"][0], rel=1e-10)
    forces, scale = stack(expected, "fx", "fy", "fz"), np.abs(expected["fx"]).max()
    np.testing.assert_allclose(stack(found, "fx", "fy", "fz"), forces, rtol=0, atol=1e-10 * scale)
    for component in ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy"):
        assert found[component][0] == pytest.approx(expected[component][0], rel=1e-9, abs=1e-3)


def test_graph_networks_of_kliff(collection, shared_data, lmp, tmp_path):
    """Their files do not say that one wants atomic numbers, the other codes in another order."""
    cases, energies = [], {}
    for name in ("schnet_z_SiC", "graph2_species_SiC"):
        reference = np.load(shared_data / "kliff" / name / "reference.npz")
        cell, pbc = reference["cell"], reference["pbc"]
        atoms = Atoms(reference["species"], reference["coords"], cell=cell, pbc=pbc)
        model = collection.model(shared_data / "kliff" / name)
        cases.append((model, name, atoms, ["C", "Si"]))
        energies[model, name] = float(reference["e"])
    found = run_all(cases, tmp_path, 1)
    for case, energy in energies.items():
        assert found[case]["PotEng"][0] == pytest.approx(energy, rel=1e-11)


def test_potentials_of_n2p2(collection, shared_data, lmp, tmp_path):
    """Water: n2p2's own energies and forces, for types of LAMMPS in the other order."""
    folder = shared_data / "n2p2" / "H2O_RPBE-D3"
    tm.convert.n2p2(folder, tmp_path / "water", length_unit="bohr", energy_unit="hartree")
    bohr, hartree = 0.529177210903, 27.211386245988
    model, cases, expected = collection.model(tmp_path / "water"), [], {}
    for name in ("example_12", "own_cluster_10_molecules"):
        with np.load(folder / "values.npz") as arrays:
            n2p2 = {k.split("/")[1]: arrays[k] for k in arrays.files if k.startswith(name)}
        atoms = Atoms(n2p2["symbols"].tolist(), n2p2["positions"] * bohr)
        if "cell" in n2p2:
            atoms.cell, atoms.pbc = n2p2["cell"] * bohr, True
        else:
            atoms.center(vacuum=1.0)
        cases.append((model, name, atoms, ["O", "H"]))
        expected[model, name] = n2p2
    for case, found in run_all(cases, tmp_path, 1, QUIET).items():
        n2p2 = expected[case]
        forces = n2p2["forces"] * hartree / bohr
        assert abs(found["PotEng"][0] - n2p2["energy"] * hartree) <= 1e-9 * len(forces)
        assert abs(stack(found, "fx", "fy", "fz") - forces).max() <= 1e-8 * abs(forces).max()


def test_snap_potentials(collection, lmp, tmp_path):
    """Made up, with ZBL beyond the cutoff, for types of LAMMPS in the other order."""
    cases, models = [], {}
    for name, quadratic in (("linear", False), ("quadratic", True)):
        path = write_potential(tmp_path, quadratic=quadratic)
        model = tm.convert.snap(path, None, tmp_path / f"WBe_{name}", zbl=(2.0, 5.0))
        installed = collection.model(model.folder)
        cases.append((installed, "beryllide", beryllide(), ["Be", "W"]))
        models[installed] = model
    for (name, _), found in run_all(cases, tmp_path, 2).items():
        expected = models[name].evaluate(beryllide()).fold()
        assert abs(found["PotEng"][0] - expected.energy) <= 1e-9 * len(expected.forces)
        largest = abs(expected.forces).max()
        assert abs(stack(found, "fx", "fy", "fz") - expected.forces).max() <= 1e-8 * largest
        pressure = [found[f"P{x}"][0] for x in ("xx", "yy", "zz", "yz", "xz", "xy")]
        assert (
            abs(pressure + expected.stress * BAR).max() <= 1e-8 * abs(expected.stress).max() * BAR
        )


def test_a_model_that_was_just_trained(collection, lmp, mpirun, tmp_path):
    """From a file to LAMMPS on one and on two ranks: two elements, products and a network."""
    made = []
    for k in range(16):
        atoms = bulk("Cu", a=3.7 + 0.02 * k, cubic=True) * (2, 1, 1)
        atoms.symbols = np.random.default_rng(k).choice(["Cu", "Au"], len(atoms))
        atoms.rattle(0.1, seed=k)
        atoms.calc = EMT()
        atoms.get_stress()  # also the energy and the forces
        made.append(atoms)
    write(tmp_path / "alloy.extxyz", made)
    config = tmp_path / "config.yaml"
    config.write_text(
        "data: {train: alloy.extxyz}\noutput: CuAu\nsize: small\nlinear: {components: 4}\n"
        "network: {hidden: [4], epochs: 2}\n"
    )
    train(read_settings(config), screen=Screen(quiet=True))
    folder = tmp_path / "CuAu" / "model"
    model, atoms = collection.model(folder), made[3] * (2, 2, 2)
    expected = tm.PortableModel.load(folder).evaluate(atoms).fold()
    largest = abs(expected.forces).max()
    for ranks in (1, 2):
        (found,) = run_all([(model, "alloy", atoms, ["Au", "Cu"])], tmp_path, ranks, QUIET).values()
        assert abs(found["PotEng"][0] - expected.energy) <= 1e-9 * len(atoms)
        assert abs(stack(found, "fx", "fy", "fz") - expected.forces).max() <= 1e-8 * largest
