"""Values outside of the training range in a simulation: shown, counted, and a reason to stop."""

import re

import numpy as np
import pytest
import small_models
import structures
from ase.io.lammpsdata import write_lammps_data
from simulators import lammps

import torchml_core as tm
from torchml_core.kim.extrapolations import MOST, SHOW
from torchml_core.kim.model import KimModel, Results

DESCRIPTOR = tm.SymmetryFunctions(
    ["Si"], small_models.CUTOFF, [("g2", [[0.1, 0.0], [0.5, 0.0], [0.9, 1.0]])]
)
INPUT = """
kim           init {model} metal
atom_modify   map array
read_data     silicon.data
kim           interactions Si
fix           ensemble all nve
run           3
"""


def silicon():
    return structures.rattled_silicon(1, seed=1)


def configuration():
    return tm.Configuration.from_atoms(silicon(), small_models.CUTOFF, ["Si"])


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    """The largest value of the first component and the smallest of the last are outside."""
    values = DESCRIPTOR.compute(configuration())
    least, most = values.min(axis=0), values.max(axis=0)
    most[0] -= 1e-6
    least[2] += 1e-6
    folder = tmp_path_factory.mktemp("models") / "Ranges_Si"
    tm.PortableModel.create(
        folder,
        model=small_models.DescriptorNet(3),
        species=["Si"],
        descriptor=DESCRIPTOR,
        training_range={"Si": (least, most)},
    )
    return folder


@pytest.fixture
def expected(model_folder):
    """The records, by component."""
    records = tm.PortableModel.load(model_folder).evaluate(configuration()).extrapolation
    assert [record.component_index for record in sorted(records, key=lambda r: r[1])] == [0, 2]
    return {record.component_index: record for record in records}


def compute(kim, length=1.0):
    c = configuration()
    c.positions = c.positions * length
    return kim.compute(c, Results(np.zeros((1, 1)), None, None, None, None))


def test_the_first_of_each_component_is_shown(model_folder, expected, monkeypatch):
    monkeypatch.delenv(SHOW, raising=False)
    monkeypatch.delenv(MOST, raising=False)
    kim, length = KimModel(model_folder, length=0.1), 0.1
    first = compute(kim, length)
    assert len(first) == 2
    for record, line in zip((expected[0], expected[2]), first, strict=True):
        place = ", ".join(f"{0.1 * x:.6g}" for x in silicon().positions[record.atom])
        assert line == f"particle {record.atom} (Si) at ({place}): {record.excess}"
    assert compute(kim, length) == []
    monkeypatch.setenv(SHOW, "all")
    kim = KimModel(model_folder)
    assert len(compute(kim)) == len(compute(kim)) == 2
    monkeypatch.setenv(SHOW, "none")
    assert compute(KimModel(model_folder)) == []


def test_more_than_allowed_is_an_error(model_folder, monkeypatch):
    monkeypatch.setenv(MOST, "5")
    kim = KimModel(model_folder)
    compute(kim), compute(kim)
    message = rf"6 values outside of the training range, 5 are allowed \({MOST}\).*: particle \d"
    with pytest.raises(tm.ExtrapolationError, match=message):
        compute(kim)


@pytest.mark.parametrize(
    ("variable", "text"), [(SHOW, "some"), (SHOW, ""), (MOST, "-1"), (MOST, "many"), (MOST, "1.5")]
)
def test_variables_that_say_nothing(variable, text, model_folder, monkeypatch):
    monkeypatch.setenv(variable, text)
    with pytest.raises(tm.InputError, match=f"{variable} = .* is needed"):
        KimModel(model_folder)


def test_in_lammps(model_folder, collection, expected, lmp, tmp_path):
    model = collection.model(model_folder)
    write_lammps_data(tmp_path / "silicon.data", silicon(), masses=True)
    done = lammps(INPUT.format(model=model), tmp_path)
    assert done.code == 0, done.stderr
    for record in expected.values():
        for text in (done.stderr, done.kim_log):
            (line,) = [line for line in text.splitlines() if f"{record.component} = " in line]
            assert "warning" in line
            assert record.excess in line
            # LAMMPS sorts its atoms
            place = re.search(r"particle \d+ \(Si\) at \((.*?)\)", line)[1].split(", ")
            moved = np.array(place, dtype=float) - silicon().positions[record.atom]
            assert np.abs(moved - 5.43 * np.round(moved / 5.43)).max() < 1e-5
    done = lammps(INPUT.format(model=model), tmp_path, environment={MOST: "1"})
    assert done.code == 1
    assert "2 values outside of the training range, 1 are allowed" in done.stderr
    assert "ERROR: KIM Compute returned error" in done.stdout
