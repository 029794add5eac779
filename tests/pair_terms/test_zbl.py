"""ZBL repulsion: against its formula in plain Python, LAMMPS, and the tests of every descriptor."""

import math
import shutil

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers
from ase.io.lammpsdata import write_lammps_data
from descriptors.kit import DescriptorKit, silicon_carbide
from requirements import need
from simulators import lammps

import torchml_core as tm
from torchml_core.pair_terms import make_pair_terms

INNER, OUTER = 2.2, 4.1


@pytest.fixture
def descriptor():
    return tm.ZBL(["Si", "C"], INNER, OUTER)


class TestKit(DescriptorKit):
    """All that every descriptor must pass: derivatives, strain, invariances, threads, float32."""


def unswitched(r, one, other):
    """The universal potential in eV, and its first two derivatives by differences of functions."""
    a = 0.46850 / (one**0.23 + other**0.23)
    series = [(0.18175, 3.19980), (0.50986, 0.94229), (0.28022, 0.40290), (0.02817, 0.20162)]
    # E, E', E'' of c exp(-d r/a) / r, term by term
    values = [0.0, 0.0, 0.0]
    for c, d in series:
        b = d / a
        e = 14.399645 * one * other * c * math.exp(-b * r)
        values[0] += e / r
        values[1] -= e * (b / r + 1 / r**2)
        values[2] += e * (b**2 / r + 2 * b / r**2 + 2 / r**3)
    return values


def pair_energy(r, one, other, inner=INNER, outer=OUTER):
    """V(r): the polynomial is found by a linear system instead of LAMMPS's formulas."""
    if r >= outer:
        return 0.0
    width = outer - inner
    # C + A t³ + B t⁴ and two derivatives at t = width cancel those of the potential
    matrix = [
        [1, width**3, width**4],
        [0, 3 * width**2, 4 * width**3],
        [0, 6 * width, 12 * width**2],
    ]
    constant, cubic, quartic = np.linalg.solve(matrix, -np.array(unswitched(outer, one, other)))
    t = max(r - inner, 0)
    return unswitched(r, one, other)[0] + constant + cubic * t**3 + quartic * t**4


def test_values(descriptor):
    atoms = silicon_carbide()
    c = tm.Configuration.from_atoms(atoms, OUTER)
    expected = np.zeros(len(atoms))
    i, j, d = tm.neighbor_list("ijd", atoms, OUTER)
    for k, other, r in zip(i, j, d, strict=True):
        expected[k] += pair_energy(r, atoms.numbers[k], atoms.numbers[other]) / 2
    np.testing.assert_allclose(descriptor.compute(c)[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("pair", ["HH", "SiC", "UOg"])
def test_all_distances_of_a_pair(pair):
    """Smooth at both distances: V, V' and V'' have no jump anywhere, and end at 0."""
    symbols = Atoms(pair).get_chemical_symbols()
    zbl = tm.ZBL(list(dict.fromkeys(symbols)), INNER, OUTER)
    distances = np.concatenate(
        [[0.02, 0.3, 1.0, 2.0, 3.0], *(x + 1e-7 * np.arange(-3, 4) for x in (INNER, OUTER))]
    )
    numbers = [atomic_numbers[symbol] for symbol in symbols]
    energies, slopes = [], []
    for r in distances:
        atoms = Atoms(symbols, positions=[[0, 0, 0], [0, 0, r]])
        c = tm.Configuration.from_atoms(atoms, 5.0, zbl.species)
        energies.append(zbl.compute(c).sum())
        slopes.append(zbl.vjp(c, np.ones((2, 1)))[1, 2])
    expected = [pair_energy(r, *numbers) for r in distances]
    scale = pair_energy(INNER, *numbers)
    np.testing.assert_allclose(energies, expected, rtol=1e-12, atol=1e-13 * scale)
    for inner_or_outer in (slice(5, 12), slice(12, 19)):
        step = np.diff(slopes[inner_or_outer]) / 1e-7
        curvature = unswitched(INNER, *numbers)[2]
        assert np.ptp(step) < 1e-5 * curvature
    assert not np.any(energies[-3:])
    assert abs(slopes[-5]) < 1e-12 * abs(slopes[5])


# Every atom of LAMMPS with its energy, force and virial.
INPUT = """
units         metal
atom_modify   map array
boundary      {boundary}
box           tilt large
read_data     atoms.data
pair_style    zbl {inner} {outer}
{coefficients}
compute       energies all pe/atom
compute       stresses all stress/atom NULL
thermo_style  custom step pe pxx pyy pzz pyz pxz pxy
thermo_modify format float %.17g
dump          all all custom 1 dump id fx fy fz c_energies c_stresses[*]
dump_modify   all format float %.17g
run           0
"""
BAR = 1.6021765e6  # eV/Å³ in bar, as LAMMPS has it


def alloy():
    """Three elements in a tilted cell smaller than the cutoff, some of them very close."""
    atoms = bulk("Si", cubic=True)
    atoms.symbols = ["Si", "C", "W", "C", "Si", "W", "W", "C"]
    atoms.set_cell([[5.43, 0, 0], [1.1, 5.2, 0], [-0.7, 0.9, 5.6]], scale_atoms=True)
    atoms.rattle(0.4, seed=2)
    return atoms


def molecule():
    atoms = alloy()[:6]
    atoms.center(vacuum=3.0)
    atoms.pbc = False
    return atoms


@pytest.mark.parametrize(
    ("make", "inner", "outer"), [(alloy, 4.0, 4.8), (alloy, 0.8, 2.6), (molecule, 2.0, 4.0)]
)
def test_equal_to_lammps(make, inner, outer, tmp_path):
    need(shutil.which("lmp"), "lmp is not on PATH (Debian: lammps)")
    atoms, species = make(), ["C", "W", "Si"]
    write_lammps_data(tmp_path / "atoms.data", atoms, specorder=species, masses=True)
    numbers = [atomic_numbers[name] for name in species]
    coefficients = "\n".join(
        f"pair_coeff {i + 1} {j + 1} {numbers[i]} {numbers[j]}"
        for i in range(3)
        for j in range(i, 3)
    )
    boundary = "p p p" if atoms.pbc.all() else "f f f"
    settings = {"inner": inner, "outer": outer, "coefficients": coefficients}
    done = lammps(INPUT.format(boundary=boundary, **settings), tmp_path).good()
    (table,), found = done.thermo(), done.dump("dump")
    zbl = tm.ZBL(["Si", "C", "W"], inner, outer)
    c = tm.Configuration.from_atoms(atoms, outer, zbl.species)
    energies, ones = zbl.compute(c)[:, 0], np.ones((len(atoms), 1))
    gradient, virial = zbl.vjp(c, ones, virial=True)
    forces, scale = -c.fold(gradient), np.abs(gradient).max()
    close = np.testing.assert_allclose
    close(table["PotEng"][0], energies.sum(), rtol=1e-12)
    close(found["c_energies"], energies, rtol=1e-10, atol=1e-10 * np.abs(energies).max())
    close(np.stack([found[f"f{x}"] for x in "xyz"], 1), forces, rtol=0, atol=1e-10 * scale)
    if atoms.pbc.all():
        pressure = [table[f"P{x}"][0] for x in ("xx", "yy", "zz", "yz", "xz", "xy")]
        expected = virial[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]] * BAR / atoms.get_volume()
        close(pressure, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


WRONG = [
    ({"inner": 4.8}, "inner = 4.8: a distance below outer, 4.8,"),
    ({"inner": 5.0}, "inner = 5.0: a distance below outer"),
    ({"inner": 0}, "inner = 0: a positive finite number"),
    ({"outer": math.inf}, "outer = inf: a positive finite number"),
    ({"outer": "4.8"}, "outer = '4.8'"),
    ({"kind": "zlb"}, "kind = 'zlb': one of 'zbl'"),
    ({"outside": 1}, "just kind, inner, outer"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_wrong_settings_are_named(change, message):
    right = {"kind": "zbl", "inner": 4.0, "outer": 4.8}
    assert make_pair_terms([right], ["Si"]) == (tm.ZBL(["Si"], 4.0, 4.8),)
    with pytest.raises(tm.InputError, match=rf"pair_terms\[0\].*{message}.* is needed"):
        make_pair_terms([{**right, **change}], ["Si"])
    with pytest.raises(tm.InputError, match=r"pair_terms\[1\]: zbl is there twice"):
        make_pair_terms([right, right], ["Si"])
    with pytest.raises(tm.InputError, match="'X' is not a chemical element, which is needed"):
        make_pair_terms([right], ["Si", "X"])
    for wrong in (right, "zbl", 3, [4.0], [{}], [{"kind": "zbl", "inner": 4.0}]):
        with pytest.raises(tm.InputError, match="pair_terms"):
            make_pair_terms(wrong, ["Si"])
