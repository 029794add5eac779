"""Neighbor lists that outlive small moves of the atoms, for molecular dynamics."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from torchml_core import checks
from torchml_core._moving import Reach
from torchml_core.configuration import Configuration
from torchml_core.configuration_checks import check_species
from torchml_core.distances import scale_for
from torchml_core.graph import MOST_LAYERS
from torchml_core.threads import check_n_threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torchml_core.annotations import StructureLike


class VerletList:
    """Configurations for the steps of a simulation, rebuilt only when needed.

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

    def __init__(
        self,
        cutoff: float,
        skin: float = 0.5,
        *,
        species: Sequence[str] | None = None,
        n_layers: int = 1,
        n_threads: int | None = None,
    ) -> None:
        self.cutoff = checks.positive("cutoff", cutoff)
        self.skin = checks.not_negative("skin", skin)
        self.species = None if species is None else check_species(species)
        self.n_layers = checks.whole("n_layers", n_layers, 1, MOST_LAYERS)
        self.n_threads = check_n_threads(n_threads)
        self.n_builds = 0
        # The lists, and the structure they were made for: one object, so that threads read and
        # replace both at once.
        self._built: _Built | None = None

    def update(self, structure: StructureLike) -> Configuration:
        """Return the configuration of a structure, with new lists if the old ones do not hold.

        Parameters
        ----------
        structure : ase.Atoms

        Returns
        -------
        Configuration
            Its lists hold every pair within the cutoff, and some of the skin.
        """
        built = self._built
        if built is not None:
            positions = built.reach.place(structure)
            if positions is not None:
                return built.configuration._with(positions)
        numbers = np.array(getattr(structure, "numbers", None))
        configuration = Configuration.from_atoms(
            structure,
            self.cutoff + self.skin,
            self.species,
            n_layers=self.n_layers,
            n_threads=self.n_threads,
        )
        self._built = _Built(configuration, self._reach(numbers, configuration))
        self.n_builds += 1
        return configuration

    def _reach(self, numbers, configuration):
        """How far the atoms may move; of copies, since configurations belong to who asked."""
        scale = scale_for(self.skin)
        return Reach(
            numbers,
            configuration.positions[: configuration.n_centers].copy(),  # atoms come first
            configuration.cell.copy(),
            configuration.pbc.copy(),
            configuration._mover(),
            scale,
            (self.skin * scale / 2) ** 2,
        )


class _Built(NamedTuple):
    """Lists, and how far their atoms may move."""

    configuration: Configuration
    reach: Reach
