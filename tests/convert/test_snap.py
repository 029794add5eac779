"""SNAP potentials as portable models and back: LAMMPS's results, made-up potentials, errors."""

import shutil
import subprocess

import numpy as np
import pytest
import structures
import torch
from ase import Atoms
from ase.io.lammpsdata import write_lammps_data
from descriptors.snap_potentials import SnapPotential
from requirements import shared_cases
from simulators import lammps
from snap_potentials import beryllide, write_potential

import torchml_core as tm
from torchml_core.ase import TorchMLCalculator
from torchml_core.convert.snap_files import read_snapcoeff, read_snapparam

# The factor from eV/Å³ to bar with which LAMMPS's pressures were converted back, over LAMMPS's own.
NKTV2P = 1.602176634 / 1.6021765
PUBLISHED = ["Ta06A", "WBe_Wood_PRB2019", "InP_JCPA2020", "Si_Zuo_JPCA2020.quadratic"]

COMMANDS = """\
pair_style hybrid/overlay zbl 2.0 3.5 snap
pair_coeff * * snap x.snapcoeff x.snapparam {first} {second}
pair_coeff 1 1 zbl {one} {one}
pair_coeff 1 2 zbl {one} {two}
pair_coeff 2 2 zbl {two} {two}
"""


def expected_energy(path, atoms):
    """The energies of LAMMPS's formula, from values of the descriptor, by plain NumPy."""
    potential = SnapPotential(path, path.with_suffix(".snapparam"))
    d = potential.descriptor
    c = tm.Configuration.from_atoms(atoms, d.cutoff, d.species)
    return potential.energies(c)[0]


def zbl_energy(atoms, inner, outer):
    zbl = tm.ZBL(["W", "Be"], inner, outer)
    return zbl.compute(tm.Configuration.from_atoms(atoms, outer, zbl.species))[:, 0]


@pytest.mark.parametrize("name", shared_cases(PUBLISHED))
def test_equal_to_lammps(name, shared_data, tmp_path):
    folder = shared_data / "snap"
    model = tm.convert.snap(folder / f"{name}.snapcoeff", None, tmp_path / "model")
    assert model.card.citation
    with np.load(folder / f"{name}.npz") as arrays:
        arrays = dict(arrays)
    for structure in ("rattled_sheared", "cluster_14"):
        of = {k.partition("/")[2]: v for k, v in arrays.items() if k.startswith(structure)}
        cell = of.get("cell")
        atoms = Atoms(of["symbols"], of["positions"], cell=cell, pbc=cell is not None)
        found = model.evaluate(atoms).fold()
        assert found.energy == pytest.approx(of["energy"], abs=1e-9 * len(atoms))
        np.testing.assert_allclose(found.particle_energies, of["atom_energies"], atol=1e-9)
        largest = np.abs(of["forces"]).max()
        np.testing.assert_allclose(found.forces, of["forces"], rtol=0, atol=1e-8 * largest)
        strain = of["dE_dstrain"] * NKTV2P
        tolerance = 1e-8 * np.abs(strain).max()
        np.testing.assert_allclose(-found.virial, strain, rtol=0, atol=tolerance)
        atoms.calc = TorchMLCalculator(model, skin=0.3)
        assert atoms.get_potential_energy() == pytest.approx(of["energy"], abs=1e-9 * len(atoms))
        np.testing.assert_allclose(atoms.get_forces(), of["forces"], rtol=0, atol=1e-8 * largest)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"quadratic": True},
        {"quadratic": True, "bzeroflag": "0", "rmin0": "0.2", "switchflag": "0"},
        {"n_values": 64, "chemflag": "1", "bnormflag": "1", "wselfallflag": "1"},
        {"n_values": 64, "chemflag": "1", "bzeroflag": None},
    ],
    ids=["linear", "quadratic", "settings", "chemical", "defaults"],
)
def test_made_up_potentials(settings, tmp_path):
    path, atoms = write_potential(tmp_path, **settings), beryllide()
    model = tm.convert.snap(path, None, tmp_path / "model", zbl=(2.0, 3.5))
    energies = expected_energy(path, atoms) + zbl_energy(atoms, 2.0, 3.5)
    again = tm.PortableModel.load(tmp_path / "model")
    for m in (model, again):
        found = m.evaluate(atoms).fold().particle_energies
        np.testing.assert_allclose(found, energies, rtol=1e-12, atol=1e-12)
    assert again.card.citation == "A. Author, Journal 1, 2 (2003)"
    assert again.card.pair_terms == ({"kind": "zbl", "inner": 2.0, "outer": 3.5},)
    # LAMMPS's cutoffs, rcutfac (R_i + R_j)
    pairs = [("W", "W"), ("W", "Be"), ("Be", "Be")]
    assert [model.descriptor.cutoffs[pair] for pair in pairs] == pytest.approx([4.62, 4.18, 3.74])


def test_inner_switch(tmp_path):
    """Numbers of sinner and dinner are in the order of the elements."""
    inner = {"switchinnerflag": 1, "sinner": "1.5 0.9", "dinner": "0.4 0.3"}
    path = write_potential(tmp_path, **inner)
    model = tm.convert.snap(path, None, tmp_path / "model")
    assert model.descriptor.inner_switch == {"W": (1.5, 0.4), "Be": (0.9, 0.3)}


@pytest.mark.parametrize("order", [("W", "Be"), ("Be", "W")])
def test_elements_and_zbl_of_a_snap_file(order, tmp_path):
    """The order of LAMMPS's types does not matter, unless blocks of coefficients follow it."""
    numbers = {"W": 74, "Be": 4}
    words = {"first": order[0], "second": order[1]}
    words |= {"one": numbers[order[0]], "two": numbers[order[1]]}
    (tmp_path / "x.snap").write_text(COMMANDS.format(**words))
    path, atoms = write_potential(tmp_path), beryllide()
    model = tm.convert.snap(tmp_path / "x.snap", None, tmp_path / "model")
    assert model.species == order
    energies = expected_energy(path, atoms) + zbl_energy(atoms, 2.0, 3.5)
    found = model.evaluate(atoms).fold().particle_energies
    np.testing.assert_allclose(found, energies, rtol=1e-12, atol=1e-12)


def test_chemical_blocks_follow_the_order_of_a_snap_file(tmp_path):
    """With chemflag, LAMMPS counts elements as pair_coeff lists them: B[Be Be W] is another one."""
    path, atoms = write_potential(tmp_path, n_values=64, chemflag="1"), beryllide()
    (tmp_path / "x.snap").write_text(
        "pair_style snap\npair_coeff * * x.snapcoeff x.snapparam Be W\n"
    )
    found = tm.convert.snap(tmp_path / "x.snap", None, tmp_path / "model")
    d = found.descriptor
    assert d.species == ("Be", "W")
    elements = read_snapcoeff(path).elements
    c = tm.Configuration.from_atoms(atoms, d.cutoff, d.species)
    expected = [
        elements[symbol].coefficients @ [1, *row]
        for symbol, row in zip(atoms.symbols, d.compute(c), strict=True)
    ]
    energies = found.evaluate(atoms).fold().particle_energies
    np.testing.assert_allclose(energies, expected, rtol=1e-12, atol=1e-12)
    other = tm.convert.snap(path, None, tmp_path / "other").evaluate(atoms)
    assert abs(other.energy - energies.sum()) > 0.1


def test_one_of_the_elements(tmp_path):
    path = write_potential(tmp_path)
    (tmp_path / "x.snap").write_text("pair_style snap\npair_coeff * * x.snapcoeff x.snapparam Be\n")
    model = tm.convert.snap(tmp_path / "x.snap", None, tmp_path / "model")
    atoms = beryllide()[[0, 3, 5, 6, 9, 14]]
    assert model.species == ("Be",)
    found = model.evaluate(atoms).energy
    assert found == pytest.approx(expected_energy(path, atoms).sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("settings", "line", "said"),
    [
        ({"twojmax": "4"}, 2, "9 coefficients; 15 are needed for a linear potential with 14"),
        ({"quadraticflag": "1"}, 2, r"9 coefficients; 45 are needed for a quadratic potential"),
        ({"chemflag": "1"}, 2, r"9 coefficients; 65 are needed .* chemflag 1"),
    ],
)
def test_wrong_number_of_coefficients(settings, line, said, tmp_path):
    path = write_potential(tmp_path, **settings)
    with pytest.raises(tm.FileFormatError, match=f"{path}:{line}: {said}"):
        tm.convert.snap(path, None, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("settings", "line", "said"),
    [
        ({"twojmax": "15"}, 2, "twojmax = 15: a whole number from 0 to 14 is needed"),
        ({"rfac0": "1.2"}, 3, "rfac0 = 1.2: a number above 0 and up to 1 is needed"),
        ({"rmin0": "3.8"}, 6, "rmin0 = 3.8: a distance below the smallest cutoff, 3.74,"),
        (
            {"switchinnerflag": 1, "sinner": "1", "dinner": "1 2"},
            7,
            "sinner has 1 numbers; one for each of W, Be is needed",
        ),
    ],
)
def test_settings_that_cannot_be_used(settings, line, said, tmp_path):
    path = write_potential(tmp_path, **settings)
    with pytest.raises(tm.FileFormatError, match=f"x.snapparam:{line}: {said}"):
        tm.convert.snap(path, None, tmp_path / "model")


def test_elements_that_cannot_be_used(tmp_path):
    path = write_potential(tmp_path)
    snap = tmp_path / "x.snap"
    command = "pair_style snap\npair_coeff * * x.snapcoeff x.snapparam "
    snap.write_text(f"{command}W C")
    with pytest.raises(tm.FileFormatError, match="element 'C' is needed; there are W, Be"):
        tm.convert.snap(snap, None, tmp_path / "model")
    write_potential(tmp_path, n_values=64, chemflag="1")
    snap.write_text(f"{command}W W")
    with pytest.raises(tm.FileFormatError, match=r"snapparam:6: chemflag 1 with W: all elements"):
        tm.convert.snap(snap, None, tmp_path / "model")
    path.write_text(path.read_text().replace("Be", "Xy"))
    with pytest.raises(tm.FileFormatError, match=r"69: element 'Xy': the symbol of a chemical"):
        tm.convert.snap(path, None, tmp_path / "model")


def test_arguments_that_cannot_be_used(tmp_path):
    path, out = write_potential(tmp_path), tmp_path / "model"
    words = {"first": "W", "second": "Be", "one": 74, "two": 4}
    (tmp_path / "x.snap").write_text(COMMANDS.format(**words))
    for zbl in (3, "4.0", (4.0,), (4.8, 4.0), (0, 1), ("a", 1), (1, 2, 3)):
        with pytest.raises(tm.InputError, match=r"zbl.* is needed"):
            tm.convert.snap(path, None, out, zbl=zbl)
    with pytest.raises(tm.InputError, match="param = .*: None with x.snap, which names"):
        tm.convert.snap(tmp_path / "x.snap", path, out)
    with pytest.raises(tm.InputError, match="zbl = .*: None, since .2.0, 3.5. is in the .snap"):
        tm.convert.snap(tmp_path / "x.snap", None, out, zbl=(2.0, 3.5))
    path.with_suffix(".snapparam").unlink()
    with pytest.raises(tm.MissingFileError, match=r"x.snapparam: .* a .snapparam file is needed"):
        tm.convert.snap(path, None, out)
    for wrong in (3, None, ""):
        with pytest.raises(tm.InputError, match="coeff = "):
            tm.convert.snap(wrong, None, out)


# ---- back


SETTINGS = {
    "linear": {},
    "quadratic": {"quadratic": True, "bzeroflag": "0", "switchflag": "0", "rmin0": "0.2"},
    "chemical": {"n_values": 64, "chemflag": "1", "bnormflag": "1", "wselfallflag": "1"},
    "chemical_quadratic": {"n_values": 64, "chemflag": "1", "quadratic": True},
    "inner_switch": {"switchinnerflag": 1, "sinner": "2.8 2.5", "dinner": "0.4 0.3"},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_there_and_back(settings, tmp_path):
    """Coefficients to the last bit, and settings that make an equal descriptor."""
    path, stem = write_potential(tmp_path, **settings), tmp_path / "back.v2"
    model = tm.convert.snap(path, None, tmp_path / "model", zbl=(2.0, 3.5))
    written = tm.convert.to_snap(model, stem)
    assert [p.name for p in written] == ["back.v2.snapcoeff", "back.v2.snapparam", "back.v2.snap"]
    there, back = read_snapcoeff(path), read_snapcoeff(written[0])
    assert back.citation == there.citation
    for name, element in there.elements.items():
        if not model.descriptor.chemical:  # see the next test
            np.testing.assert_array_equal(back.elements[name].coefficients, element.coefficients)
        assert back.elements[name].weight == element.weight
    again = tm.convert.snap(written[2], None, tmp_path / "again")
    assert again.card.pair_terms == model.card.pair_terms
    assert again.species == model.species
    for pair, cutoff in model.descriptor.cutoffs.items():
        assert again.descriptor.cutoffs[pair] == pytest.approx(cutoff, rel=1e-15)
    found, expected = (
        read_snapparam(written[1]).values,
        read_snapparam(path.with_suffix(".snapparam")).values,
    )
    assert {**found, "rcutfac": expected["rcutfac"]} == expected
    atoms = beryllide()
    energy = model.evaluate(atoms).energy
    assert again.evaluate(atoms).energy == pytest.approx(energy, rel=1e-13)


@pytest.mark.parametrize("quadratic", [False, True])
def test_equal_values_get_equal_coefficients(quadratic, tmp_path):
    """With chemflag: LAMMPS's forces are the derivative of its energy only then."""
    path = write_potential(tmp_path, n_values=64, chemflag="1", quadratic=quadratic)
    model = tm.convert.snap(path, None, tmp_path / "model")
    coeff, *_ = tm.convert.to_snap(model, tmp_path / "back")
    labels = model.descriptor.labels
    pairs = [
        ("B[W-Be-Be](1, 0, 1)", "B[Be-Be-W](1, 0, 1)"),
        ("B[W-Be-W](1, 1, 2)", "B[Be-W-W](1, 1, 2)"),
        ("B[W-Be-W](2, 2, 2)", "B[W-W-Be](2, 2, 2)"),
    ]
    atoms, d = beryllide(), model.descriptor
    values = d.compute(tm.Configuration.from_atoms(atoms, d.cutoff, d.species))
    there, back = read_snapcoeff(path).elements, read_snapcoeff(coeff).elements
    for one, other in pairs:
        i, j = labels.index(one), labels.index(other)
        np.testing.assert_allclose(values[:, i], values[:, j], rtol=1e-12)
        for name in there:
            c = back[name].coefficients
            assert c[1 + i] == c[1 + j]
            if not one.endswith("(2, 2, 2)"):
                found = there[name].coefficients
                assert c[1 + i] == pytest.approx((found[1 + i] + found[1 + j]) / 2, rel=1e-14)
    again = tm.convert.snap(coeff, None, tmp_path / "again")
    expected = model.evaluate(atoms).fold()
    found = again.evaluate(atoms).fold()
    np.testing.assert_allclose(found.particle_energies, expected.particle_energies, rtol=1e-12)
    largest = np.abs(expected.forces).max()
    np.testing.assert_allclose(found.forces, expected.forces, rtol=0, atol=1e-12 * largest)


def test_one_cutoff_is_rcutfac(tmp_path):
    """As published potentials have it: radius 0.5."""
    descriptor = tm.Bispectrum(["Ta"], 4.67637, 2)
    model = portable(tmp_path / "m", descriptor, tm.nn.ElementPolynomials(descriptor))
    coeff, param, _ = tm.convert.to_snap(model, tmp_path / "x")
    assert read_snapcoeff(coeff).elements["Ta"].radius == 0.5
    assert read_snapparam(param).values["rcutfac"] == 4.67637


def portable(folder, descriptor, network):
    return tm.PortableModel.create(
        folder, model=network, species=descriptor.species, descriptor=descriptor
    )


class Quartic(torch.nn.Module):
    """Has the value, slope and curvature of a quadratic function at 0."""

    def forward(self, descriptor: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        return descriptor.sum(1) + (descriptor**4).sum(1)


class Mean(torch.nn.Module):
    """Linear in each row, but not the sum of energies of atoms."""

    def forward(self, descriptor: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        return descriptor.mean(0).sum()


class Affine(torch.nn.Module):
    """One input, and one energy for all."""

    def forward(self, descriptor: torch.Tensor) -> torch.Tensor:
        return (descriptor.select(1, 1) * 3.0 - 2.0).sum()


def test_any_module_that_is_linear(tmp_path):
    """Networks without hidden layers with scaling, float32, one input, atomic numbers."""
    descriptor = tm.Bispectrum(["Si", "C"], 3.0, 2)
    networks = tm.nn.ElementNetworks(descriptor, hidden=(), energy_factor=2.0)
    generator = np.random.default_rng(0)
    shifts = {name: generator.normal(size=5) for name in networks.species}
    networks.set_scaling(shifts, {name: [2.0, 1.0, 3.0, 1.0, 0.5] for name in networks.species})
    atoms = structures.rattled_silicon(1, seed=1)
    atoms.symbols[:3] = "C"
    model = portable(tmp_path / "1", descriptor, networks)
    tm.convert.to_snap(model, tmp_path / "x")
    again = tm.convert.snap(tmp_path / "x.snapcoeff", None, tmp_path / "2")
    assert again.evaluate(atoms).energy == pytest.approx(model.evaluate(atoms).energy, rel=1e-12)
    one = tm.Bispectrum(["Si"], 3.0, 2)
    coeff, *_ = tm.convert.to_snap(portable(tmp_path / "3", one, Affine()), tmp_path / "x")
    assert read_snapcoeff(coeff).elements["Si"].coefficients.tolist() == [-2.0, 0, 3.0, 0, 0, 0]
    single = tm.nn.ElementNetworks(one, hidden=(), dtype="float32")
    model = portable(tmp_path / "4", one, single)
    coeff, *_ = tm.convert.to_snap(model, tmp_path / "x")
    bias = float(single.networks[0].layers[0].linear.bias.detach())
    assert read_snapcoeff(coeff).elements["Si"].coefficients[0] == bias


@pytest.mark.parametrize("network", [Quartic(), Mean()])
def test_other_functions_are_refused(network, tmp_path):
    model = portable(tmp_path / "m", tm.Bispectrum(["Si"], 3.0, 2), network)
    with pytest.raises(tm.UnsupportedError, match="Si is not a linear or quadratic function"):
        tm.convert.to_snap(model, tmp_path / "x")
    assert not list(tmp_path.glob("x.*"))


def test_networks_are_refused(tmp_path):
    descriptor = tm.Bispectrum(["Si"], 3.0, 2)
    model = portable(tmp_path / "m", descriptor, tm.nn.ElementNetworks(descriptor))
    with pytest.raises(tm.UnsupportedError, match="Si is not a linear or quadratic function"):
        tm.convert.to_snap(model, tmp_path / "x")


def test_what_snap_files_cannot_say_is_refused(tmp_path):
    def refused(descriptor, said):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        model = portable(folder, descriptor, tm.nn.ElementPolynomials(descriptor))
        with pytest.raises(tm.UnsupportedError, match=said):
            tm.convert.to_snap(model, tmp_path / "x")
        return model

    refused(tm.SymmetryFunctions(["Si"], 3.0, [("g1", [])]), "a model on SymmetryFunctions: .* Bis")
    refused(tm.Bispectrum(["Si"], 3.0, 2, diagonal_style=0), "diagonal_style = 0: LAMMPS's")
    cutoffs = {("Si", "Si"): 3.0, ("Si", "C"): 3.2, ("C", "C"): 2.0}
    refused(
        tm.Bispectrum(["Si", "C"], cutoffs, 2), "cutoff of Si and C, 3.2 Å: LAMMPS has the mean"
    )
    for wrong in (3, None, str(tmp_path)):
        with pytest.raises(tm.InputError, match="model = .*: a PortableModel is needed"):
            tm.convert.to_snap(wrong, tmp_path / "x")


def test_stems(tmp_path):
    descriptor = tm.Bispectrum(["Si"], 3.0, 2)
    model = portable(tmp_path / "m", descriptor, tm.nn.ElementPolynomials(descriptor))
    for wrong in ("a b", "a#b", "$a", "a&", '"a"', "/"):
        with pytest.raises(tm.InputError, match="stem = .* a path whose last part has no blanks"):
            tm.convert.to_snap(model, wrong)
    with pytest.raises(tm.MissingFileError, match="the folder .*none does not exist"):
        tm.convert.to_snap(model, tmp_path / "none" / "x")


# ---- LAMMPS, if it has SNAP (Debian's has not; PyPI's has)

# What LAMMPS 2025.7.22 computes with these potentials: the energy, and forces on atom 5. With
# chemflag its forces are not the derivative of its energy for coefficients like these.
FOUND = {
    "linear": (-26.340215035139884, (0.5775031360895895, 1.7136631333269872, -0.5415870826996472)),
    "quadratic": (45320301.26545621, (-174851.42779592887, -2313125.902842339, -252632.1934415208)),
    "chemical": (68.2549389401868, None),
    "chemical_quadratic": (-409.28539666624175, None),
    "inner_switch": (
        -13.403341028409734,
        (-1.9685788624295248, -3.935285710758841, -0.047557106157979145),
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_equal_to_stored_results_of_lammps(name, tmp_path):
    path, (energy, forces) = write_potential(tmp_path, **SETTINGS[name]), FOUND[name]
    model = tm.convert.snap(path, None, tmp_path / "model", zbl=(2.0, 3.5))
    found = model.evaluate(beryllide()).fold()
    assert found.energy == pytest.approx(energy, rel=1e-13)
    if forces is not None:
        assert found.forces[5] == pytest.approx(forces, rel=1e-11)


INPUT = """
units         metal
atom_modify   map array
boundary      p p p
box           tilt large
read_data     atoms.data
include       back.snap
thermo_style  custom step pe pxx pyy pzz pyz pxz pxy
thermo_modify format float %.17g
dump          all all custom 1 dump id fx fy fz
dump_modify   all format float %.17g
run           0
"""
BAR = 1.6021765e6  # eV/Å³ in bar, as LAMMPS has it


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_written_files_in_lammps(settings, tmp_path):
    lmp = shutil.which("lmp")
    if (
        lmp is None
        or "snap" not in subprocess.run([lmp, "-h"], capture_output=True).stdout.decode()
    ):
        pytest.skip("lmp with the package ML-SNAP is not on PATH")
    atoms = beryllide()
    path = write_potential(tmp_path, **settings)
    model = tm.convert.snap(path, None, tmp_path / "model", zbl=(2.0, 3.5))
    tm.convert.to_snap(model, tmp_path / "back")
    write_lammps_data(tmp_path / "atoms.data", atoms, specorder=list(model.species), masses=True)
    done = lammps(INPUT, tmp_path)
    assert done.code == 0, done.stdout[-1000:]
    (table,), found = done.thermo(), done.dump("dump")
    p = model.evaluate(atoms)
    assert table["PotEng"][0] == pytest.approx(p.energy, abs=1e-9 * len(atoms))
    forces = np.stack([found[f"f{x}"] for x in "xyz"], axis=1)
    largest = np.abs(forces).max()
    np.testing.assert_allclose(p.fold().forces, forces, rtol=0, atol=1e-8 * largest)
    pressure = [table[f"P{x}"][0] for x in ("xx", "yy", "zz", "yz", "xz", "xy")]
    expected = p.virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * BAR / atoms.get_volume()
    np.testing.assert_allclose(pressure, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
