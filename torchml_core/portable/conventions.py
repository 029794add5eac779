"""The three calling conventions of portable models: raw, descriptor and graph.

A convention does two things: it makes the tensors that ``forward`` takes from a configuration, and
it turns the energy's gradient with respect to one of them into forces and a virial. The step in
between, running the model, is the same for all (``evaluation.py``).

Signs: forces are -dE/dr. The virial is W = -sum over pairs of r_ij ⊗ dE/dr_ij, which is minus the
derivative of the energy with respect to strain.
"""

import os
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from torchml_core.distances import at_cutoff
from torchml_core.errors import InputError, UnsupportedError
from torchml_core.portable.species_input import WORDS, decide

DISABLE_GRAPH = ("KIM_MODEL_DISABLE_GRAPH", "KIM_MODEL_DISBALE_GRAPH")  # both spellings are in use
FAR_AWAY = 999.0  # Å, where the original puts its dummy particle


@dataclass
class Inputs:
    """What ``forward`` takes, and how its rows belong to particles.

    Attributes
    ----------
    tensors : tuple of torch.Tensor
    variable : torch.Tensor
        The one of them with respect to which the energy is differentiated.
    atoms : (n_centers,) int array
        The particle that each per-atom energy belongs to.
    interacting : bool
        Whether the energy can depend on the variable at all; it cannot on the positions of
        particles without neighbors.
    particles : (n_particles,) int array or None
        Where the variable holds positions: the particle in each of its rows.
    """

    tensors: tuple
    variable: torch.Tensor
    atoms: np.ndarray
    interacting: bool
    particles: np.ndarray | None = None


@dataclass
class Derivatives:
    """Forces (n_particles, 3) and virial (3, 3); ``particle_virials`` is a function or None."""

    forces: np.ndarray
    virial: np.ndarray | None
    particle_virials: object = None


class RawConvention:
    """``forward(species, coords, n_neigh, nlist, contributing)``.

    ====================================  ==========================================================
    species int64 (n,)                    codes or atomic numbers, see ``species_input``
    coords (n, 3)                         float64, or float32 from an origin near the atoms
    n_neigh int32 (n_c,)                  number of neighbors of each contributing particle
    nlist int32 (sum of n_neigh,)         their rows, one after another, in particle order
    contributing int64 (n,)               1 contributing, 0 ghost
    ====================================  ==========================================================

    Existing models index n_neigh by the number of the particle, which is its row only if the
    contributing particles come first. So they are put first here, with the order within each group
    kept; results are returned in the configuration's order. Entries beyond the cutoff are removed,
    so that a list with a skin gives the same results as a list without one.
    """

    no_particle_virials = "a raw model gives forces on particles, not on pairs"

    def __init__(self, parameters, descriptor=None, species_input=None):
        self._species, self._cutoff = parameters.species, parameters.cutoff
        self._species_input = species_input or partial(decide, None, "")

    def values(self, c, n_threads=None):
        """Return None: there is no descriptor."""
        return None

    def inputs(self, c, dtype, device, values=None):
        """Return the Inputs for a configuration."""
        c.require_cutoff(self._cutoff, "the model")
        particles = np.argsort(~c.contributing, kind="stable")
        n_neigh, nlist = _rows_within(c, self._cutoff)
        place = np.empty(c.n_particles, dtype=np.int32)
        place[particles] = np.arange(c.n_particles)
        species = self._species_input().numbers(self._species)[c.codes(self._species)[particles]]
        coords = _coordinates(c.positions.take(particles, axis=0), dtype, device)
        rest = (species, n_neigh, place.take(nlist), c.contributing[particles].astype(np.int64))
        species, n_neigh, nlist, contributing = (torch.from_numpy(a).to(device) for a in rest)
        tensors = (species, coords, n_neigh, nlist, contributing)
        return Inputs(tensors, coords, particles[: c.n_centers], len(nlist) > 0, particles)

    def derivatives(self, c, inputs, gradient, *, virial, n_threads=None):
        """Turn dE/dcoords into Derivatives."""
        return _from_positions(c, inputs, gradient, virial)

    def describe(self, inputs):
        """Say what the model was given, for messages."""
        n, n_c = len(inputs.particles), len(inputs.atoms)
        pairs = len(inputs.tensors[3])
        species = _describe_species(self._species_input())
        return f"{n} particles, {n_c} of them contributing, {pairs} neighbors{species}"


class GraphConvention:
    """``forward(species, coords, graph_1, ..., graph_L, contributing)``.

    ==========================  ====================================================================
    species int64 (n,)          codes or atomic numbers, see ``species_input``
    coords (n, 3)               float64, or float32 from an origin near the atoms
    graph_k int64 (2, n_edges)  edges of layer k, graph_1 innermost, as Configuration.staged_graph
    contributing int64 (n,)     **0** contributing, **1** ghost: the slot to sum energies in
    ==========================  ====================================================================

    Models take every second slot, so both must exist: if there is no ghost, one without edges is
    added far away (the original does so only for an isolated particle). The forces on it are
    dropped.
    """

    no_particle_virials = "a graph model gives forces on particles, not on pairs"

    def __init__(self, parameters, descriptor=None, species_input=None):
        self._species, self._cutoff = parameters.species, parameters.cutoff
        self._n_layers = parameters.n_layers
        self._species_input = species_input or partial(decide, None, "")

    def values(self, c, n_threads=None):
        """Return None: there is no descriptor."""
        return None

    def inputs(self, c, dtype, device, values=None):
        """Return the Inputs for a configuration."""
        refuse_disabled_graphs()
        i, j = c.pair_centers(), c.neighbors
        _squares(c, i, j)
        graphs = c.staged_graph(self._cutoff, self._n_layers)
        species = self._species_input().numbers(self._species)[c.codes(self._species)]
        positions = c.positions
        slots = np.where(c.contributing, 0, 1).astype(np.int64)
        if c.contributing.all():
            species = np.append(species, species[0])
            positions = np.vstack([positions, np.full(3, FAR_AWAY)])
            slots = np.append(slots, 1)
        coords = _coordinates(positions, dtype, device)
        species, slots, *graphs = (
            torch.from_numpy(a).to(device) for a in (species, slots, *graphs)
        )
        tensors = (species, coords, *graphs, slots)
        atoms, interacting = np.flatnonzero(c.contributing), graphs[0].shape[1] > 0
        return Inputs(tensors, coords, atoms, interacting, np.arange(c.n_particles))

    def derivatives(self, c, inputs, gradient, *, virial, n_threads=None):
        """Turn dE/dcoords into Derivatives."""
        return _from_positions(c, inputs, gradient, virial)

    def describe(self, inputs):
        """Say what the model was given, for messages."""
        edges = [graph.shape[1] for graph in inputs.tensors[2:-1]]
        n, n_c = len(inputs.particles), len(inputs.atoms)
        species = _describe_species(self._species_input())
        return f"{n} particles, {n_c} of them contributing, graphs of {edges} edges{species}"


class DescriptorConvention:
    """``forward(descriptor)`` or, if the ``.param`` file says 2 inputs, also the species.

    ==========================  ====================================================================
    descriptor (n_c, width)     float64 or float32: one row per contributing particle
    species int64 (n_c,)        codes or atomic numbers of these particles, see ``species_input``
    ==========================  ====================================================================

    The model gives dE/dD; the chain rule is the descriptor's ``vjp``. Particle virials are computed
    from ``pair_gradients`` when they are first read: each of the two particles of a pair gets half
    of the pair's virial.
    """

    no_particle_virials = None

    def __init__(self, parameters, descriptor, species_input=None):
        self._descriptor = descriptor
        self._species, self._takes_species = parameters.species, parameters.takes_species
        self._species_input = species_input or partial(decide, None, "")

    def values(self, c, n_threads=None):
        """Return the descriptor, (n_centers, width) float64."""
        return self._descriptor.compute(c, n_threads=n_threads)

    def evaluate(self, c, n_threads=None):
        """Return the descriptor's Evaluation, for ``derivatives``."""
        return self._descriptor.evaluate(c, n_threads=n_threads)

    def inputs(self, c, dtype, device, values):
        """Return the Inputs for a configuration and its values."""
        values = torch.from_numpy(values).to(device, dtype)
        if not self._takes_species:
            return Inputs((values,), values, c.centers, True)
        species = torch.from_numpy(self.species(c)).to(device)
        return Inputs((values, species), values, c.centers, True)

    def species(self, c):
        """Return what the model is given for the species of each contributing particle."""
        return self._species_input().numbers(self._species)[c.codes(self._species)[c.centers]]

    def derivatives(self, c, inputs, gradient, *, virial, n_threads=None, evaluated=None):
        """Turn dE/dD, finite, into Derivatives; ``evaluated``: the Evaluation, if there is one."""
        if evaluated is not None and gradient.dtype == evaluated.values.dtype:
            dE_dr, W = evaluated._vjp(np.ascontiguousarray(gradient), virial)
            now = evaluated.configuration
        else:
            # virials of particles are those of the present positions, even if particles move
            now = c._with(c.positions.copy()) if virial else c
            vjp = self._descriptor.vjp(c, gradient, virial=virial, n_threads=n_threads)
            dE_dr, W = vjp if virial else (vjp, None)
        forces = np.negative(dE_dr, out=dE_dr)
        if not virial:
            return Derivatives(forces, None)
        later = partial(particle_virials, self._descriptor, now, gradient, n_threads)
        return Derivatives(forces, W, later)

    def describe(self, inputs):
        """Say what the model was given, for messages."""
        n, width = inputs.variable.shape
        species = _describe_species(self._species_input()) if self._takes_species else ""
        return f"{n} atoms, {width} values of {type(self._descriptor).__name__} each{species}"


BY_NAME = {"raw": RawConvention, "descriptor": DescriptorConvention, "graph": GraphConvention}


def _describe_species(species_input):
    """The species input, for messages: a model made for another one may fail."""
    if species_input.kind == "codes":
        return ""
    return f", {WORDS[species_input.kind]} for species (because {species_input.why})"


def refuse_disabled_graphs():
    """Raise UnsupportedError while graph models are switched off in the environment."""
    for variable in DISABLE_GRAPH:
        if variable in os.environ:
            raise UnsupportedError(
                f"graph models are switched off by the environment variable {variable}; unset it "
                "to use this one"
            )


def _rows_within(c, cutoff):
    """Rows of the lists in particle order, without entries beyond the cutoff: sizes, neighbors."""
    i, j = c.pair_centers(), c.neighbors
    near = _squares(c, i, j) <= at_cutoff(cutoff) ** 2
    i, j = i.compress(near), j.compress(near)  # like take, much faster than an index
    if (np.diff(c.centers) < 0).any():
        by_center = np.argsort(i, kind="stable")
        i, j = i[by_center], j[by_center]
    n_neigh = np.bincount(i, minlength=c.n_particles)[c.contributing]
    return n_neigh.astype(np.int32), j


def _squares(c, i, j):
    """Squared distances of pairs (i, j); InputError if two particles have the same position."""
    r_ij = c.positions.take(j, axis=0) - c.positions.take(i, axis=0)
    squares = np.einsum("pa,pa->p", r_ij, r_ij)
    if not squares.all():
        pair = int(np.argmin(squares))
        place = ", ".join(f"{x:g}" for x in c.positions[i[pair]])
        raise InputError(
            f"positions: {name_pair(c, i[pair], j[pair])} are both at ({place}); different "
            "positions are needed"
        )
    return squares


def closest_pair(c):
    """The two closest particles of the lists and their distance in Å; None without neighbors."""
    if c.n_pairs == 0:
        return None
    i, j = c.pair_centers(), c.neighbors
    squares = _squares(c, i, j)
    pair = int(np.argmin(squares))
    return i[pair], j[pair], squares[pair] ** 0.5


def name_pair(c, i, j):
    """``particles 3 and 17 (an image of particle 4)``."""
    if c.parents is None or c.parents[j] == j:
        return f"particles {i} and {j}"
    return f"particles {i} and {j} (an image of particle {c.parents[j]})"


def _coordinates(positions, dtype, device):
    """Positions as a tensor for the model: a copy, so that the model cannot change the original.

    Far from the origin float32 has too few digits for the differences, which matter. Positions are
    then given relative to their median, which a single far particle does not move. The median is
    rounded, so that it stays constant while atoms vibrate.
    """
    if dtype != torch.float64:
        positions = positions - np.round(np.median(positions, axis=0))
    return torch.tensor(positions, dtype=dtype, device=device)


def _from_positions(c, inputs, gradient, virial):
    """Derivatives from dE/dcoords.

    The virial is the sum of r ⊗ f over all particles. If the forces add up to zero, it does not
    depend on the origin, which is put at the mean position for the best precision. If a model
    returns forces that do not add up to zero, their virial is not meaningful in any case.
    """
    forces = np.zeros((c.n_particles, 3))
    forces[inputs.particles] = -gradient[: c.n_particles]  # a dummy ghost may follow
    if not virial:
        return Derivatives(forces, None)
    return Derivatives(forces, (c.positions - c.positions.mean(axis=0)).T @ forces)


def particle_virials(descriptor, c, dE_dD, n_threads):
    """Return (n_particles, 3, 3): half of each pair's virial for each of its two particles."""
    pair_gradients = descriptor.pair_gradients(c, dE_dD, n_threads=n_threads)
    i, j = c.pair_centers(), c.neighbors
    r_ij = c.positions[j] - c.positions[i]
    halves = (-0.5 * r_ij[:, :, None] * pair_gradients[:, None, :]).reshape(-1, 9)
    virials = _sum_rows(i, halves, c.n_particles) + _sum_rows(j, halves, c.n_particles)
    return virials.reshape(-1, 3, 3)


def _sum_rows(index, rows, n):
    """(n, k) sums of the rows (m, k) with the same index, in their order: runs repeat exactly."""
    sums = [np.bincount(index, weights=column, minlength=n) for column in rows.T]
    return np.stack(sums, axis=1).astype(np.float64)  # of no rows, bincount makes integers
