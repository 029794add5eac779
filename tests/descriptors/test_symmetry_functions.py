"""SymmetryFunctions: the kit, an independent reference, settings, species modes."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from descriptors.kit import STRUCTURES, DescriptorKit, silicon_carbide
from descriptors.symmetry_functions_reference import symmetry_functions

import torchml_core as tm

ALL_TYPES = [
    ("g4", [[1, -1, 0.01], [3.5, 1, 0.03], [16, -1, 0.05], [2, 1, 0.03], [2, 0.7, 0.0]]),
    ("g1", []),
    ("g3", [[0.8], [2.1]]),
    ("g5", [[1, 1, 0.02], [2, -1, 0.04], [6.25, 0.5, 0.01]]),
    ("g2", [[0.2, 0.0], [0.9, 1.8], [0.0, 0.0]]),
]
PAIRS = {("C", "C"): 3.0, ("Si", "C"): 3.8, ("Si", "Si"): 4.3}
MEAN = np.linspace(-1, 2, 14)
STD = np.linspace(0.3, 4, 14)

SETTINGS = {
    "pooled": {},
    "resolved": {"species_mode": "resolved"},
    "resolved polynomial": {"species_mode": "resolved", "cutoff_function": "poly2"},
    "normalized": {"mean": MEAN, "std": STD},
}


def make(name, cutoff=PAIRS):
    return tm.SymmetryFunctions(["Si", "C"], cutoff, ALL_TYPES, **SETTINGS[name])


class TestKit(DescriptorKit):
    @pytest.fixture(params=SETTINGS)
    def descriptor(self, request):
        return make(request.param)


def reference(d, c, positions=None):
    """The slow program's values for a descriptor and a configuration."""
    cutoffs = d.cutoffs | {(b, a): rc for (a, b), rc in d.cutoffs.items()}
    rows = [c.neighbors[c.offsets[k] : c.offsets[k + 1]] for k in range(c.n_centers)]
    values = symmetry_functions(
        d.species,
        cutoffs,
        d.functions,
        [c.species_names[code] for code in c.species],
        c.positions if positions is None else positions,
        c.centers,
        rows,
        d.species_mode,
        d.cutoff_function,
    )
    return values if d.mean is None else (values - (d.mean if positions is None else 0)) / d.std


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", SETTINGS)
def test_equal_to_the_reference(name, structure):
    d = make(name)
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff)
    values, expected = d.compute(c), reference(d, c)
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", SETTINGS)
def test_tangent_equal_to_the_reference(name, structure):
    """By a complex step through the reference: exact but for rounding."""
    d = make(name)
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff)
    direction = np.random.default_rng(2).standard_normal(c.positions.shape)
    expected = reference(d, c, c.positions + 1e-30j * direction).imag / 1e-30
    scale = np.abs(expected).max()
    np.testing.assert_allclose(d.jvp(c, direction), expected, rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("kind", ["cos", "poly1", "poly2", "poly3"])
def test_cutoff_functions_equal_to_the_reference(kind):
    d = tm.SymmetryFunctions(["C", "Si"], 4.0, ALL_TYPES, cutoff_function=kind)
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.0)
    expected = reference(d, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=1e-12, atol=1e-12)


def test_one_cutoff_is_that_cutoff_for_every_pair():
    every = {("Si", "Si"): 4.0, ("C", "Si"): 4.0, ("C", "C"): 4.0}
    assert make("pooled", 4.0) == make("pooled", every)


def test_pooled_is_the_sum_of_resolved():
    pooled, resolved = make("pooled"), make("resolved")
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.3)
    values, expected = resolved.compute(c), []
    first = 0
    for type, rows in ALL_TYPES:
        n_rows, n_channels = len(rows) or 1, 2 if type in ("g1", "g2", "g3") else 3
        block = values[:, first : first + n_rows * n_channels]
        expected.append(block.reshape(-1, n_channels, n_rows).sum(1))
        first += n_rows * n_channels
    np.testing.assert_allclose(pooled.compute(c), np.hstack(expected), rtol=1e-12)


def test_pooled_with_one_cutoff_is_blind_to_species():
    d = make("pooled", 4.0)
    atoms = silicon_carbide()
    blind = atoms.copy()
    blind.symbols = "Si" * len(atoms)
    np.testing.assert_array_equal(
        d.compute(tm.Configuration.from_atoms(atoms, 4.0)),
        d.compute(tm.Configuration.from_atoms(blind, 4.0)),
    )


def test_labels():
    assert make("pooled").labels == [
        "g4(zeta=1, lambda=-1, eta=0.01)",
        "g4(zeta=3.5, lambda=1, eta=0.03)",
        "g4(zeta=16, lambda=-1, eta=0.05)",
        "g4(zeta=2, lambda=1, eta=0.03)",
        "g4(zeta=2, lambda=0.7, eta=0)",
        "g1",
        "g3(kappa=0.8)",
        "g3(kappa=2.1)",
        "g5(zeta=1, lambda=1, eta=0.02)",
        "g5(zeta=2, lambda=-1, eta=0.04)",
        "g5(zeta=6.25, lambda=0.5, eta=0.01)",
        "g2(eta=0.2, Rs=0)",
        "g2(eta=0.9, Rs=1.8)",
        "g2(eta=0, Rs=0)",
    ]
    d = tm.SymmetryFunctions(
        ["Si", "C"],
        4.0,
        [("g2", [[0.1, 0], [0.2, 0]]), ("g5", [[1, 1, 0]]), ("g1", [])],
        species_mode="resolved",
    )
    assert d.labels == [
        "g2[Si](eta=0.1, Rs=0)",
        "g2[Si](eta=0.2, Rs=0)",
        "g2[C](eta=0.1, Rs=0)",
        "g2[C](eta=0.2, Rs=0)",
        "g5[Si-Si](zeta=1, lambda=1, eta=0)",
        "g5[Si-C](zeta=1, lambda=1, eta=0)",
        "g5[C-C](zeta=1, lambda=1, eta=0)",
        "g1[Si]",
        "g1[C]",
    ]


def test_labels_tell_the_truth():
    """A lone pair or triplet lights up its own species' components only."""
    d = tm.SymmetryFunctions(
        ["Si", "C"], 4.0, [("g1", []), ("g5", [[1, 1, 0]])], species_mode="resolved"
    )
    right_angle = [[0, 0, 0], [1.5, 0, 0], [0, 1.5, 0]]
    for a, b in itertools.product(["Si", "C"], repeat=2):
        c = tm.Configuration.from_atoms(Atoms(["Si", a, b], positions=right_angle), 4.0)
        lit = {label for label, x in zip(d.labels, d.compute(c)[0], strict=True) if x}
        pair = "Si-C" if {a, b} == {"Si", "C"} else f"{a}-{a}"
        assert lit == {f"g1[{a}]", f"g1[{b}]", f"g5[{pair}](zeta=1, lambda=1, eta=0)"}


def test_normalization():
    plain, scaled = make("pooled"), make("normalized")
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.3)
    weights = np.random.default_rng(0).standard_normal((c.n_centers, 14))
    direction = np.random.default_rng(1).standard_normal(c.positions.shape)
    np.testing.assert_allclose(scaled.compute(c), (plain.compute(c) - MEAN) / STD, rtol=1e-13)
    np.testing.assert_allclose(scaled.vjp(c, weights), plain.vjp(c, weights / STD), rtol=1e-13)
    np.testing.assert_allclose(scaled.jvp(c, direction), plain.jvp(c, direction) / STD, rtol=1e-13)
    np.testing.assert_allclose(
        scaled.jacobian(c).values, plain.jacobian(c).values / STD, rtol=1e-13
    )


def test_normalization_that_changes_nothing_is_none():
    one = make("pooled")
    other = tm.SymmetryFunctions(["Si", "C"], PAIRS, ALL_TYPES, mean=0.0, std=np.ones(14))
    assert one == other
    assert other.mean is None
    assert other.std is None


def test_equality_sees_every_setting():
    same = [make("pooled"), make("pooled")]
    assert same[0] == same[1]
    assert hash(same[0]) == hash(same[1])
    different = [make(name) for name in SETTINGS]
    different += [
        make("pooled", 4.0),
        tm.SymmetryFunctions(["C", "Si"], PAIRS, ALL_TYPES),
        tm.SymmetryFunctions(["Si", "C"], PAIRS, ALL_TYPES[1:]),
    ]
    for a, b in itertools.combinations(different, 2):
        assert a != b


def test_repr_can_be_evaluated_when_short():
    for d in (
        tm.SymmetryFunctions(["Si"], 5.0, [("g2", [[0.1, 1.0]])]),
        tm.SymmetryFunctions(["Si"], 5, [("g1", [])], mean=[0.5], std=[2.0]),
        tm.SymmetryFunctions(
            ["Si", "C"],
            PAIRS,
            [("g3", [[1.0]])],
            species_mode="resolved",
            cutoff_function="poly1",
        ),
    ):
        assert eval(repr(d), {"SymmetryFunctions": tm.SymmetryFunctions}) == d
    assert repr(make("resolved")) == (
        "<SymmetryFunctions of Si C (resolved), cutoff 4.3 (cos): 5 g4, 1 g1, 2 g3, 3 g5, 3 g2;"
        " width 36>"
    )


def test_many_neighbors():
    """No fixed buffers: 1500 neighbors, among them far more than a hundred in the cutoff."""
    rng = np.random.default_rng(0)
    positions = np.vstack([[0, 0, 0], rng.uniform(-4, 4, (1500, 3))])
    contributing = np.arange(1501) == 0
    c = tm.Configuration(
        positions,
        np.zeros(1501, dtype=int),
        contributing,
        [0],
        [0, 1500],
        np.arange(1, 1501),
        species_names=["Si"],
    )
    d = tm.SymmetryFunctions(["Si"], 4.0, [("g1", []), ("g2", [[0.2, 1.0]])])
    assert (np.linalg.norm(positions, axis=1) < 4).sum() > 500
    np.testing.assert_allclose(d.compute(c), reference(d, c), rtol=1e-12)


GOOD = {"species": ["Si", "C"], "cutoff": 4.0, "functions": [("g2", [[0.1, 0.0]])]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"species": []}, "species"),
        ({"species": ["Si", "Si"]}, "species"),
        ({"cutoff": 0.0}, r"cutoff = 0.0: more than 0"),
        ({"cutoff": -1}, r"cutoff = -1: more than 0"),
        ({"cutoff": np.inf}, r"cutoff = inf: a finite number"),
        ({"cutoff": np.nan}, r"cutoff = nan: a finite number"),
        ({"cutoff": "4.0"}, r"cutoff = '4.0': a finite number"),
        ({"cutoff": None}, r"cutoff = None: a finite number"),
        ({"cutoff": {("Si", "Si"): 4.0, ("C", "C"): 3.0}}, r"the pair \('Si', 'C'\) has none"),
        ({"cutoff": {("Si", "O"): 4.0}}, r"\('Si', 'O'\) is no pair"),
        ({"cutoff": {"Si": 4.0}}, r"'Si' is no pair"),
        ({"cutoff": {("Si", "C"): 4.0, ("C", "Si"): 3.9}}, r"\('Si', 'C'\) has two, 4 and 3.9"),
        ({"cutoff": {("Si", "C"): -4.0}}, r"cutoff\[\('Si', 'C'\)\] = -4.0: more than 0"),
        ({"functions": []}, "functions: empty"),
        ({"functions": "g2"}, "functions: a list like"),
        ({"functions": None}, "functions: a list like"),
        ({"functions": [("g6", [[1]])]}, "type = 'g6'"),
        ({"functions": [("g2", [])]}, r"g2 has no rows; \[eta, Rs\]"),
        ({"functions": [("g2", [0.1, 0.2])]}, "g2: a list of rows"),
        ({"functions": [("g2", None)]}, "g2: a list of rows"),
        ({"functions": [("g2", [[0.1]])]}, r"g2 row 0: \[0.1\] where \[eta, Rs\]"),
        ({"functions": [("g2", [[0.1, 0], [np.nan, 0]])]}, "g2 row 1: eta = nan"),
        ({"functions": [("g2", [[-0.1, 0]])]}, "g2 row 0: eta = -0.1: at least 0"),
        ({"functions": [("g4", [[0, 1, 0.1]])]}, "g4 row 0: zeta = 0: more than 0"),
        ({"functions": [("g5", [[300, 9, 0.1]])]}, "overflows"),
        ({"functions": [("g1", [[0.0]])]}, "g1 has no parameters"),
        ({"functions": [("g3", [[1]]), ("g3", [[2]])]}, "g3 stands there twice"),
        ({"species_mode": "both"}, "species_mode = 'both'"),
        ({"mean": [1.0, 2.0]}, r"mean has shape \(2,\); one number or \(1,\)"),
        ({"mean": np.nan}, "mean has nan"),
        ({"std": 0.0}, r"std\[0\] = 0: more than 0"),
        ({"std": [-1.0]}, r"std\[0\] = -1"),
        ({"std": "wide"}, "std: numbers are needed"),
    ],
)
def test_wrong_settings_are_named(changed, message):
    with pytest.raises(tm.InputError, match=message):
        tm.SymmetryFunctions(**GOOD | changed)
