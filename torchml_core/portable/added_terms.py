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

    Each quantity is computed when it is first added.

    Parameters
    ----------
    terms : sequence of Descriptor
        Each with one value, an energy per atom in eV; see :mod:`torchml_core.pair_terms`.
    configuration : Configuration
        Its lists must reach to the cutoff of every term.
    n_threads : int, optional
    """

    def __init__(
        self, terms: Sequence[Descriptor], configuration: Configuration, n_threads: int | None
    ) -> None:
        self._terms, self._n_threads = terms, n_threads
        self._c = configuration
        if terms:
            self._c = copy.copy(configuration)
            self._c.positions = configuration.positions.copy()
            self._ones = np.ones((configuration.n_centers, 1))

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

    energy = property(lambda self: float(self.particle_energies.sum()))
    forces = property(lambda self: self._derivatives[0])
    virial = property(lambda self: self._derivatives[1])

    @cached_property
    def particle_energies(self) -> Any:
        energies = np.zeros(self._c.n_particles)
        for term in self._terms:
            energies[self._c.centers] += term.compute(self._c, n_threads=self._n_threads)[:, 0]
        return energies

    @cached_property
    def _derivatives(self):
        """Forces and virial."""
        forces, virial = np.zeros((self._c.n_particles, 3)), np.zeros((3, 3))
        for term in self._terms:
            dE_dr, W = term.vjp(self._c, self._ones, virial=True, n_threads=self._n_threads)
            forces -= dE_dr
            virial += W
        return forces, virial

    @cached_property
    def particle_virials(self) -> Any:
        return sum(particle_virials(t, self._c, self._ones, self._n_threads) for t in self._terms)
