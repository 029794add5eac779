"""Small training sets: one that a linear model made, and one with labels of all sorts."""

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import torchml_core as tm
from torchml_core.dataset import Dataset


def descriptor():
    return tm.SymmetryFunctions(["Si"], 3.2, [("g2", [[0.3, 0.0], [0.8, 1.9], [2.0, 2.4]])])


def silicon(n=9, shift=0.0, kinds=("cold",)):
    """Labels of a linear model; energies of the last kind are shifted by that in eV/atom."""
    d = descriptor()
    truth = tm.nn.ElementPolynomials(d)
    with torch.no_grad():
        truth.linear.copy_(torch.tensor([[0.4, -0.3, 0.8]]))
    made = []
    for k in range(n):
        atoms = bulk("Si", a=5.2 + 0.03 * k).repeat(2)
        atoms.rattle(0.05 + 0.01 * k, seed=k)
        atoms.info["config_type"] = kinds[k % len(kinds)]
        (batch,) = Dataset.from_atoms([atoms]).batches(d, 1)
        out = tm.nn.DescriptorModel(d, truth)(batch)
        energy = out.energy.item()
        if kinds[k % len(kinds)] == kinds[-1]:
            energy += shift * (1 + k / n) * len(atoms)
        forces = out.forces.detach().numpy()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        made.append(atoms)
    return Dataset.from_atoms(made)


def labeled_oxides(n_rattled):
    """Atoms with one to eight atoms; the first is a molecule, the second has no labels."""
    made = [Atoms("SiO2", np.eye(3)), bulk("Si")]
    for k in range(n_rattled):
        atoms = bulk("Si", cubic=True)
        atoms.rattle(0.1, seed=k)
        atoms.symbols[k] = "O"
        made.append(atoms)
    for k, atoms in enumerate(made):
        if k != 1:
            results = {"energy": -1.5 * k - 1, "forces": 0.1 * atoms.positions}
            if atoms.cell.rank == 3:
                results["stress"] = np.arange(6.0) - k
            atoms.calc = SinglePointCalculator(atoms, **results)
    return made
