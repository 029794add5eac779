"""Structures for tests: random ones of every kind, and a brute-force search of their pairs."""

import itertools

import numpy as np
from ase import Atoms
from ase.build import bulk

import torchml_core as tm


def rattled_silicon(repeat=2, seed=0, amplitude=0.05):
    """Cubic diamond cells of silicon, 8 atoms each, with atoms off their sites."""
    atoms = bulk("Si", cubic=True) * ((repeat,) * 3 if np.isscalar(repeat) else repeat)
    atoms.rattle(amplitude, seed=seed)
    return atoms


def random_structure(seed):
    """One random structure and a cutoff: any cell shape, handedness, pbc mask, scatter.

    Cells may be very oblique, far smaller than the cutoff or far larger; atoms may stand many
    cells away, and there may be none along a direction without period.
    """
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 16))
    cutoff = float(rng.uniform(1.0, 4.0))
    kind = rng.choice(["triclinic", "orthogonal", "oblique", "flat"])
    cell = np.diag(rng.uniform(0.6, 2.5, 3)) * cutoff
    if kind != "orthogonal":
        cell = cell + rng.uniform(-1, 1, (3, 3)) * cutoff
    if kind == "oblique":
        cell[1] += rng.integers(-2, 3) * cell[0]
        cell[2] += rng.integers(-2, 3) * cell[1]
    if kind == "flat":
        cell[rng.integers(3)] *= 0.3
    volume = abs(np.linalg.det(cell))
    if volume < 0.3 * cutoff**3:  # as many images as ASE can bear
        cell *= (0.3 * cutoff**3 / volume) ** (1 / 3)
    if rng.random() < 0.5:
        cell = cell[[1, 0, 2]]  # the other handedness
    scaled = rng.uniform(-0.2, 1.2, (n, 3))
    if rng.random() < 0.3:
        scaled += rng.integers(-5, 6, (n, 3))
    pbc = rng.random(3) < 0.6
    symbols = rng.choice(["Si", "C", "O"], n)
    return Atoms(symbols, positions=scaled @ cell, cell=cell, pbc=pbc), cutoff


def most_shifts(atoms, cutoff):
    """How far along each cell vector an image within the cutoff can be, (3,) int."""
    cell = np.array(atoms.cell) * atoms.pbc[:, None]
    dual = np.linalg.pinv(cell) * atoms.pbc
    spread = np.ptp(atoms.positions @ dual, axis=0)
    return np.ceil(cutoff * np.linalg.norm(dual, axis=0) + spread).astype(int)


def brute_force_pairs(atoms, cutoff):
    """All (i, j, Sx, Sy, Sz) with a distance below the cutoff, by trying every image."""
    cell = np.array(atoms.cell) * atoms.pbc[:, None]
    found = []
    for shift in itertools.product(*(range(-m, m + 1) for m in most_shifts(atoms, cutoff))):
        D = atoms.positions[None] - atoms.positions[:, None] + np.array(shift) @ cell
        near = np.einsum("ijk,ijk->ij", D, D) < cutoff**2
        if not any(shift):
            np.fill_diagonal(near, False)
        found += [(i, j, *shift) for i, j in np.argwhere(near)]
    return sorted(found)


def crystals_with_a_shell_at_the_cutoff():
    """Some two hundred perfect crystals, each with the distance of one of its pairs as cutoff.

    Other pairs of that shell are a rounding nearer or farther.
    """
    for symbol, structure, a in [
        ("Po", "sc", 3.35),
        ("Cu", "fcc", 3.61),
        ("Fe", "bcc", 2.87),
        ("Si", "diamond", 5.43),
        ("Mg", "hcp", 3.21),
        ("NaCl", "rocksalt", 5.64),
        ("CsCl", "cesiumchloride", 4.12),
    ]:
        for repeat in [(1, 1, 1), (2, 1, 3)]:
            for shift in [0.0, 0.123456789, -17.3, 1000.1]:
                atoms = bulk(symbol, structure, a) * repeat
                atoms.positions += shift
                d = np.sort(tm.neighbor_list("d", atoms, 7.0))
                for cutoff in d[np.flatnonzero(np.diff(d, prepend=0.0) > 1e-6)][:4]:
                    yield atoms, float(cutoff)


def images(i, j, S):
    """Pairs as a set of (i, j, Sx, Sy, Sz)."""
    return set(map(tuple, np.column_stack([i, j, S]).tolist()))


def have_both_ends(found):
    """Whether with each pair the same one is there from its other end."""
    return all((j, i, -a, -b, -c) in found for i, j, a, b, c in found)
