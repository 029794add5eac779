"""Earlier results count only for the same structures and the same model."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from torchml_core.cli.resume import EarlierResults, ResumeError

ENERGY = -43.21


@pytest.fixture
def results_of(tmp_path):
    """The results of a structure in an output with one of silicon; the model gives an energy."""

    def results_of(atoms, energy=ENERGY):
        written = silicon()
        forces = np.zeros((8, 3))
        written.calc = SinglePointCalculator(written, energy=ENERGY, forces=forces)
        write(tmp_path / "out.extxyz", written)
        item = SimpleNamespace(structure=atoms, label="the first")
        now = {"energy": energy, "forces": forces}
        return EarlierResults(tmp_path / "out.extxyz").results_of(item, lambda _: now)

    return results_of


def silicon():
    return bulk("Si", cubic=True)


def test_what_was_written_is_the_same(results_of):
    """Eight decimals are written, and energies of other processors differ a little."""
    assert results_of(silicon())["energy"] == ENERGY
    atoms = silicon()
    atoms.positions += 4e-9
    assert results_of(atoms, ENERGY * (1 + 1e-5))["energy"] == ENERGY


@pytest.mark.parametrize(
    "change",
    [
        lambda atoms: atoms.set_pbc((True, True, False)),
        lambda atoms: atoms.set_cell(atoms.cell * 1.00001),
        lambda atoms: atoms.numbers.__setitem__(3, 6),
        lambda atoms: atoms.positions.__setitem__((7, 2), atoms.positions[7, 2] + 1e-6),
        lambda atoms: atoms.pop(),
    ],
)
def test_another_structure(results_of, change):
    atoms = silicon()
    change(atoms)
    with pytest.raises(ResumeError, match=r"frame 0 of .* is not the first"):
        results_of(atoms)


def test_another_model(results_of):
    with pytest.raises(ResumeError, match="the same model is needed"):
        results_of(silicon(), ENERGY * (1 + 2e-4))
