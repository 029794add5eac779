"""Make the structures in this folder: run it as ``python make_structures.py [FOLDER]``."""

import sys
from pathlib import Path

import ase.build
import ase.io
import numpy as np


def silicon():
    """64 atoms of silicon, periodic, rattled, slightly stretched along x."""
    atoms = ase.build.bulk("Si", "diamond", a=5.43, cubic=True) * (2, 2, 2)
    atoms.set_cell(atoms.cell @ np.diag([1.02, 1.0, 1.0]), scale_atoms=True)
    atoms.rattle(0.05, seed=1)
    return atoms


def silicon_cluster():
    """A silicon atom and its 28 nearest neighbors, rattled, without a cell."""
    atoms = ase.build.bulk("Si", "diamond", a=5.43, cubic=True) * (3, 3, 3)
    center = atoms.positions[np.argmin(((atoms.positions - atoms.cell.sum(0) / 2) ** 2).sum(1))]
    distances = np.linalg.norm(atoms.positions - center, axis=1)
    cluster = ase.Atoms(atoms[distances < 5.0].symbols, atoms.positions[distances < 5.0] - center)
    cluster.rattle(0.05, seed=1)
    return cluster


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for structure in (silicon, silicon_cluster):
        atoms = structure()
        ase.io.write(folder / f"{structure.__name__}.extxyz", atoms, format="extxyz")
        print(f"{structure.__name__}.extxyz: {len(atoms)} atoms")
