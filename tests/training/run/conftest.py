"""A small training set that a model of this project made, and settings that train in a second."""

from pathlib import Path

import pytest
import small_runs
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

import torchml_core as tm

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="session")
def silicon():
    """Structures of two kinds with the energies, forces and stresses of a potential."""
    model = tm.PortableModel.load(EXAMPLES / "models" / "StillingerWeber_Si")
    made = []
    for k in range(20):
        atoms = bulk("Si", cubic=True, a=5.3 + 0.01 * k)
        atoms.rattle(0.1, seed=k)
        p = model.evaluate(atoms).fold()
        atoms.calc = SinglePointCalculator(atoms, energy=p.energy, forces=p.forces, stress=p.stress)
        atoms.info["config_type"] = "hot" if k % 2 else "cold"
        made.append(atoms)
    return made


@pytest.fixture
def config(silicon, tmp_path):
    """Write the structures and a configuration; ``config(text)`` replaces it."""
    write(tmp_path / "silicon.extxyz", silicon)
    path = tmp_path / "config.yaml"

    def make(text=small_runs.CONFIG):
        path.write_text(text)
        return path

    return make
