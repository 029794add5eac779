"""Isolated atoms, for models that fail on them: evaluated together with a pair that is far away.

A model that differentiates its own energy fails if the energy does not depend on any position: for
isolated atoms, and for pairs beyond a cutoff of its own. Other models cannot take empty lists, or
were exported for at least one neighbor. Their energy can still be computed, because it is a sum
over atoms of terms that depend on each atom's neighborhood. It is the energy of the atoms together
with a pair out of reach, minus the energy of the pair. Forces and energies per atom are in the
atoms' own rows.

The model is checked for being such a sum: the energy of two pairs out of each other's reach must be
the sum of their energies, and the pair next to the atoms must have the forces that it has alone.
"""

import contextlib
from itertools import combinations_with_replacement, product

import numpy as np
import torch

from torchml_core.configuration import Configuration
from torchml_core.errors import ModelError

# Fractions of the cutoff: for these species a model's own may be shorter than that of its file.
DISTANCES = (0.8, 0.65, 0.5, 0.4, 0.3)
# of the largest energy and gradient, by precision
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}


def run_beside_pair(run, c, cutoff, reach):
    """Evaluate a configuration together with a pair that is out of its reach.

    Parameters
    ----------
    run : callable
        Takes a Configuration and returns an evaluation.Outcome with a gradient in positions.
    c : Configuration
        Some of its particles contribute.
    cutoff, reach : float
        The model's cutoff and influence distance, in Å.

    Returns
    -------
    energies : float64 array
        One for each contributing particle, in the order of the model's rows, if it gives those.
    gradient : (n_particles, 3) float64 array
        dE/dr of each particle of ``c``.

    Raises
    ------
    ModelError
        If the model cannot be run on a pair either, or its energy is not a sum over atoms.
    """
    pairs, alone = _first_that_runs(run, c, cutoff, reach)
    # the second pair is as far from the first as that one is from everything else
    others = _moved(pairs, 2 * (reach + cutoff))
    other, both = run(others), run(_joined(pairs, others))
    beside = run(_joined(c, pairs))
    _require_sum(both.energies.sum(), alone.energies.sum() + other.energies.sum(), alone.precision)
    gradient = beside.gradient_by_particle(c.n_particles + 2)
    _require_sum(gradient[-2:], alone.gradient_by_particle(2), alone.precision)
    if beside.energies.size == c.n_centers + 2:
        energies = beside.energies.ravel()[beside.inputs.atoms < c.n_particles]
    elif beside.energies.shape == alone.energies.shape:
        energies = beside.energies - alone.energies
    else:
        energies = np.array(beside.energies.sum() - alone.energies.sum())
    return energies, gradient[:-2]


def _first_that_runs(run, c, cutoff, reach):
    """A pair beyond the reach of all particles, close enough for the model, and its Outcome."""
    place = np.median(c.positions, axis=0)
    place[0] = c.positions[:, 0].max() + 2 * reach + cutoff
    present = np.unique(c.species[c.contributing])
    # two of one species first
    both = sorted(combinations_with_replacement(present, 2), key=lambda pair: pair[0] != pair[1])
    for species, distance in product(both, DISTANCES):
        pair = _pair(c, place, distance * cutoff, species)
        with contextlib.suppress(ModelError):
            alone = run(pair)
            if np.isfinite(alone.energies).all() and np.isfinite(alone.gradient).all():
                return pair, alone
    raise ModelError("it fails on a pair too")


def _pair(c, place, distance, species):
    """A configuration of two contributing particles, with the settings of ``c``."""
    rows = np.array([0, 1, 2], dtype=np.int64), np.array([1, 0], dtype=np.int32)
    particles = np.arange(2, dtype=np.int32)
    return Configuration.unchecked(
        positions=np.stack([place, place + np.array([distance, 0.0, 0.0])]),
        species=np.array(species, dtype=c.species.dtype),
        contributing=np.ones(2, dtype=bool),
        centers=particles,
        offsets=rows[0],
        neighbors=rows[1],
        species_names=c.species_names,
        cutoff=c.cutoff,
        n_layers=c.n_layers,
        all_rows=None if c.all_rows is None else (particles, *rows),
    )


def _moved(c, by):
    moved = Configuration.unchecked(**vars(c))
    moved.positions = c.positions + np.array([by, 0.0, 0.0])
    return moved


def _joined(a, b):
    """The particles of both, those of the second after the first, with their lists unchanged."""
    n = a.n_particles
    together = {
        name: np.concatenate([getattr(a, name), getattr(b, name)])
        for name in ("positions", "species", "contributing")
    }
    lists = _joined_rows(
        (a.centers, a.offsets, a.neighbors), (b.centers, b.offsets, b.neighbors), n
    )
    together.update(zip(("centers", "offsets", "neighbors"), lists, strict=True))
    if a.all_rows is not None:
        together["all_rows"] = _joined_rows(a.all_rows, b.all_rows, n)
    shared = {name: getattr(a, name) for name in ("species_names", "cutoff", "n_layers")}
    return Configuration.unchecked(**together, **shared)


def _joined_rows(a, b, n):
    """Rows (particles, offsets, neighbors) of both; those of ``b`` count from particle n."""
    particles, offsets, neighbors = zip(a, b, strict=True)
    offset = offsets[0][-1]
    return (
        np.concatenate([particles[0], particles[1] + particles[0].dtype.type(n)]),
        np.concatenate([offsets[0], offsets[1][1:] + offset]),
        np.concatenate([neighbors[0], neighbors[1] + neighbors[0].dtype.type(n)]),
    )


def _require_sum(found, expected, dtype):
    scale = max(np.abs(found).max(), np.abs(expected).max())
    if not np.abs(found - expected).max() <= TOLERANCES.get(dtype, 1e-2) * scale:
        raise ModelError("its energy is not a sum over atoms")
