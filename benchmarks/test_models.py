"""Portable models: energy, forces and virial of rattled silicon, with and without neighbor lists.

Run by ``make bench``, with one thread, also in torch.
"""

from pathlib import Path

import pytest
import torch
from ase.build import bulk

import torchml_core as tm

MODELS = Path(__file__).resolve().parents[1] / "examples" / "models"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def atoms():
    atoms = bulk("Si", cubic=True) * (5, 5, 5)
    atoms.rattle(0.05, seed=0)
    return atoms


@pytest.mark.parametrize("lists", ["with lists", "without lists"])
@pytest.mark.parametrize("name", ["StillingerWeber_Si", "SymmetryFunctions_Si", "Graph_Si"])
def test_energy_forces_virial(benchmark, name, lists, atoms):
    model = tm.PortableModel.load(MODELS / name)
    structure = atoms
    if lists == "without lists":
        structure = tm.Configuration.from_atoms(
            atoms, model.cutoff, model.species, n_layers=model.parameters.n_layers
        )
    benchmark.extra_info["atoms"] = len(atoms)
    benchmark(model.evaluate, structure, n_threads=1)
