"""Xi: equal to its definition and to libdescriptor; its settings and its file."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from descriptors import xi_reference as ref
from descriptors.kit import STRUCTURES, ArgumentsKit, SettingsKit
from descriptors.libdescriptor_cases import cases_of, configuration_of
from requirements import shared_cases

import torchml_core as tm
from torchml_core.descriptors.clebsch_gordan import clebsch_gordan
from torchml_core.descriptors.xi.bessel_basis import zeros_of_bessel
from torchml_core.descriptors.xi.terms import values_of
from torchml_core.testing import finite_difference_forces

WIDTHS = [1, 3, 9, 23, 51, 103, 196, 348, 590, 960, 1506, 2290, 3393, 4905, 6945, 9651]
CASES = [
    f"{structure}__xi_q{q}"
    for structure in ("si8", "sic64", "ethanol_water")
    for q in (2, 4, 6)
    if (structure, q) != ("sic64", 6)
]
Z, X = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)


def center_of(vectors, species="Si"):
    """An atom that contributes, and neighbors that do not."""
    positions = np.vstack([[np.zeros(3)], np.reshape(vectors, (-1, 3))])
    n = len(positions) - 1
    return tm.Configuration(
        positions,
        np.zeros(n + 1, dtype=int),
        np.arange(n + 1) == 0,
        [0],
        [0, n],
        np.arange(1, n + 1),
        species_names=[species],
    )


def around(n, seed, nearest=0.5, farthest=4.4):
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, 3))
    lengths = rng.uniform(nearest, farthest, n)
    return vectors * (lengths / np.linalg.norm(vectors, axis=1))[:, None]


class TestSettings(SettingsKit):
    @pytest.fixture(params=[0, 3, 8])
    def descriptor(self, request):
        return tm.Xi(request.param, 4.5)


class TestArguments(ArgumentsKit):
    @pytest.fixture
    def descriptor(self):
        return tm.Xi(2, 4.5, species=["Si", "C"])


# ---- values


@pytest.mark.parametrize("q", [0, 1, 4, 7])
def test_equal_to_the_definition(q):
    vectors, xi = around(9, seed=q), tm.Xi(q, 4.5)
    expected = ref.xi(vectors, q, 4.5, values_of(q))
    found = xi.compute(center_of(vectors))[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.slow
def test_the_largest_q():
    vectors = around(3, seed=5)
    chosen = np.random.default_rng(0).permutation(WIDTHS[15])[:150]
    expected = ref.xi(vectors, 15, 4.5, [values_of(15)[k] for k in chosen])
    values = tm.Xi(15, 4.5).compute(center_of(vectors))[0]
    error = np.abs(values[chosen] - expected)
    assert error.max() <= 1e-10 * np.abs(values).max()


@pytest.mark.parametrize(
    "vectors",
    [
        pytest.param([2.1 * np.array(Z)], id="on the axis"),
        pytest.param([-2.1 * np.array(Z), 1.9 * np.array(X)], id="on two axes"),
        pytest.param(around(130, seed=3), id="130 neighbors"),
        pytest.param(around(4, seed=3, nearest=0.01, farthest=0.02), id="very near"),
        pytest.param([4.5 * np.array(X)], id="at the cutoff"),
    ],
)
def test_special_environments(vectors):
    q, c = 4, center_of(vectors)
    expected = ref.xi(vectors, q, 4.5, values_of(q))
    largest = max(np.abs(expected).max(), 1e-3)
    np.testing.assert_allclose(tm.Xi(q, 4.5).compute(c)[0], expected, rtol=0, atol=1e-10 * largest)
    gradient = tm.Xi(q, 4.5).vjp(c, np.ones((1, WIDTHS[q])))
    for particle, axis in ((0, 0), (1, 0), (1, 2)):
        step = np.zeros_like(c.positions)
        step[particle, axis] = 1e-5
        above, below = (
            ref.xi(x[1:] - x[0], q, 4.5, values_of(q)).sum()
            for x in (c.positions + step, c.positions - step)
        )
        slope = (above - below) / 2e-5
        assert abs(gradient[particle, axis] - slope) <= 1e-7 * max(np.abs(gradient).max(), 1e-3)


def test_no_neighbors():
    xi = tm.Xi(4, 4.5)
    np.testing.assert_array_equal(xi.compute(center_of([])), np.zeros((1, 51)))
    np.testing.assert_array_equal(xi.compute(center_of([[4.6, 0, 0]])), np.zeros((1, 51)))


def test_values_and_slopes_end_at_the_cutoff():
    xi, c = tm.Xi(6, 4.5), center_of([[4.5 * (1 - 1e-6), 0, 0]])
    scale = np.abs(xi.compute(center_of([[3.5, 0, 0]]))).max()
    assert np.abs(xi.compute(c)).max() <= 1e-30 * scale  # the third power of a square
    assert np.abs(xi.vjp(c, np.ones((1, xi.width)))).max() <= 1e-20 * scale


@pytest.mark.parametrize("structure", STRUCTURES)
def test_species_do_not_matter(structure):
    atoms = STRUCTURES[structure]()
    values = tm.Xi(3, 4.0).compute(tm.Configuration.from_atoms(atoms, 4.0))
    atoms.symbols = "Ta"
    np.testing.assert_array_equal(
        tm.Xi(3, 4.0).compute(tm.Configuration.from_atoms(atoms, 4.0)), values
    )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_row_does_not_depend_on_the_others_of_its_group(dtype):
    """Atoms share vectors, a lane for each; the last group is not full."""
    atoms = Atoms("Si23", positions=around(23, seed=1, nearest=1.0, farthest=6.0))
    xi, c = tm.Xi(5, 4.0), tm.Configuration.from_atoms(atoms, 4.0)
    values = xi.compute(c, dtype=dtype)
    for row in (0, 7, 22):
        begin, end = c.offsets[row : row + 2]
        alone = tm.Configuration(
            c.positions, c.species, np.arange(c.n_particles) == row, [row], [0, end - begin],
            c.neighbors[begin:end], species_names=["Si"],
        )  # fmt: skip
        np.testing.assert_array_equal(xi.compute(alone, dtype=dtype)[0], values[row])


# ---- libdescriptor


@pytest.fixture(scope="module", params=shared_cases(CASES))
def case(request, shared_data):
    entry = cases_of(shared_data, "Xi")[request.param]
    arrays = np.load(shared_data / "libdescriptor" / entry["file"])
    read = tm.read_descriptor(shared_data / "libdescriptor" / entry["dat"], "Xi", entry["species"])
    return entry, read, configuration_of(entry, arrays), arrays


def test_all_cases_are_tested(shared_data):
    assert sorted(cases_of(shared_data, "Xi")) == sorted(CASES)


def test_equal_to_libdescriptor(case):
    entry, xi, c, arrays = case
    assert xi == tm.Xi(entry["params"]["q"], entry["params"]["cutoff"], species=xi.species)
    for values, expected in (
        (xi.compute(c), arrays["desc"]),
        (xi.vjp(c, arrays["w"]), arrays["grad_enzyme"]),
    ):
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


# ---- settings, parts


def test_widths_and_labels():
    assert [len(values_of(q)) for q in range(16)] == WIDTHS
    assert tm.Xi(2, 5.0).labels[4:6] == ["xi(n=0,0,0, l=2,1,1)", "xi(n=1,0,0, l=1,1,0)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((16, 5.0), r"q = 16: .*15 is needed"),
        ((-1, 5.0), r"q = -1: "),
        ((2.5, 5.0), r"q = 2.5: "),
        ((2, 0.0), r"cutoff = 0.0: "),
        ((2, np.nan), r"cutoff = nan: "),
    ],
)
def test_wrong_settings(arguments, message):
    with pytest.raises(tm.InputError, match=message):
        tm.Xi(*arguments)


def test_zeros_are_those_of_mpmath():
    for l in (0, 1, 7, 15):
        np.testing.assert_allclose(zeros_of_bessel(l, 17), ref.zeros(l, 17), rtol=1e-14)


def test_clebsch_gordan_are_those_of_the_reference():
    for l1, l2 in ((0, 0), (1, 1), (2, 1), (4, 3)):
        for (l, m), state in ref.clebsch_gordan(l1, l2).items():
            table = clebsch_gordan(2 * l1, 2 * l2, 2 * l)
            for m1 in range(-l1, l1 + 1):
                for m2 in range(-l2, l2 + 1):
                    same_m = m1 + m2 == m
                    found = table[m1 + l1, m2 + l2] if same_m else 0
                    assert abs(found - state[m1 + l1, m2 + l2]) < 1e-13
    assert not clebsch_gordan(2, 2, 6).any()  # no triangle
    assert clebsch_gordan(30, 30, 0)[30, 0] == pytest.approx(31**-0.5, rel=1e-15)


# ---- files


def test_written_files_are_read_back_equal(tmp_path):
    xi = tm.Xi(5, 4.123456789012345, species=["Si", "C"])
    xi.to_file(tmp_path / "xi.dat")
    assert tm.read_descriptor(tmp_path / "xi.dat", "Xi") == xi
    with pytest.raises(tm.UnsupportedError, match="species = None: the .dat format needs"):
        tm.Xi(5, 4.0).to_file(tmp_path / "none.dat")
    assert not (tmp_path / "none.dat").exists()


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("2\n4.0\nbessel\n1\n", 4, "names of the species should follow"),
        ("2\n4.0\ngto\n1\nSi\n", 3, "radial_basis = 'gto': bessel is needed"),
        ("16\n4.0\nbessel\n1\nSi\n", 1, "q = 16"),
        ("2\n-4.0\nbessel\n1\nSi\n", 2, "cutoff = -4.0"),
        ("2\n4.0\nbessel\n2\nSi\n", 5, "2 names of species are needed"),
        ("2\n4.0\nbessel\n1\nSi\nmore\n", 6, "nothing more is needed"),
        ("2.5\n4.0\nbessel\n1\nSi\n", 1, "q"),
    ],
)
def test_wrong_files(tmp_path, text, line, message):
    path = tmp_path / "xi.dat"
    path.write_text(text)
    with pytest.raises(tm.FileFormatError, match=message) as caught:
        tm.read_descriptor(path, "Xi")
    assert str(caught.value).startswith(f"{path}:{line}: ")


def test_a_portable_model(tmp_path):
    """Forces are those of finite differences, and a loaded model gives the same."""
    xi = tm.Xi(2, 4.0, species=["Si"])
    network = torch.nn.Sequential(torch.nn.Linear(9, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    folder = tmp_path / "model"
    model = tm.PortableModel.create(folder, model=network.double(), species=["Si"], descriptor=xi)
    assert model.descriptor == xi
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=2)
    forces = model.evaluate(atoms).fold().forces
    expected = finite_difference_forces(model, atoms)
    assert np.abs(forces - expected).max() <= 1e-7 * np.abs(expected).max()
