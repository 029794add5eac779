"""Structures that are measured."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk


def silicon(repeat: int, amplitude: float = 0.05) -> Atoms:
    """Cubic diamond cells of silicon, rattled: 28 neighbors within 5 Å."""
    atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(amplitude, seed=0)
    return atoms


def dense_silicon(repeat: int) -> Atoms:
    """Body-centered cubic silicon, rattled: 58 neighbors within 5.9 Å."""
    atoms = bulk("Si", "bcc", a=3.3, cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(0.03, seed=1)
    return atoms


def mixed(atoms: Atoms, symbols: tuple[str, ...]) -> Atoms:
    """The same positions with elements by chance."""
    found = atoms.copy()
    found.symbols = np.random.default_rng(0).choice(symbols, len(atoms))
    return found


def slab() -> Atoms:
    """Silicon with a vacuum of 20 Å."""
    atoms = silicon(12)
    atoms.pbc = (True, True, False)
    atoms.cell[2, 2] += 20.0
    return atoms


def random_atoms(n: int, density: float, pbc: bool, seed: int = 0) -> Atoms:
    """Atoms at random positions in a cube, with the given number per Å³."""
    length = (n / density) ** (1 / 3)
    positions = np.random.default_rng(seed).uniform(0, length, (n, 3))
    return Atoms(f"H{n}", positions, cell=[length] * 3, pbc=pbc)


def cluster(symbols: tuple[str, ...]) -> Atoms:
    """Ten atoms whose distances are below 5 Å, in a large cell."""
    positions = np.random.default_rng(0).uniform(0, 2.8, (10, 3))
    names = [symbols[k % len(symbols)] for k in range(10)]
    return Atoms(names, positions + 10, cell=[25.0] * 3, pbc=True)
