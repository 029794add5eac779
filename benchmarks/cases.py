"""Structures for neighbor lists, dense and sparse, large and small, each with its cutoff."""

import numpy as np
from ase import Atoms
from ase.build import bulk


def silicon(repeat, amplitude=0.05):
    """Cubic diamond cells of silicon, rattled."""
    atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(amplitude, seed=0)
    return atoms


def slab():
    atoms = silicon(12)
    atoms.pbc = (True, True, False)
    atoms.cell[2, 2] += 20.0
    return atoms


def random_atoms(n, density, pbc, seed=0):
    """Atoms at random positions in a cube, with the given number per Å³."""
    length = (n / density) ** (1 / 3)
    positions = np.random.default_rng(seed).uniform(0, length, (n, 3))
    return Atoms(f"H{n}", positions, cell=[length] * 3, pbc=pbc)


CASES = {
    "1 000 Si, 5 Å": (lambda: silicon(5), 5.0),
    "8 000 Si, 5 Å": (lambda: silicon(10), 5.0),
    "64 000 Si, 5 Å": (lambda: silicon(20), 5.0),
    "216 000 Si, 5 Å": (lambda: silicon(30), 5.0),
    "1 000 Si, 8 Å": (lambda: silicon(5), 8.0),
    "8 000 Si, 8 Å": (lambda: silicon(10), 8.0),
    "64 000 Si, 8 Å": (lambda: silicon(20), 8.0),
    "216 000 Si, 8 Å": (lambda: silicon(30), 8.0),
    "8 Si, 6 Å (many images)": (lambda: silicon(1), 6.0),
    "slab of 13 824 Si, 5 Å": (slab, 5.0),
    "gas, 10 000 atoms, 5 Å": (lambda: random_atoms(10000, 0.0005, True), 5.0),
    "molecule of 20 atoms, 5 Å": (lambda: random_atoms(20, 0.08, False), 5.0),
    "density of water, 12 000 atoms, 3 Å": (lambda: random_atoms(12000, 0.1, True), 3.0),
}
