"""Compact functions: the kit, an independent reference, n2p2's values, edges and angles 0 and π."""

import numpy as np
import pytest
from ase import Atoms
from descriptors.kit import STRUCTURES, ArgumentsKit, SettingsKit
from descriptors.symmetry_functions_reference import compact, element_functions

import torchml_core as tm
from torchml_core.descriptors.symmetry_functions import CompactFunction, Function
from torchml_core.testing import (
    check_adjoint,
    check_float32,
    check_jacobian,
    check_jvp,
    check_vjp,
)

CORES = ("poly1", "poly2", "poly3", "poly4", "exp")


def all_types(core, asymmetric=False):
    """Each type, named and weighted; intervals of all kinds; functions that share parts."""
    c = (core, asymmetric)
    return {
        "Si": [
            CompactFunction("c2", ("C",), (-4.0, 4.0), None, *c),
            CompactFunction("c2", ("Si",), (1.3, 4.2), None, *c),
            CompactFunction("c2", ("C",), (-1.0, 3.1), None, *c),
            CompactFunction("c2", None, (0.0, 3.0), None, *c),
            CompactFunction("c5", ("C", "Si"), (-4.0, 4.0), (0.0, 120.0), *c),
            CompactFunction("c5", ("Si", "C"), (-4.0, 4.0), (-90.0, 90.0), *c),
            CompactFunction("c5", ("C", "C"), (1.3, 4.2), (90.0, 270.0), *c),
            CompactFunction("c5", ("C", "C"), (1.3, 4.2), (0.0, 180.0), *c),
            CompactFunction("c5", ("C", "C"), (0.0, 2.5), (49.1, 169.1), *c),
            CompactFunction("c4", ("Si", "C"), (-4.0, 4.0), (60.0, 180.0), *c),
            CompactFunction("c4", ("Si", "Si"), (1.3, 4.2), (20.0, 100.0), *c),
            CompactFunction("c4", None, (1.0, 3.9), (-180.0, 180.0), *c),
            CompactFunction("c5", None, (-2.0, 3.9), (0.0, 360.0), *c),
        ],
        "C": [
            CompactFunction("c5", ("Si", "C"), (0.5, 3.8), (30.0, 150.0), *c),
            CompactFunction("c2", ("Si",), (0.0, 4.2), None, *c),
        ],
    }


# Numbers of functions with one radial part that take each of the kernel's loops over rows.
MANY = [
    CompactFunction("c5", ("C", "Si"), (0.0, 4.0), (5.0 * k, 60 + 7.0 * k)) for k in range(13)
] + [CompactFunction("c4", ("C", "Si"), (0.0, 4.4), (5.0 * k, 60 + 7.0 * k)) for k in range(6)]
WITH_GAUSSIANS = [
    Function("g2", ("C",), 4.0, 0.1),
    *all_types("poly2")["Si"],
    Function("g4", ("C", "Si"), 4.2, 0.05, zeta=4.0, lam=-1.0),
]
SETTINGS = {core: all_types(core) for core in CORES}
SETTINGS |= {f"{core} asymmetric": all_types(core, True) for core in CORES if core != "exp"}
SETTINGS |= {"many": {"Si": MANY, "C": []}, "with g2 and g4": {"Si": WITH_GAUSSIANS, "C": []}}


class TestSettings(SettingsKit):
    @pytest.fixture(params=["poly2 asymmetric", "exp", "with g2 and g4"])
    def descriptor(self, request):
        return tm.ElementSymmetryFunctions(SETTINGS[request.param])


class TestArguments(ArgumentsKit):
    @pytest.fixture
    def descriptor(self):
        return tm.ElementSymmetryFunctions(SETTINGS["poly1"])


def reference(d, c, positions):
    rows = [c.neighbors[c.offsets[k] : c.offsets[k + 1]] for k in range(c.n_centers)]
    names = [c.species_names[code] for code in c.species]
    numbers = {"Si": 14, "C": 6}
    return element_functions(d.functions, "cos", 0.0, numbers, names, positions, c.centers, rows)


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        *((name, "cluster") for name in SETTINGS),
        ("poly1 asymmetric", "silicon carbide"),  # the reference takes half a second
    ],
)
def test_values_and_tangent_equal_to_the_reference(name, structure):
    d = tm.ElementSymmetryFunctions(SETTINGS[name])
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff, d.species)
    expected = reference(d, c, c.positions)
    assert (np.abs(expected).max(axis=0) > 0).mean() > 0.8
    scale = np.abs(expected).max()
    np.testing.assert_allclose(d.compute(c), expected, rtol=1e-11, atol=1e-13 * scale)
    np.testing.assert_allclose(d.compute(c, dtype="float32"), expected, rtol=0, atol=2e-6 * scale)
    direction = np.random.default_rng(2).standard_normal(c.positions.shape)
    tangent = reference(d, c, c.positions + 1e-30j * direction).imag / 1e-30
    scale = np.abs(tangent).max()
    np.testing.assert_allclose(d.jvp(c, direction), tangent, rtol=1e-9, atol=1e-12 * scale)


def collinear(angle):
    """Neighbors of atom 0 at exactly this angle, 0 or 180 degrees, in a direction of no axis."""
    direction = np.array([3.0, -2.0, 6.0]) / 7
    far = 2.8 if angle == 0 else -2.1
    return Atoms("Si3", positions=[[0, 0, 0], 1.4 * direction, far * direction])


ANGLES = {"around 0": (-90.0, 90.0), "from 0": (0.0, 120.0), "inside": (20.0, 100.0)}
ANGLES |= {"to 180": (60.0, 180.0), "around 180": (90.0, 270.0), "whole": (0.0, 180.0)}


@pytest.mark.parametrize("angle", [0, 180])
@pytest.mark.parametrize("type", ["c4", "c5"])
def test_collinear_triples_count(type, angle):
    """n2p2 leaves them out."""
    functions = [
        CompactFunction(type, ("Si", "Si"), (-1.0, 4.5), interval, core)
        for interval in ANGLES.values()
        for core in CORES
    ]
    d = tm.ElementSymmetryFunctions({"Si": functions})
    atoms = collinear(angle)
    c = tm.Configuration.from_atoms(atoms, d.cutoff)
    values = d.compute(c)
    distances = [1.4, 2.8, 1.4] if angle == 0 else [1.4, 2.1, 3.5]
    for f, value in zip(functions, values[0], strict=True):
        radial = [compact(f.radial, f.core, False, r) for r in distances]
        radial = np.prod(radial if type == "c4" else radial[:2])
        at_angle = 1.0 if sum(f.angular) / 2 == angle else 0.0  # the center of the interval
        np.testing.assert_allclose(value, radial * at_angle, rtol=1e-13, atol=1e-14)
    assert (values[0] > 0.01).sum() == len(CORES)
    for dtype in (np.float64, np.float32):
        assert np.isfinite(d.jacobian(c, dtype=dtype).values).all()
    # No derivative across the line, and along it that of the distances.
    weights = np.random.default_rng(3).standard_normal(values.shape)
    step = 1e-5
    difference = np.empty((3, 3))
    for k in np.ndindex(3, 3):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[k] += sign * step
            there = tm.Configuration.from_atoms(moved, d.cutoff)
            energies.append((weights * d.compute(there)).sum())
        difference[k] = (energies[0] - energies[1]) / (2 * step)
    # poly1 has a jump in the second derivative at its center.
    np.testing.assert_allclose(d.vjp(c, weights), difference, atol=2e-5)


def test_all_angles():
    """The angular part and its derivative, from 0 to 180 degrees and next to both."""
    near = 10.0 ** -np.arange(1, 9)
    angles = np.concatenate([near, np.linspace(1, 179, 90), 180 - near])
    functions = [
        CompactFunction("c5", ("C", "C"), (-4.0, 4.0), interval, core)
        for interval in [(0.0, 180.0), (-180.0, 180.0), (0.0, 360.0)]
        for core in CORES
    ]
    d = tm.ElementSymmetryFunctions({"Si": functions, "C": []})
    radial = [compact((-4.0, 4.0), core, False, 2.0) ** 2 for core in CORES] * 3
    for angle in np.radians(angles):
        across = np.array([-np.sin(angle), np.cos(angle), 0])
        positions = [[0, 0, 0], [2, 0, 0], [2 * np.cos(angle), 2 * np.sin(angle), 0]]
        c = tm.Configuration.from_atoms(Atoms("SiCC", positions=positions), 4.0, d.species)
        direction = np.array([0 * across, 0 * across, 2 * across])  # dθ = 1
        x, h = np.degrees(angle), 1e-30j * np.degrees(1)
        parts = [compact(f.angular, f.core, False, x) for f in functions]
        np.testing.assert_allclose(d.compute(c)[0], np.multiply(radial, parts), 1e-12, 2e-14)
        slopes = [np.imag(compact(f.angular, f.core, False, x + h)) / 1e-30 for f in functions]
        # Rounded, a cosine of almost 1 leaves eight digits of θ.
        np.testing.assert_allclose(d.jvp(c, direction)[0], np.multiply(radial, slopes), atol=2e-8)


@pytest.mark.parametrize("core", CORES)
def test_neighbors_at_the_ends_of_intervals(core):
    """Distances and angles at which a function begins or ends: 0, with derivative 0."""
    positions = [[0, 0, 0], [2.0, 0, 0], [0, 3.0, 0], [0, 0, -3.0]]  # all angles at 0 are 90
    c = tm.Configuration.from_atoms(Atoms("SiC3", positions=positions), 4.0, ["Si", "C"])
    functions = [
        CompactFunction("c2", ("C",), (2.0, 3.0), None, core),
        CompactFunction("c5", ("C", "C"), (2.0, 3.0), (0.0, 180.0), core),
        CompactFunction("c5", ("C", "C"), (-4.0, 4.0), (0.0, 90.0), core),
        CompactFunction("c5", ("C", "C"), (-4.0, 4.0), (90.0, 180.0), core),
        CompactFunction("c4", ("C", "C"), (1.0, np.sqrt(13.0)), (0.0, 90.0), core),
    ]
    d = tm.ElementSymmetryFunctions({"Si": functions, "C": []})
    np.testing.assert_allclose(d.compute(c)[0], 0, atol=1e-30)
    np.testing.assert_allclose(d.jacobian(c).values, 0, atol=1e-13)


@pytest.mark.parametrize("type", ["c4", "c5"])
def test_more_neighbors_than_are_taken_at_once(type):
    """Of one element and of two; about 300."""
    rng = np.random.default_rng(0)
    positions = np.vstack([[0, 0, 0], rng.uniform(-4.4, 4.4, (330, 3))])
    positions[1:] += 0.5 * np.sign(positions[1:])
    is_carbon = rng.random(331) < 0.3
    is_carbon[0] = False
    symbols = np.where(is_carbon, "C", "Si")
    c = tm.Configuration(
        positions,
        is_carbon.astype(int),
        np.arange(331) == 0,
        [0],
        [0, 330],
        np.arange(1, 331),
        species_names=["Si", "C"],
    )
    pairs = [("Si", "Si"), ("Si", "C"), ("C", "C")]
    functions = [
        CompactFunction(type, pair, radial, (40.0, 110.0), "poly1")
        for pair in pairs
        for radial in [(-5.0, 7.0), (1.0, 3.0), (4.0, 6.5)]
    ]
    d = tm.ElementSymmetryFunctions({"Si": functions, "C": []})
    r = np.linalg.norm(positions, axis=1)[1:]
    unit = positions[1:] / r[:, None]
    angles = np.degrees(np.arccos(np.clip(unit @ unit.T, -1, 1)))
    r_jk = np.linalg.norm(positions[1:, None] - positions[None, 1:], axis=-1)

    def values_of(interval, a):
        x = np.abs(a - np.mean(interval)) * 2 / np.ptp(interval)
        return np.where(x < 1, (2 * x - 3) * x**2 + 1, 0)

    expected = []
    for f in functions:
        terms = np.outer(values_of(f.radial, r), values_of(f.radial, r))
        terms *= values_of(f.angular, angles)
        if type == "c4":
            terms *= values_of(f.radial, r_jk)
        terms[np.diag_indices(330)] = 0
        of_j, of_k = (symbols[1:] == name for name in f.neighbors)
        total = terms[np.ix_(of_j, of_k)].sum()
        expected.append(total / 2 if f.neighbors[0] == f.neighbors[1] else total)
    np.testing.assert_allclose(d.compute(c)[0], expected, rtol=1e-11)
    for check in (check_float32, check_vjp, check_jvp, check_adjoint, check_jacobian):
        check(d, c, rng)


def test_many_neighbors_without_a_partner():
    """193 C where the function is not 0, and Si only before and behind its interval."""
    rng = np.random.default_rng(1)
    directions = rng.standard_normal((415, 3))
    r = np.concatenate([rng.uniform(3, 4, 193), np.full(5, 2.0), rng.uniform(5, 6, 217)])
    positions = np.vstack(
        [np.zeros(3), directions * (r / np.linalg.norm(directions, axis=1))[:, None]]
    )
    is_carbon = np.arange(416) < 194
    is_carbon[0] = False
    c = tm.Configuration(
        positions,
        is_carbon.astype(int),
        np.arange(416) == 0,
        [0],
        [0, 415],
        np.arange(1, 416),
        species_names=["Si", "C"],
    )
    radial = CompactFunction("c2", ("Si",), (-6.0, 6.0))
    angular = [
        CompactFunction("c5", ("C", "Si"), (2.5, 4.5), (0.0, angle), core)
        for angle in (90.0, 180.0)
        for core in CORES
    ]
    d = tm.ElementSymmetryFunctions({"Si": [radial, *angular], "C": []})
    values = d.compute(c)
    assert values[0, 0] > 1
    assert (values[0, 1:] == 0).all()
    alone = tm.ElementSymmetryFunctions({"Si": [radial], "C": []})
    np.testing.assert_allclose(
        d.vjp(c, np.ones((1, d.width))), alone.vjp(c, np.ones((1, 1))), rtol=1e-14, atol=1e-15
    )


# What n2p2 (master of 2024) gives for the first of the atoms O H H O.
POSITIONS = [[0, 0, 0], [1.8, 0.1, 0.2], [-0.4, 1.7, -0.3], [2.0, 2.1, 3.3]]
LINES = [
    "O 20 H -6 6",
    "O 21 H H -6 6 0 180",
    "O 22 H H -6 6 20 140",
    "O 23 0 7",
    "O 24 0.5 6 -180 180",
    "O 25 0 6.5 30 170",
]
N2P2 = {
    "p1": [
        1.5709408673841536,
        0.330476702813573,
        0.44395685295095305,
        7.7397149942095833,
        2.6312858124003018,
        3.786347055409224,
    ],
    "p2a": [
        0.9687574522323954,
        0.034843166208921819,
        0.17974393523310211,
        5.0488832366241834,
        0.12226318452165783,
        0.51981701759698384,
    ],
    "p3": [
        1.7508873158507754,
        0.44569001965058602,
        0.6144764659685733,
        8.4500024707432786,
        3.2113110765951678,
        4.4690795535032599,
    ],
    "p4a": [
        0.95900958128751157,
        0.020094128682564532,
        0.19070711026954457,
        5.1794746097971149,
        0.038849785299279051,
        0.27232074900691455,
    ],
    "e": [
        1.8131786231834313,
        0.61817887715146391,
        0.71545439618554085,
        8.9253123046637555,
        7.0519310898046577,
        8.1532606587588745,
    ],
}


@pytest.mark.parametrize("core", N2P2)
def test_all_types_of_n2p2(core, tmp_path):
    text = "".join(f"symfunction_short {line} {core}\n" for line in LINES)
    (tmp_path / "input.nn").write_text("elements O H\n" + text)
    d = tm.read_n2p2(tmp_path / "input.nn", length_unit="Angstrom")
    c = tm.Configuration.from_atoms(Atoms("OHHO", positions=POSITIONS), d.cutoff, d.species)
    rtol = 1e-12 if core == "p4a" else 1e-13  # terms of n2p2's polynomial reach 540
    np.testing.assert_allclose(d.compute(c)[0], N2P2[core], rtol=rtol)


@pytest.mark.parametrize("structure", ["own_molecule", "own_dimer"])
def test_values_are_those_of_n2p2(shared_data, structure):
    """Types 20 and 22 of a published potential, 184 functions for each element."""
    folder = shared_data / "n2p2" / "Ethylbenzene_SCAN"
    d = tm.read_n2p2(folder / "input.nn", length_unit="Bohr")
    with np.load(folder / "values.npz") as arrays:
        symbols, positions, expected = (
            arrays[f"{structure}/{name}"] for name in ("symbols", "positions", "G")
        )
    atoms = Atoms(symbols.tolist(), positions=positions * 0.529177210903)
    values = d.compute(tm.Configuration.from_atoms(atoms, d.cutoff, d.species))
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
