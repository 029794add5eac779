"""Settings and environments that the tests of SOAP and of SphericalExpansion share."""

from types import SimpleNamespace

import numpy as np
from ase import Atoms

import torchml_core as tm

DEFAULTS = {
    "eta": 2.0,  # sigma = 0.5
    "radial_basis": "gto",
    "basis_cutoff": None,
    "smoothing": "cosine",
    "smoothing_width": 0.5,
    "species_density": "separate",
    "species_weights": None,
}
SOAP_DEFAULTS = DEFAULTS | {
    "cross_blocks": "full",
    "normalization": "dscribe",
    "unit_norm": False,
}
TWO_CHANNELS = [[1.0, 0.3], [-0.5, 1.7]]

# What distinguishes one expansion from another, by name.
EXPANSIONS = {
    "gto": {},
    "polynomial": {"radial_basis": "polynomial", "smoothing_width": 1.1},
    "polynomial unsmoothed": {"radial_basis": "polynomial", "smoothing": None},
    "sigma": {"n_max": 2, "l_max": 1, "sigma": 0.35},
    "one function": {"n_max": 1, "l_max": 0, "eta": 1.3},
    "odd sizes": {"n_max": 5, "l_max": 4, "sigma": 0.6, "smoothing_width": 4.2},
    "basis beyond": {"basis_cutoff": 5.6},
    "basis within": {"radial_basis": "polynomial", "basis_cutoff": 3.1, "sigma": 0.6},
    "cumulative": {"species_density": "cumulative"},
    "two channels": {"species_weights": TWO_CHANNELS},
    "one channel": {"species_weights": [[0.7], [1.9]]},
    "three channels": {"species_weights": [[1, 0, 0.4], [0, 1, -1.2]]},
}
SOAPS = EXPANSIONS | {
    "upper": {"cross_blocks": "upper"},
    "libdescriptor": {"normalization": "libdescriptor"},
    "as in files": {
        "radial_basis": "polynomial",
        "smoothing": None,
        "cross_blocks": "upper",
        "normalization": "libdescriptor",
    },
    "as in KLIFF's files": {
        "radial_basis": "polynomial",
        "basis_cutoff": 4.9,
        "smoothing": None,
        "cross_blocks": "upper",
        "normalization": "libdescriptor",
        "species_density": "cumulative",
    },
    "unit norm": {"unit_norm": True},
    "unit norm of upper": {
        "unit_norm": True,
        "cross_blocks": "upper",
        "normalization": "libdescriptor",
        "species_weights": TWO_CHANNELS,
    },
}


def make(kind, name, species=("Si", "C"), cutoff=4.2, **more):
    """(descriptor, what the reference needs to know of it) of kind SOAP or SphericalExpansion."""
    known = SOAPS if kind is tm.SOAP else EXPANSIONS
    arguments = {"n_max": 3, "l_max": 2} | known[name] | more
    descriptor = kind(list(species), cutoff, **arguments)
    told = (SOAP_DEFAULTS if kind is tm.SOAP else DEFAULTS) | arguments
    if "sigma" in told:
        told["eta"] = 1 / (2 * told.pop("sigma") ** 2)
    return descriptor, SimpleNamespace(species=tuple(species), cutoff=cutoff, **told)


def rows_of(c):
    return [c.neighbors[c.offsets[k] : c.offsets[k + 1]] for k in range(c.n_centers)]


def reference(program, told, c, positions=None):
    """The slow program's values for the rows of a configuration."""
    names = [c.species_names[code] for code in c.species]
    return program(
        told, names, c.positions if positions is None else positions, c.centers, rows_of(c)
    )


def reference_tangent(program, told, c, direction):
    """Its derivative along a direction, by a complex step: exact but for rounding."""
    return reference(program, told, c, c.positions + 1e-30j * direction).imag / 1e-30


def environment(neighbors, symbols=None, species=("Si", "C")):
    """One contributing particle at the origin, its neighbors ghosts."""
    neighbors = np.asarray(neighbors, dtype=float).reshape(-1, 3)
    n = len(neighbors)
    symbols = [species[0]] * (n + 1) if symbols is None else symbols
    return tm.Configuration(
        np.vstack([np.zeros((1, 3)), neighbors]),
        [species.index(s) for s in symbols],
        np.arange(n + 1) == 0,
        [0],
        [0, n],
        np.arange(1, n + 1),
        species_names=list(species),
    )


def crowd(n, cutoff, seed=0):
    """One atom and n neighbors of two species at all distances, some of them too far."""
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((n, 3))
    radii = rng.uniform(0.6, 1.1 * cutoff, n) / np.linalg.norm(directions, axis=1)
    return environment(directions * radii[:, None], ["Si", *rng.choice(["Si", "C"], n)])


def on_axes():
    """Neighbors exactly above, below and beside the centre, where angles are not defined."""
    return environment(
        [[0, 0, 1.7], [0, 0, -2.1], [1.9, 0, 0], [0, -2.3, 0], [-3.1, 0, 0], [0, 0, 3.9]],
        ["Si", "Si", "C", "C", "Si", "Si", "C"],
    )


def on_one_axis():
    """The same along z alone: all m but 0 vanish, their derivatives do not."""
    return environment([[0, 0, 1.7], [0, 0, -2.1]], ["C", "C", "Si"])


def at_a_corner():
    """A crystal with an atom exactly at the cell's corner, its neighbors at lattice vectors."""
    atoms = Atoms("SiC", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[3, 3, 3], pbc=True)
    return tm.Configuration.from_atoms(atoms, 4.2, ["Si", "C"])


def gas():
    """Few neighbors; some atoms have none."""
    rng = np.random.default_rng(8)
    positions = rng.uniform(0, 9, (14, 3))
    while True:
        distances = np.linalg.norm(positions[:, None] - positions, axis=-1)
        near = np.argwhere(np.triu(distances < 0.9, 1))
        if not len(near):
            break
        positions[near[0, 0]] = rng.uniform(0, 9, 3)
    atoms = Atoms(rng.choice(["C", "Si"], 14), positions=positions)
    return tm.Configuration.from_atoms(atoms, 4.2, ["C", "Si"])


ENVIRONMENTS = {
    "axes": on_axes,
    "one axis": on_one_axis,
    "corner": at_a_corner,
    "gas": gas,
    "130 neighbors": lambda: crowd(130, 4.2),
    "301 neighbors": lambda: crowd(301, 4.2, seed=1),
}
