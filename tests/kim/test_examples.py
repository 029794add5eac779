"""The LAMMPS inputs of examples/lammps, which the page on LAMMPS takes its readers through."""

import shutil

import numpy as np
import pytest
import torch
from simulators import QUIET, run

import torchml_core as tm
from torchml_core.kim.install import install_model

MODELS = ("SymmetryFunctions_Si", "StillingerWeber_Si")


@pytest.fixture(params=MODELS)
def name(request, collection, example_folders):
    return collection.model(example_folders[request.param])


@pytest.fixture
def example(examples, lmp, folder):
    """Run an input as the page says, in a folder of its own."""

    def of(file, environment=(), **variables):
        shutil.copy(examples / "lammps" / file, folder)
        words = [word for key, value in variables.items() for word in ("-var", key, value)]
        return run(["lmp", "-in", file, "-log", "log.lammps", *words], folder, environment).good()

    return of


def test_constant_energy(example, name):
    (table,) = example("nve.in", model=name, repeat=2, steps=100).thermo()
    assert np.ptp(table["PotEng"]) > 1
    assert np.ptp(table["TotEng"]) < 0.02  # of a time step of 1 fs; it goes with the temperature


def test_constant_pressure(example, collection, example_folders):
    name = collection.model(example_folders["SymmetryFunctions_Si"])
    done = example("npt.in", model=name, repeat=2, steps=100)
    (table,) = done.thermo()
    assert table["Volume"][0] == pytest.approx((2 * 5.43) ** 3)
    assert len(np.unique(table["Volume"])) == len(table["Volume"])
    snapshots = done.text("npt.dump").split("ITEM: TIMESTEP")[1:]
    rows = np.array([line.split() for line in snapshots[-1].splitlines()[9:]], dtype=float)
    assert rows.shape == (64, 14)
    assert rows[:, 7].sum() == pytest.approx(table["PotEng"][-1], rel=1e-6)


def test_minimization(example, name):
    (table,) = example("minimize.in", QUIET, model=name).thermo()
    assert table["PotEng"][-1] < table["PotEng"][0]
    assert table["Fnorm"][-1] < 1e-3 < table["Fnorm"][0]


def test_from_a_network_to_lammps(example, collection, tmp_path):
    """The page's way: create the folder, install it, run the input with its name."""
    descriptor = tm.SymmetryFunctions(["Si"], 4.0, [("g2", [[0.1, 0.0], [0.5, 2.0]])])
    network = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    folder = tmp_path / "MyModel_Si"
    tm.PortableModel.create(folder, model=network.double(), species=["Si"], descriptor=descriptor)
    assert install_model(folder, collection="environment") == "MyModel_Si"
    (table,) = example("nve.in", model="MyModel_Si", repeat=2, steps=20).thermo()
    assert np.ptp(table["TotEng"]) < 1e-3
