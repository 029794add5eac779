"""Bispectrum: values, derivatives, settings."""

import numpy as np
import pytest
from ase import Atoms
from descriptors.bispectrum_reference import bispectrum, reference
from descriptors.kit import ArgumentsKit, SettingsKit, cluster, silicon_carbide

import torchml_core as tm
from torchml_core.descriptors.bispectrum import coupling
from torchml_core.testing import check_rotation

CUTOFFS = {("Si", "Si"): 4.0, ("C", "Si"): 3.5, ("C", "C"): 3.2}
INNER = {"Si": (1.8, 0.6), "C": (1.4, 0.5)}
SETTINGS = {
    "plain": {},
    "weights": {"rmin0": 0.3, "rfac0": 0.9, "weights": {"Si": 1.3, "C": -0.5}},
    "no switch": {"switch": False, "diagonal_style": 0, "subtract_isolated": True},
    "inner switch": {"diagonal_style": 1, "inner_switch": INNER},
    "diagonal": {"diagonal_style": 2, "subtract_isolated": True, "normalize": True},
    "chemical": {"chemical": True, "subtract_isolated": True, "weights": [1.0, 0.5]},
    "chemical, self in all": {
        "chemical": True, "self_in_all": True, "normalize": True, "subtract_isolated": True,
    },
}  # fmt: skip


def make(twojmax, name="plain", **settings):
    return tm.Bispectrum(["Si", "C"], CUTOFFS, twojmax, **{**SETTINGS[name], **settings})


class TestSettings(SettingsKit):
    @pytest.fixture(params=SETTINGS)
    def descriptor(self, request):
        return make(3 if "chemical" in request.param else 4, request.param)


class TestArguments(ArgumentsKit):
    @pytest.fixture
    def descriptor(self):
        return make(3)


# ---- values


@pytest.mark.parametrize(
    "twojmax", [2, 5, *(pytest.param(j, marks=pytest.mark.slow) for j in (0, 1))]
)
@pytest.mark.parametrize("name", SETTINGS)
def test_equal_to_the_reference(name, twojmax):
    descriptor = make(twojmax, name)
    atoms = silicon_carbide()
    c = tm.Configuration.from_atoms(atoms, descriptor.cutoff, ["C", "Si"])
    rows = [1, 6]  # a carbon and a silicon atom; the reference is slow
    expected = reference(descriptor, c, rows)
    largest = np.abs(expected).max()
    assert np.abs(descriptor.compute(c)[rows] - expected).max() <= 1e-13 * largest
    single = descriptor.compute(c, dtype=np.float32)[rows]
    assert np.abs(single - expected).max() <= 2e-6 * largest


@pytest.mark.parametrize("twojmax", [8, pytest.param(14, marks=pytest.mark.slow)])
@pytest.mark.parametrize("diagonal_style", [0, 3])
def test_large_angular_momenta(twojmax, diagonal_style):
    rng = np.random.default_rng(twojmax)
    atoms = Atoms("Si4", np.vstack([np.zeros(3), rng.uniform(-1.8, 1.8, (3, 3))]))
    d = tm.Bispectrum(["Si"], 4.0, twojmax, diagonal_style=diagonal_style)
    c = tm.Configuration.from_atoms(atoms, d.cutoff)
    expected = bispectrum(d, "Si", [("Si", r) for r in atoms.positions[1:]])
    found = d.compute(c)[0]
    assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()
    weights = rng.standard_normal((4, d.width))
    single = d.vjp(c, weights.astype(np.float32))
    gradient = d.vjp(c, weights)
    assert np.abs(single - gradient).max() <= 2e-5 * np.abs(gradient).max()


@pytest.mark.parametrize("name", SETTINGS)
def test_isolated_atom(name):
    """j + 1, or 1 if normalized; 0 where that is subtracted."""
    d = make(4, name)
    c = tm.Configuration.from_atoms(Atoms("C"), d.cutoff)
    values = d.compute(c)[0]
    if d.subtract_isolated:
        np.testing.assert_allclose(values, 0, atol=1e-14)
    else:
        expected = [(j + 1) * (1 - (j1 + j2 + j) % 2) for j1, j2, j in d.components]
        np.testing.assert_allclose(values, expected, rtol=1e-14)


@pytest.mark.parametrize("name", ["plain", "inner switch", "chemical"])
def test_rotations(name):
    rng = np.random.default_rng(1)
    d = make(8, name)
    c = tm.Configuration.from_atoms(cluster(), d.cutoff)
    check_rotation(d, c, rng)
    rotation = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation))
    atoms = cluster()
    atoms.positions = atoms.positions @ rotation.T
    turned = d.compute(tm.Configuration.from_atoms(atoms, d.cutoff))
    values = d.compute(c)
    assert np.abs(turned - values).max() <= 1e-12 * np.abs(values).max()


def test_rows_do_not_depend_on_the_lanes_they_share():
    """To the last bit, however many rows there are and whatever their neighbors."""
    d = make(5)
    rng = np.random.default_rng(4)
    atoms = Atoms("Si40", rng.uniform(0, 9, (40, 3)))
    c = tm.Configuration.from_atoms(atoms, d.cutoff)
    assert len(set(np.diff(c.offsets))) > 3
    values = {dtype: d.compute(c, dtype=dtype) for dtype in (np.float64, np.float32)}
    weights = rng.standard_normal(values[np.float64].shape)
    pairs = d.pair_gradients(c, weights)
    for rows in ([7], [0, 39, 3], rng.permutation(40)[:21]):
        lists = [c.neighbors[c.offsets[row] : c.offsets[row + 1]] for row in rows]
        contributing = np.isin(np.arange(40), rows)
        part = tm.Configuration(
            c.positions, c.species, contributing, rows,
            np.concatenate([[0], np.cumsum([len(row) for row in lists])]), np.concatenate(lists),
            species_names=c.species_names,
        )  # fmt: skip
        for dtype, all_rows in values.items():
            np.testing.assert_array_equal(d.compute(part, dtype=dtype), all_rows[rows])
        expected = np.concatenate([pairs[c.offsets[row] : c.offsets[row + 1]] for row in rows])
        np.testing.assert_array_equal(d.pair_gradients(part, weights[rows]), expected)


# ---- special places


def neighbor_at(r, **settings):
    d = tm.Bispectrum(["Si"], 4.0, 5, **settings)
    positions = np.array([[0.0, 0, 0], r, [0.9, 1.1, -1.3]])
    return d, tm.Configuration.from_atoms(Atoms("Si3", positions), d.cutoff)


@pytest.mark.parametrize("r", [(0, 0, 2.0), (0, 0, -2.0), (2.0, 0, 0), (0, -2.0, 0)])
def test_neighbor_on_an_axis(r):
    """Nothing special happens there: values, and derivatives along a line through the axis."""
    d, c = neighbor_at(r)
    expected = bispectrum(d, "Si", [("Si", np.array(r)), ("Si", c.positions[2])])
    np.testing.assert_allclose(d.compute(c)[0], expected, rtol=1e-12)
    check_finite_differences(d, c)


@pytest.mark.parametrize("switch", [True, False])
def test_neighbor_at_the_antipode(switch):
    """rfac0 = 1, where the rotation at the cutoff is by 2π: U_j = (-1)^j."""
    d, c = neighbor_at((0, 0, 4.0), switch=switch, rfac0=1)
    only = tm.Configuration.from_atoms(Atoms("Si2", [[0, 0, 0], [0, 0, 4.0]]), d.cutoff)
    weight = 0.0 if switch else 1.0
    expected = [
        (j + 1) * np.prod([1 + weight * (-1) ** k for k in (j1, j2, j)])
        for j1, j2, j in d.components
    ]
    np.testing.assert_allclose(d.compute(only)[0], expected, atol=1e-13)
    everywhere_finite(d, c)


def test_neighbor_at_rmin0():
    """The limit from above: U_j = 1. (LAMMPS divides by zero there.)"""
    d, c = neighbor_at((0, 0, 1.5), rmin0=1.5)
    only = tm.Configuration.from_atoms(Atoms("Si2", [[0, 0, 0], [1.5, 0, 0]]), d.cutoff)
    np.testing.assert_allclose(d.compute(only)[0], [8 * (j + 1) for _, _, j in d.components])
    everywhere_finite(d, c)


def test_neighbor_below_rmin0():
    """The square root of the definition is positive, so a and b change sign there."""
    d, c = neighbor_at((0.3, -0.8, 0.5), rmin0=1.5)
    neighbors = [("Si", c.positions[k] - c.positions[0]) for k in (1, 2)]
    np.testing.assert_allclose(d.compute(c)[0], bispectrum(d, "Si", neighbors), rtol=1e-12)
    check_finite_differences(d, c)


@pytest.mark.parametrize("distance", [1e-8, 1e-3])
def test_neighbor_very_near(distance):
    everywhere_finite(*neighbor_at((0, 0, distance)))
    everywhere_finite(*neighbor_at((distance, 0, distance), inner_switch={"Si": (1.0, 0.2)}))


def everywhere_finite(d, c):
    rng = np.random.default_rng(0)
    for dtype in (np.float64, np.float32):
        assert np.isfinite(d.compute(c, dtype=dtype)).all()
        weights = rng.standard_normal((c.n_centers, d.width)).astype(dtype)
        assert np.isfinite(d.vjp(c, weights)).all()
        assert np.isfinite(d.jvp(c, rng.standard_normal(c.positions.shape).astype(dtype))).all()
        assert np.isfinite(d.jacobian(c, dtype=dtype).values).all()


def check_finite_differences(d, c):
    rng = np.random.default_rng(0)
    direction, step = rng.standard_normal(c.positions.shape), 1e-4
    weights = rng.standard_normal((c.n_centers, d.width))

    def energy(k):
        moved = tm.Configuration(
            c.positions + k * step * direction, c.species, c.contributing, c.centers, c.offsets,
            c.neighbors, species_names=c.species_names,
        )  # fmt: skip
        return np.sum(weights * d.compute(moved))

    found = (8 * (energy(1) - energy(-1)) - (energy(2) - energy(-2))) / (12 * step)
    expected = np.sum(d.vjp(c, weights) * direction)
    assert found == pytest.approx(expected, rel=1e-9)
    assert np.sum(d.jvp(c, direction) * weights) == pytest.approx(expected, rel=1e-12)


# ---- settings


@pytest.mark.parametrize(
    ("twojmax", "style", "width"),
    [(8, 3, 55), (6, 0, 64), (6, 1, 22), (6, 2, 7), (6, 3, 30), (0, 3, 1), (14, 3, 204)],
)
def test_widths(twojmax, style, width):
    d = tm.Bispectrum(["Si"], 5.0, twojmax, diagonal_style=style)
    assert d.width == len(d.labels) == width
    chemical = tm.Bispectrum(["Si", "C"], 5.0, twojmax, diagonal_style=style, chemical=True)
    assert chemical.width == 8 * width


def test_labels():
    assert tm.Bispectrum(["Si"], 5.0, 2).labels == [
        "B(0, 0, 0)", "B(1, 0, 1)", "B(1, 1, 2)", "B(2, 0, 2)", "B(2, 2, 2)",
    ]  # fmt: skip
    labels = tm.Bispectrum(["In", "P"], 5.0, 1, chemical=True).labels
    assert labels[:3] == ["B[In-In-In](0, 0, 0)", "B[In-In-In](1, 0, 1)", "B[In-In-P](0, 0, 0)"]


def test_lammps_cutoffs():
    cutoffs = tm.Bispectrum.lammps_cutoffs(1.0, {"In": 3.81205, "P": 3.82945})
    assert cutoffs == {("In", "In"): 7.6241, ("In", "P"): 3.81205 + 3.82945, ("P", "P"): 7.6589}
    assert tm.Bispectrum(["In", "P"], cutoffs, 6).cutoff == 7.6589
    with pytest.raises(tm.InputError, match=r"radii\['In'\] = -1"):
        tm.Bispectrum.lammps_cutoffs(1.0, {"In": -1})
    with pytest.raises(tm.InputError, match="rcutfac = 0"):
        tm.Bispectrum.lammps_cutoffs(0, {"In": 1})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"twojmax": 15}, "twojmax = 15: a whole number from 0 to 14 is needed"),
        ({"twojmax": 3.5}, "twojmax = 3.5"),
        ({"rfac0": 0}, "rfac0 = 0: a positive"),
        ({"rfac0": 1.1}, "rfac0 = 1.1: a number above 0 and up to 1 is needed"),
        ({"rmin0": -0.1}, "rmin0 = -0.1"),
        ({"rmin0": 3.2}, "rmin0 = 3.2: a distance below the smallest cutoff, 3.2, is needed"),
        ({"diagonal_style": 4}, "diagonal_style = 4: one of 0, 1, 2, 3 is needed"),
        ({"switch": "no"}, "switch = 'no'"),
        ({"weights": {"Si": 1}}, "weights = {'Si': 1}: a weight of each"),
        ({"weights": [1, np.nan]}, r"weights\[1\] = nan"),
        ({"weights": [1]}, "weights = .1.: one number for each of 2 species is needed"),
        ({"inner_switch": {"Si": (1, 1)}}, "inner_switch = .*of each of"),
        ({"inner_switch": {"Si": (1, 1), "C": (1, 0)}}, r"inner_switch\['C'\] = 0"),
        ({"inner_switch": {"Si": (1, 1), "C": 1}}, r"inner_switch\['C'\] = 1: \(sinner, dinner\)"),
        ({"cutoff": {("Si", "Si"): 4}}, r"cutoff for the pair \('Si', 'C'\) is needed"),
        ({"chemical": 2}, "chemical = 2"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(tm.InputError, match=message):
        tm.Bispectrum(**{"species": ["Si", "C"], "cutoff": CUTOFFS, "twojmax": 4, **settings})


def test_too_many_values():
    species = [f"X{k}" for k in range(30)]
    with pytest.raises(tm.InputError, match="species and twojmax give 1485000 values per atom"):
        tm.Bispectrum(species, 4.0, 8, chemical=True)
    assert tm.Bispectrum(species, 4.0, 8).width == 55


@pytest.mark.parametrize(("twojmax", "most"), [(6, 10_100), (8, 44_800)])
def test_lists_are_short(twojmax, most):
    """Multiply-adds of the values: 30 % more with the smallest angular momenta as outputs."""
    d = tm.Bispectrum(["Si"], 4.0, twojmax)
    triples = tuple(sorted({tuple(sorted(c)) for c in d.components}))
    heads = coupling.make_lists(twojmax, triples, True).heads
    assert np.sum(heads[:, :3].sum(axis=1) * (4 + 2 * heads[:, 3])) <= most


# ---- files


@pytest.mark.parametrize("name", ["plain", "weights", "no switch"])
@pytest.mark.parametrize("twojmax", [4, 7])
def test_file_round_trip(tmp_path, name, twojmax):
    d = make(twojmax, name)
    d.to_file(tmp_path / "bispectrum.dat")
    assert tm.read_descriptor(tmp_path / "bispectrum.dat", "bispectrum", ["C", "Si"]) == d


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inner_switch": INNER}, "inner_switch = .*cannot store it"),
        ({"chemical": True}, "chemical = True: the .dat format cannot store it"),
        ({"normalize": True}, "normalize = True"),
    ],
)
def test_what_the_file_cannot_store(tmp_path, settings, message):
    with pytest.raises(tm.UnsupportedError, match=message):
        make(2, **settings).to_file(tmp_path / "bispectrum.dat")


FILE = """cos
1
Si Si 4.0
{jmax}
0.99363
3
0.0
{switch}
0   # bzero_flag
{weights}
"""


@pytest.mark.parametrize(("jmax", "twojmax"), [("3", 6), ("3.0", 6), ("3.5", 7), ("jmax 2", 4)])
@pytest.mark.parametrize(("switch", "on"), [("1", True), ("switch_flag 0", False), ("TRUE", True)])
def test_what_occurs_in_files(tmp_path, jmax, twojmax, switch, on):
    path = tmp_path / "bispectrum.dat"
    path.write_text(FILE.format(jmax=jmax, switch=switch, weights="1.0 # weights"))
    d = tm.read_descriptor(path, "Bispectrum")
    assert d == tm.Bispectrum(["Si"], 4.0, twojmax, switch=on)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"jmax": "3.25"}, ":4: jmax 3.25: a whole or half-integer number is needed"),
        ({"jmax": "7.5"}, "twojmax = 15"),
        ({"switch": "2"}, ":8: switch_flag 2: 0 or 1 is needed"),
        ({"switch": "maybe"}, ":8: switch_flag: 1 numbers are needed"),
        ({"weights": "1.0 2.0"}, ":10: the weights of the species: 1 numbers are needed"),
        ({"weights": ""}, "the file ends where the weights of the species should follow"),
    ],
)
def test_faulty_files(tmp_path, changes, message):
    path = tmp_path / "bispectrum.dat"
    path.write_text(FILE.format(**{"jmax": "3", "switch": "1", "weights": "1.0", **changes}))
    with pytest.raises(tm.FileFormatError, match=message):
        tm.read_descriptor(path, "Bispectrum")
