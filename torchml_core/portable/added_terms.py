"""What a model's pair terms add to its energies, forces and virials."""

from __future__ import annotations

import copy
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from torchml_core.portable.conventions import particle_virials

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from torchml_core.configuration import Configuration
    from torchml_core.descriptors.base import Descriptor


class AddedTerms:
    """The sum of pair terms for one configuration, at its present positions.

    Parameters
    ----------
    terms : sequence of Descriptor
        Each with one value, an energy per atom in eV; see :mod:`torchml_core.pair_terms`.
    configuration : Configuration
        Its lists must reach to the cutoff of every term.
    n_threads : int, optional
    derivatives : bool
        Whether forces and virials are needed.
    """

    def __init__(
        self,
        terms: Sequence[Descriptor],
        configuration: Configuration,
        n_threads: int | None,
        *,
        derivatives: bool,
    ) -> None:
        self._terms, self._n_threads = terms, n_threads
        if not terms:
            return
        self._c = c = copy.copy(configuration)  # for virials of particles, which are computed later
        c.positions = configuration.positions.copy()
        self.particle_energies = np.zeros(c.n_particles)
        self.forces, self.virial = np.zeros((c.n_particles, 3)), np.zeros((3, 3))
        for term in terms:
            if derivatives:
                energies, gradient, W = term.energy_and_gradient(
                    c, np.ones(1), virial=True, n_threads=n_threads
                )
                self.forces -= gradient
                self.virial += W
            else:
                energies = term.compute(c, n_threads=n_threads)[:, 0]
            self.particle_energies[c.centers] += energies
        self.energy = float(self.particle_energies.sum())

    def add_to(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of a Prediction with the terms in them; errors stay what they are."""
        if not self._terms:
            return dict(values)
        return {name: self._added(name, value) for name, value in values.items()}

    def _added(self, name, value):
        if isinstance(value, Exception):
            return value
        return partial(self._add, name, value) if callable(value) else self._add(name, value)

    def _add(self, name, value):
        return (value() if callable(value) else value) + getattr(self, name)

    @cached_property
    def particle_virials(self) -> Any:
        ones = np.ones((self._c.n_centers, 1))
        return sum(particle_virials(t, self._c, ones, self._n_threads) for t in self._terms)
