"""Neighbor lists that outlive small moves of the atoms, for molecular dynamics."""

from dataclasses import replace

import numpy as np

from torchml_core import checks
from torchml_core.configuration import Configuration
from torchml_core.configuration_checks import check_species
from torchml_core.graph import MOST_LAYERS
from torchml_core.structure import as_structure


class VerletList:
    """Configurations for the steps of a simulation, searched anew only when needed.

    Lists are made with ``cutoff + skin``. Until an atom has moved by half the skin, no pair
    that was farther than that can have come within the cutoff: two atoms approach each other by
    at most twice the larger move. A change of cell, boundary conditions, number or kind of
    atoms always makes new lists.

    Several threads may use one: each gets lists that hold for its own structure. Where their
    structures differ, one for each saves more.

    Parameters
    ----------
    cutoff : float
        In Å.
    skin : float
        In Å; 0 makes new lists whenever an atom moves.
    species : sequence of str, optional
        As in :meth:`Configuration.from_atoms`.
    n_layers : int
        As in :meth:`Configuration.from_atoms`. Every layer has the skin.
    n_threads : int, optional

    Attributes
    ----------
    n_builds : int
        How often lists were made.
    """

    def __init__(self, cutoff, skin=0.5, *, species=None, n_layers=1, n_threads=None):
        self.cutoff = checks.positive("cutoff", cutoff)
        self.skin = checks.not_negative("skin", skin)
        self.species = None if species is None else check_species(species)
        self.n_layers = checks.whole("n_layers", n_layers, 1, MOST_LAYERS)
        self.n_threads = n_threads
        self.n_builds = 0
        # The structure that the lists were made for, and they: read and replaced together, since
        # other threads do so too.
        self._built = None

    def update(self, structure):
        """Return the configuration of a structure, with new lists if the old ones do not hold.

        Parameters
        ----------
        structure : ase.Atoms

        Returns
        -------
        Configuration
            Its lists hold every pair within the cutoff, and some of the skin.
        """
        structure = as_structure(structure)
        built = self._built
        if built is not None and self._holds(built[0], structure):
            return built[1].with_positions(structure.positions)
        # a copy: ASE moves atoms by writing into the same array
        structure = replace(structure, positions=structure.positions.copy())
        configuration = Configuration.from_atoms(
            structure,
            self.cutoff + self.skin,
            self.species,
            n_layers=self.n_layers,
            n_threads=self.n_threads,
        )
        self._built = structure, configuration
        self.n_builds += 1
        return configuration

    def _holds(self, built, structure):
        """Whether lists that were made for one structure do for another."""
        if built.kind_names != structure.kind_names:
            return False
        for name in ("kinds", "pbc", "cell"):
            if not np.array_equal(getattr(built, name), getattr(structure, name)):
                return False
        moves = structure.positions - built.positions
        return 4 * np.einsum("ak,ak->a", moves, moves).max() <= self.skin**2
