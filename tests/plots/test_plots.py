"""The numbers behind pictures, and that every picture can be drawn."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from click.testing import CliRunner

import torchml_core as tm
from torchml_core.cli import main
from torchml_core.plots import angle_curves, distance_curves, neighbor_histogram, principal_map

RESOLVED = tm.SymmetryFunctions(
    ["H", "O"],
    4.0,
    [("g2", [[0.5, 1.0]]), ("g4", [[2, -1, 0.1]])],
    species_mode="resolved",
)


def one_atom(descriptor, symbols, positions):
    c = tm.Configuration.from_atoms(
        Atoms(symbols, positions), descriptor.cutoff, descriptor.species or None
    )
    return descriptor.compute(c)[0]


@pytest.mark.parametrize("descriptor", [RESOLVED, tm.Xi(3, 4.0), tm.SOAP(["O", "H"], 4.0, 3, 2)])
def test_curves_are_values_of_molecules(descriptor):
    r, values = distance_curves(descriptor, "O", "H", n_points=5)
    assert r[0] > 0
    assert r[-1] == 4.0
    expected = [one_atom(descriptor, "OH", [[0, 0, 0], [0, x, 0]]) for x in r]
    np.testing.assert_allclose(values, expected, rtol=1e-10, atol=1e-12)

    angles, values = angle_curves(descriptor, "H", ["O", "H"], 1.5, n_points=4)
    assert angles[-1] == 180
    for angle, row in zip(np.radians(angles), values, strict=True):
        positions = [[0, 0, 0], [1.5, 0, 0], [1.5 * np.cos(angle), 0, 1.5 * np.sin(angle)]]
        np.testing.assert_allclose(
            row, one_atom(descriptor, "HOH", positions), rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: distance_curves(RESOLVED, "O", "Si"), "element = 'Si'"),
        (lambda: distance_curves("x", "O", "H"), "descriptor = 'x'"),
        (lambda: angle_curves(RESOLVED, "O", ["H"], 1.0), "two elements"),
        (lambda: angle_curves(RESOLVED, "O", ["H", "H"], 0.0), "distance = 0.0"),
        (lambda: principal_map([[1.0, np.nan]]), "values"),
    ],
)
def test_bad_arguments(call, message):
    with pytest.raises(tm.InputError, match=message.replace("(", r"\(")):
        call()


def test_principal_axes_are_those_of_the_correlation_matrix():
    random = np.random.default_rng(0)
    values = random.normal(size=(50, 4)) @ random.normal(size=(4, 4)) + 7
    values = np.column_stack([values, np.full(50, 3.0)])  # a component that does not vary
    places, fractions = principal_map(values, 4)
    correlation = np.corrcoef(values[:, :4].T)
    expected = np.sort(np.linalg.eigvalsh(correlation))[::-1] / 4
    np.testing.assert_allclose(fractions, expected, rtol=1e-10)
    np.testing.assert_allclose(places.var(axis=0), 4 * expected, rtol=1e-10)
    np.testing.assert_allclose(np.corrcoef(places.T), np.eye(4), atol=1e-10)
    assert not principal_map(np.ones((3, 2)))[0].any()


def test_neighbors_are_counted_by_pair_of_elements():
    water, hydrogen = molecule("H2O"), Atoms("H")
    edges, counts = neighbor_histogram([water, hydrogen], 2.0, n_bins=2)
    assert edges.tolist() == [0, 1, 2]
    assert counts["O", "H"].tolist() == [2, 0]
    assert counts["H", "O"].tolist() == [2 / 3, 0]  # of three hydrogen atoms
    assert counts["H", "H"].tolist() == [0, 2 / 3]


MODEL = "examples/models/SymmetryFunctions_Si"


@pytest.fixture
def structures(tmp_path):
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.1, seed=0)
    atoms.calc = tm.ase.TorchMLCalculator("examples/models/StillingerWeber_Si")
    atoms.get_forces()
    path = tmp_path / "two.extxyz"
    atoms.write(path)
    atoms.write(path, append=True)
    return str(path)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--distance", "2.4"],
        ["FILE"],
        pytest.param(["FILE", "--color", "error"], marks=pytest.mark.slow),
        ["FILE", "--color", "structure", "--element", "Si"],
        pytest.param(["FILE", "--what", "distributions"], marks=pytest.mark.slow),
        ["FILE", "--what", "neighbors"],
    ],
)
def test_command_draws(arguments, structures, tmp_path, project, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(project)
    picture = tmp_path / "x.png"
    arguments = [structures if a == "FILE" else a for a in arguments]
    done = CliRunner().invoke(main, ["plot", MODEL, *arguments, "-o", str(picture)])
    assert done.exit_code == 0, done.output
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([MODEL, "--what", "map", "-o", "x.png"], "STRUCTURES are needed"),
        ([MODEL, "-o", "x.txt"], "--output x.txt: its name must end in"),
        (["examples/models/Graph_Si", "-o", "x.png"], "a model with a descriptor is needed"),
        ([MODEL, "FILE", "--element", "C", "-o", "x.png"], "--element = 'C'"),
        (["missing.dat", "-o", "x.png"], "missing.dat"),
    ],
)
def test_command_refuses(arguments, message, structures, project, monkeypatch):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(project)
    arguments = [structures if a == "FILE" else a for a in arguments]
    done = CliRunner().invoke(main, ["plot", *arguments])
    assert done.exit_code == 1
    assert message in done.output
