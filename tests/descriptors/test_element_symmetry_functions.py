"""ElementSymmetryFunctions: the kit, an independent reference, settings."""

import numpy as np
import pytest
from descriptors.kit import STRUCTURES, ArgumentsKit, SettingsKit
from descriptors.symmetry_functions_reference import element_functions

import torchml_core as tm
from torchml_core.descriptors.symmetry_functions import CompactFunction, Function

FUNCTIONS = {
    "Si": [
        Function("g2", ("C",), 4.0, 0.1),
        Function("g4", ("C", "Si"), 4.0, 0.05, zeta=4.0, lam=-1.0),
        Function("g4", ("Si", "Si"), 4.0, 0.05, zeta=4.0, lam=-1.0),
        Function("g4", ("Si", "C"), 3.5, 0.02, shift=0.6, zeta=1.0, lam=1.0),
        Function("g5", ("C", "C"), 4.2, 0.1, shift=1.1, zeta=2.5, lam=1.0),
        Function("g5", ("C", "C"), 4.2, 0.1, shift=1.1, zeta=2.5, lam=1.0),
        Function("g2", ("Si",), 3.1, 0.4, shift=1.5),
        Function("g4", None, 4.0, 0.05, zeta=2.0, lam=1.0),
    ],
    "C": [
        Function("g2", None, 4.2, 0.2, shift=0.4),
        Function("g5", None, 3.9, 0.03, zeta=16.0, lam=-1.0),
        Function("g4", ("Si", "Si"), 4.0, 0.05, zeta=4.0, lam=-1.0),
    ],
}
SETTINGS = {
    "cos": {},
    "poly2": {"cutoff_function": "poly2"},
    "inner": {"cutoff_function": "poly1", "inner": 0.35},
    "inner cos": {"inner": 0.2},
    "tanh3": {"cutoff_function": "tanh3"},
    "tanh3_normalized": {"cutoff_function": "tanh3_normalized"},
    "exp": {"cutoff_function": "exp", "inner": 0.1},
    "poly4": {"cutoff_function": "poly4"},
    "hard": {"cutoff_function": "hard"},
}


class TestSettings(SettingsKit):
    @pytest.fixture(params=["cos", "inner"])
    def descriptor(self, request):
        return tm.ElementSymmetryFunctions(FUNCTIONS, **SETTINGS[request.param])


class TestArguments(ArgumentsKit):
    @pytest.fixture
    def descriptor(self):
        return tm.ElementSymmetryFunctions(FUNCTIONS)


def reference(d, c, positions):
    rows = [c.neighbors[c.offsets[k] : c.offsets[k + 1]] for k in range(c.n_centers)]
    names = [c.species_names[code] for code in c.species]
    numbers = {"Si": 14, "C": 6}
    return element_functions(
        d.functions, d.cutoff_function, d.inner, numbers, names, positions, c.centers, rows
    )


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", SETTINGS)
def test_values_and_tangent_equal_to_the_reference(name, structure):
    d = tm.ElementSymmetryFunctions(FUNCTIONS, **SETTINGS[name])
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff)
    expected = reference(d, c, c.positions)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(d.compute(c), expected, rtol=1e-12, atol=1e-13 * scale)
    direction = np.random.default_rng(2).standard_normal(c.positions.shape)
    tangent = reference(d, c, c.positions + 1e-30j * direction).imag / 1e-30
    scale = np.abs(tangent).max()
    np.testing.assert_allclose(d.jvp(c, direction), tangent, rtol=1e-10, atol=1e-12 * scale)


def test_widths_and_labels():
    d = tm.ElementSymmetryFunctions(FUNCTIONS)
    assert d.species == ("Si", "C")
    assert (d.widths, d.width, d.cutoff) == ({"Si": 8, "C": 3}, 8, 4.2)
    assert d.element_labels["C"] == [
        "g2[weighted](eta=0.2, Rs=0.4, cutoff=4.2)",
        "g5[weighted](zeta=16, lambda=-1, eta=0.03, Rs=0, cutoff=3.9)",
        "g4[Si-Si](zeta=4, lambda=-1, eta=0.05, Rs=0, cutoff=4)",
    ]
    assert d.labels[0] == (
        "0: Si g2[C](eta=0.1, Rs=0, cutoff=4); C g2[weighted](eta=0.2, Rs=0.4, cutoff=4.2)"
    )
    assert d.labels[7].startswith("7: Si g4[weighted]")


def test_rows_end_in_zeros_whose_gradient_counts_nothing():
    d = tm.ElementSymmetryFunctions(FUNCTIONS)
    c = tm.Configuration.from_atoms(STRUCTURES["silicon carbide"](), d.cutoff, ["Si", "C"])
    carbon = c.species[c.centers] == 1
    assert (d.compute(c)[carbon, 3:] == 0).all()
    weights = np.zeros((c.n_centers, d.width))
    weights[carbon, 3:] = 1
    assert (d.vjp(c, weights) == 0).all()


def test_an_element_without_functions():
    d = tm.ElementSymmetryFunctions({"Si": [Function("g2", ("C",), 4.0, 0.1)], "C": []})
    c = tm.Configuration.from_atoms(STRUCTURES["silicon carbide"](), d.cutoff, ["Si", "C"])
    assert (d.compute(c)[c.species[c.centers] == 1] == 0).all()
    assert (d.compute(c)[c.species[c.centers] == 0] > 0).all()


G2 = Function("g2", ("C",), 4.0, 0.1)
C2 = CompactFunction("c2", ("C",), (-4.0, 4.0), None, "poly1", True)
C5 = CompactFunction("c5", ("C", "C"), (1.0, 4.0), (60.0, 180.0))


def test_plain_lists_are_functions_too():
    """As a stored descriptor has them."""
    plain = [["g2", ["C"], 4.0, 0.1], ["c2", ["C"], [-4, 4], None, "poly1", 1]]
    d = tm.ElementSymmetryFunctions({"C": [*plain, ["c5", ["C", "C"], [1, 4], [60, 180]]]})
    assert d == tm.ElementSymmetryFunctions({"C": [G2, C2, C5]})
    assert d.cutoff == 4.0
    assert d.element_labels["C"][1:] == [
        "c2[C](R=-4..4, core=poly1 asymmetric)",
        "c5[C-C](R=1..4, angle=60..180, core=poly2)",
    ]


@pytest.mark.parametrize(
    ("functions", "settings", "message"),
    [
        ({}, {}, "functions = "),
        ({"C": []}, {}, "every list is empty"),
        ({"C": [G2]}, {"cutoff_function": "sin"}, "cutoff_function = 'sin'"),
        ({"C": [G2]}, {"inner": 1.0}, "inner = 1.0"),
        ({"C": [G2]}, {"inner": 0.1, "cutoff_function": "tanh3"}, "tanh3 has no inner cutoff"),
        ({"C": [G2._replace(type="g1")]}, {}, "C number 0: type = 'g1'"),
        ({"C": [G2, G2._replace(neighbors=("H",))]}, {}, r"C number 1: neighbors = \('H',\)"),
        ({"C": [G2._replace(neighbors=("C", "C"))]}, {}, "1 of"),
        ({"C": [G2._replace(type="g4")]}, {}, "2 of"),
        ({"C": [G2._replace(eta=-0.1)]}, {}, "eta = -0.1: zeta > 0 and eta >= 0"),
        ({"C": [G2._replace(eta=np.nan)]}, {}, "eta = nan: a finite number"),
        ({"C": [G2._replace(cutoff="4")]}, {}, "cutoff = '4'"),
        ({"C": [G2._replace(cutoff=0)]}, {}, "cutoff = 0"),
        ({"C": [G2._replace(cutoff=1e101)]}, {}, r"cutoff = 1e\+101: a length from 1e-100 to"),
        ({"C": [G2._replace(cutoff=1e-101)]}, {}, "cutoff = 1e-101: a length from 1e-100 to"),
        ({"C": [G2._replace(zeta=300, lam=9)]}, {}, "overflows"),
        ({"C": [C2._replace(core="poly5")]}, {}, "C number 0: core = 'poly5'"),
        ({"C": [C2._replace(asymmetric="a")]}, {}, "asymmetric = 'a': True or False"),
        ({"C": [C2._replace(core="exp")]}, {}, "'exp' has no asymmetric form"),
        ({"C": [C2._replace(neighbors=("C", "C"))]}, {}, "1 of"),
        ({"C": [C5._replace(neighbors=("C",))]}, {}, "2 of"),
        ({"C": [C2._replace(radial=4.0)]}, {}, "radial has shape"),
        ({"C": [C2._replace(radial=(4.0, np.inf))]}, {}, r"radial\[1\] = inf"),
        ({"C": [C2._replace(radial=(4.0, 4.0))]}, {}, r"radial = \(4.0, 4.0\): two numbers"),
        ({"C": [C2._replace(radial=(-4.0, 0.0))]}, {}, "cutoff = 0"),
        ({"C": [C2._replace(angular=(0.0, 90.0))]}, {}, "c2 has no angle"),
        ({"C": [C5._replace(angular=None)]}, {}, "angular has shape"),
        ({"C": [C5._replace(angular=(90.0, 60.0))]}, {}, "the second clearly greater"),
        ({"C": [C5._replace(angular=(-30.0, 60.0))]}, {}, "around 0 or 180"),
        ({"C": [C5._replace(angular=(90.0, 200.0))]}, {}, "around 0 or 180"),
        ({"C": [C5._replace(angular=(-181.0, 181.0))]}, {}, "around 0 or 180"),
        ({"C": [("g2",)]}, {}, "a Function or CompactFunction is needed"),
    ],
)
def test_wrong_settings_are_named(functions, settings, message):
    with pytest.raises(tm.InputError, match=message):
        tm.ElementSymmetryFunctions(functions, **settings)
