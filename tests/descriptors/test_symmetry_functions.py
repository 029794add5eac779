"""SymmetryFunctions: the kit, an independent reference, settings, species modes."""

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from descriptors.kit import STRUCTURES, ArgumentsKit, SettingsKit, silicon_carbide
from descriptors.symmetry_functions_reference import symmetry_functions

import torchml_core as tm
from torchml_core.testing import with_arrays

ALL_TYPES = [
    ("g4", [[1, -1, 0.01], [3.5, 1, 0.03], [16, -1, 0.05], [2, 1, 0.03], [2, 0.7, 0.0]]),
    ("g1", []),
    ("g3", [[0.8], [-2.1]]),
    ("g5", [[1, 1, 0.02], [2, -1, 0.04], [6.25, 0.5, 0.01]]),
    ("g2", [[0.2, -0.7], [0.9, 1.8], [0.0, 0.0]]),
]
PAIRS = {("C", "C"): 3.0, ("Si", "C"): 3.8, ("Si", "Si"): 4.3}
MEAN = np.linspace(-1, 2, 14)
STD = np.linspace(0.3, 4, 14)

SETTINGS = {
    "pooled": {},
    "resolved": {"species_mode": "resolved"},
    "resolved polynomial": {"species_mode": "resolved", "cutoff_function": "poly2"},
    "normalized": {"mean": MEAN, "std": STD},
    "weighted": {"species_mode": "weighted"},
    "weighted by hand": {
        "species_mode": "weighted",
        "weights": {"C": -0.7, "Si": 2.5},
        "cutoff_function": "tanh3",
    },
}


def make(name, cutoff=PAIRS):
    return tm.SymmetryFunctions(["Si", "C"], cutoff, ALL_TYPES, **SETTINGS[name])


class TestSettings(SettingsKit):
    @pytest.fixture(params=SETTINGS)
    def descriptor(self, request):
        return make(request.param)


class TestArguments(ArgumentsKit):
    @pytest.fixture
    def descriptor(self):
        return make("weighted")


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
        d.weights,
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


def crowd(n, seed=0):
    """One atom with n neighbors, all within its cutoffs; none of them contributes."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((n, 3))
    radii = rng.uniform(0.8, 2.9, n) / np.linalg.norm(directions, axis=1)
    return tm.Configuration(
        np.concatenate([np.zeros((1, 3)), directions * radii[:, None]]),
        np.concatenate([[0], rng.integers(0, 2, n)]),
        np.arange(n + 1) == 0,
        [0],
        [0, n],
        np.arange(1, n + 1),
        species_names=["Si", "C"],
    )


@pytest.mark.parametrize(
    ("name", "n"),
    [
        ("resolved", 64),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ("pooled", 64),
                ("weighted", 64),
                ("resolved", 170),
                ("weighted", 170),
            ]
        ),
    ],
)
def test_more_triplets_than_are_collected_at_once(name, n):
    d, c = make(name), crowd(n)
    expected = reference(d, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=1e-11, atol=1e-12 * expected.max())
    direction = np.random.default_rng(3).standard_normal(c.positions.shape)
    tangent = reference(d, c, c.positions + 1e-30j * direction).imag / 1e-30
    scale = np.abs(tangent).max()
    np.testing.assert_allclose(d.jvp(c, direction), tangent, rtol=1e-9, atol=1e-12 * scale)
    weights = np.random.default_rng(4).standard_normal(expected.shape)
    adjoint = (d.vjp(c, weights) * direction).sum()
    np.testing.assert_allclose(adjoint, (weights * tangent).sum(), rtol=1e-10)


@pytest.mark.parametrize("kind", ["cos", "poly1", "poly2", "poly3", "tanh3"])
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
        "g3(kappa=-2.1)",
        "g5(zeta=1, lambda=1, eta=0.02)",
        "g5(zeta=2, lambda=-1, eta=0.04)",
        "g5(zeta=6.25, lambda=0.5, eta=0.01)",
        "g2(eta=0.2, Rs=-0.7)",
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


def test_weights():
    numbers = make("weighted")
    assert numbers.weights == {"Si": 14.0, "C": 6.0}
    given = tm.SymmetryFunctions(
        ["Si", "C"], PAIRS, ALL_TYPES, species_mode="weighted", weights={"C": 6, "Si": 14}
    )
    assert given == numbers
    ones = tm.SymmetryFunctions(
        ["Si", "C"], PAIRS, ALL_TYPES, species_mode="weighted", weights={"C": 1, "Si": 1}
    )
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.3)
    np.testing.assert_allclose(ones.compute(c), make("pooled").compute(c), rtol=1e-13)
    assert numbers.labels[5] == "g1[weighted]"
    with pytest.raises(tm.UnsupportedError, match="'weighted'"):
        numbers.to_file("never.dat")


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
        tm.SymmetryFunctions(["Si"], 4.0, [("g1", [])], species_mode="weighted"),
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


def dense(n_neighbors, radius, seed=0):
    """One centre of many neighbors of two species, in a list."""
    rng = np.random.default_rng(seed)
    positions = np.vstack([[0, 0, 0], rng.uniform(-radius, radius, (n_neighbors, 3))])
    return tm.Configuration(
        positions,
        rng.integers(0, 2, n_neighbors + 1),
        np.arange(n_neighbors + 1) == 0,
        [0],
        [0, n_neighbors],
        np.arange(1, n_neighbors + 1),
        species_names=["Si", "C"],
    )


def vectorised_reference(d, c):
    """g4 and g5, pooled, of one centre with one cutoff: all pairs of neighbors as matrices."""
    r = c.positions[1:]
    rc = d.cutoff
    length = np.linalg.norm(r, axis=1)
    r, length = r[length < rc], length[length < rc]
    fc = (np.cos(np.pi * length / rc) + 1) / 2
    between = np.linalg.norm(r[:, None] - r, axis=2)
    fc_between = np.where(between < rc, (np.cos(np.pi * between / rc) + 1) / 2, 0)
    cosine = np.clip(r @ r.T / (length[:, None] * length), -1, 1)
    upper = np.triu(np.ones_like(cosine), 1)
    values = []
    for type, rows in d.functions:
        for zeta, lam, eta in rows:
            square = length[:, None] ** 2 + length**2
            cutoff = fc[:, None] * fc
            if type == "g4":
                square, cutoff = square + between**2, cutoff * fc_between
            base = np.maximum(1 + lam * cosine, 0)
            term = 2 ** (1 - zeta) * base**zeta * np.exp(-eta * square) * cutoff
            values.append((upper * term).sum())
    return np.array(values)


@pytest.mark.parametrize(
    "n_neighbors",
    [1, 3, 16, 17, 130, *(pytest.param(n, marks=pytest.mark.slow) for n in (2, 15, 40, 600, 2000))],
)
def test_triplets_of_many_neighbors(n_neighbors):
    """More triplets than are taken at once, more candidates than are tested at once."""
    rows = [[1, 1, 0.02], [4, -1, 0.1], [2.5, 0.5, 0.02], [16, 1, 0.0], [3, -1, 0.1]]
    d = tm.SymmetryFunctions(["Si", "C"], 4.0, [("g4", rows), ("g5", rows[:2])])
    c = dense(n_neighbors, 3.0)
    expected = vectorised_reference(d, c)
    np.testing.assert_allclose(d.compute(c)[0], expected, rtol=1e-11, atol=1e-14)


def test_derivatives_of_many_neighbors():
    """vjp, jvp and Jacobian agree, resolved, where triplets come in many portions."""
    rows = [[1, 1, 0.02], [4, -1, 0.1], [2.5, 0.5, 0.02]]
    d = tm.SymmetryFunctions(
        ["Si", "C"], PAIRS, [("g4", rows), ("g5", rows)], species_mode="resolved"
    )
    c = dense(150, 2.8)
    rng = np.random.default_rng(1)
    weights, direction = rng.standard_normal((1, d.width)), rng.standard_normal((151, 3))
    tangent = d.jvp(c, direction)
    step = 1e-5
    moved = [
        d.compute(with_arrays(c, positions=c.positions + s * step * direction)) for s in (1, -1)
    ]
    np.testing.assert_allclose((moved[0] - moved[1]) / (2 * step), tangent, rtol=1e-6)
    np.testing.assert_allclose(
        (weights * tangent).sum(), (d.vjp(c, weights) * direction).sum(), rtol=1e-11
    )
    from_blocks = np.einsum("pac,c->pa", d.jacobian(c).values, weights[0])
    gradients = d.pair_gradients(c, weights)
    np.testing.assert_allclose(
        gradients, from_blocks, rtol=1e-10, atol=1e-12 * np.abs(gradients).max()
    )


def test_a_whole_zeta_beyond_32_bits():
    """Of two neighbors in one direction: (1 + cosθ) / 2 is 1, whatever its power."""
    d = tm.SymmetryFunctions(["Si"], 4.0, [("g4", [[2.0**31, 1, 0.0]])])
    positions = [[0, 0, 0], [1, 0, 0], [2, 0, 0]]
    c = tm.Configuration.from_atoms(positions=positions, symbols=["Si"] * 3, cutoff=4.0)
    near, far = (1 + np.cos(np.pi / 4)) / 2, 0.5  # the cutoff function at 1 and 2 Å
    np.testing.assert_allclose(d.compute(c)[0], 2 * near * near * far, rtol=1e-7)


def test_the_order_of_rows_is_the_users():
    """The plan sorts rows by eta and (zeta, lambda); what comes out must not show it."""
    rng = np.random.default_rng(3)
    rows = [[z, s, e] for z in (1, 2, 2.5, 16) for s in (-1, 1, 0.3) for e in (0.0, 0.01, 0.2)]
    rows += rows[:5]  # some twice
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.0)
    for mode in ("pooled", "resolved"):
        n_channels = 1 if mode == "pooled" else 3
        make_one = [
            tm.SymmetryFunctions(["Si", "C"], 4.0, [(t, r)], species_mode=mode).compute(c)
            for t in ("g4", "g5")
            for r in (rows,)
        ]
        order = rng.permutation(len(rows))
        for type, values in zip(("g4", "g5"), make_one, strict=True):
            shuffled = tm.SymmetryFunctions(
                ["Si", "C"], 4.0, [(type, [rows[k] for k in order])], species_mode=mode
            ).compute(c)
            expected = values.reshape(len(values), n_channels, -1)[:, :, order]
            np.testing.assert_allclose(shuffled, expected.reshape(len(values), -1), rtol=1e-13)


GOOD = {"species": ["Si", "C"], "cutoff": 4.0, "functions": [("g2", [[0.1, 0.0]])]}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"species": []}, "species"),
        ({"species": ["Si", "Si"]}, "species"),
        ({"cutoff": 0.0}, r"cutoff = 0.0: a positive finite number"),
        ({"cutoff": -1}, r"cutoff = -1: a positive finite number"),
        ({"cutoff": np.inf}, r"cutoff = inf: a positive finite number"),
        ({"cutoff": np.nan}, r"cutoff = nan: a positive finite number"),
        ({"cutoff": "4.0"}, r"cutoff = '4.0': a positive finite number"),
        ({"cutoff": None}, r"cutoff = None: a positive finite number"),
        ({"cutoff": {("Si", "Si"): 4.0, ("C", "C"): 3.0}}, r"a cutoff for the pair \('Si', 'C'\)"),
        ({"cutoff": {("Si", "O"): 4.0}}, r"\('Si', 'O'\) is not a pair"),
        ({"cutoff": {"Si": 4.0}}, r"'Si' is not a pair"),
        (
            {"cutoff": {("Si", "C"): 4.0, ("C", "Si"): 3.9}},
            r"two different values for \('Si', 'C'\), 4 and 3.9",
        ),
        (
            {"cutoff": {("Si", "C"): -4.0}},
            r"cutoff\[\('Si', 'C'\)\] = -4.0: a positive finite number",
        ),
        ({"functions": []}, "functions = \\[\\]: at least one type"),
        ({"functions": "g2"}, "functions: a list like"),
        ({"functions": None}, "functions: a list like"),
        ({"functions": [("g6", [[1]])]}, "type = 'g6'"),
        ({"functions": [("g2", [])]}, r"g2: at least one row \[eta, Rs\]"),
        ({"functions": [("g2", [0.1, 0.2])]}, "g2: a list of rows"),
        ({"functions": [("g2", None)]}, "g2: a list of rows"),
        ({"functions": [("g2", [[0.1]])]}, r"g2 row 0 = \[0.1\]: \[eta, Rs\]"),
        ({"functions": [("g2", [[0.1, 0], [np.nan, 0]])]}, "g2 row 1: eta = nan"),
        ({"functions": [("g2", [[-0.1, 0]])]}, "g2 row 0: eta = -0.1: at least 0"),
        ({"functions": [("g4", [[0, 1, 0.1]])]}, "g4 row 0: zeta = 0: more than 0"),
        ({"functions": [("g5", [[300, 9, 0.1]])]}, "overflows"),
        ({"functions": [("g1", [[0.0]])]}, "g1 has no parameters"),
        ({"functions": [("g3", [[1]]), ("g3", [[2]])]}, "g3 is listed twice"),
        ({"species_mode": "both"}, "species_mode = 'both'"),
        ({"weights": {"Si": 1, "C": 1}}, "weights: species_mode = 'weighted'"),
        (
            {"species_mode": "weighted", "weights": {"Si": 1.0}},
            r"a weight of each of \('Si', 'C'\)",
        ),
        ({"species_mode": "weighted", "weights": {"Si": 1, "C": "x"}}, r"weights\['C'\] = 'x'"),
        ({"species_mode": "weighted", "species": ["Si", "Q"]}, "'Q' is not a chemical element"),
        ({"mean": [1.0, 2.0]}, r"mean has shape \(2,\); one number, or one for each value"),
        ({"mean": np.nan}, r"mean\[0\] = nan: a finite number"),
        ({"std": 0.0}, r"std\[0\] = 0: more than 0"),
        ({"std": [-1.0]}, r"std\[0\] = -1"),
        ({"std": "wide"}, "std is of dtype .*; real numbers are needed"),
    ],
)
def test_wrong_settings_are_named(changed, message):
    with pytest.raises(tm.InputError, match=message):
        tm.SymmetryFunctions(**GOOD | changed)


@pytest.mark.parametrize("cutoff", [2.4, 2.9])
def test_virial_of_several_blocks(cutoff):
    """More rows, or more pairs, than are added up at a time."""
    d = tm.SymmetryFunctions(["Si"], cutoff, [("g2", [[0.3, 1.0]])])
    atoms = bulk("Si", "sc", a=2.0) * (18, 23, 21)
    atoms.rattle(0.1, seed=0)
    c = tm.Configuration.from_atoms(atoms, d.cutoff)
    assert c.n_centers > 1 << 13
    assert (c.n_pairs > 1 << 16) == (cutoff == 2.9)
    weights = np.random.default_rng(0).standard_normal((c.n_centers, 1))
    r = c.positions[c.neighbors] - c.positions[c.pair_centers()]
    expected = -r.T @ d.pair_gradients(c, weights)
    gradient, W = d.vjp(c, weights, virial=True, n_threads=1)
    np.testing.assert_allclose(W, expected, rtol=0, atol=1e-12 * np.abs(expected).max())
    for found, one in zip(d.vjp(c, weights, virial=True, n_threads=2), (gradient, W), strict=True):
        np.testing.assert_array_equal(found, one)
    single = d.vjp(c, weights.astype(np.float32), virial=True)
    assert [a.dtype for a in single] == [np.float32, np.float64]
    np.testing.assert_allclose(single[1], W, rtol=0, atol=1e-6 * np.abs(W).max())
