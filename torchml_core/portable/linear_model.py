"""Models that are linear in the values of a descriptor: energies and forces from one pass.

``nn.ElementPolynomials`` of degree 1, as of linear SNAP potentials, needs no torch: the descriptor
computes the energies and their gradient together (``energy_and_gradient``), which takes less time
than values, network, gradient. Such a model is recognized by the code of its ``forward``; all
others run as they are.
"""

from __future__ import annotations

import copy
import functools
import io
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from torchml_core.portable.conventions import particle_virials
from torchml_core.portable.prediction import not_asked

if TYPE_CHECKING:
    from typing import Any

    from torchml_core.annotations import Doubles
    from torchml_core.configuration import Configuration
    from torchml_core.descriptors.base import Descriptor


class LinearFunction(NamedTuple):
    """``constants[code] + weights[code] · D``, (n_elements,) and (n_elements, width) float64."""

    constants: Doubles
    weights: Doubles


def linear_function(module: torch.jit.ScriptModule) -> LinearFunction | None:
    """Return the function that a TorchScript module is, if it is an ElementPolynomials of degree 1.

    Parameters
    ----------
    module : torch.jit.ScriptModule
        As loaded, before it is frozen.
    """
    if getattr(module, "original_name", "") != "ElementPolynomials" or module.code != _own_code():
        return None
    if module.degree != 1 or {module.constant.dtype, module.linear.dtype} != {torch.float64}:
        return None
    arrays = (
        parameter.detach().cpu().numpy().copy() for parameter in (module.constant, module.linear)
    )
    return LinearFunction(*arrays)


@functools.cache
def _own_code():
    """The code of ElementPolynomials as it is in a file."""
    from torchml_core.nn.element_polynomials import ElementPolynomials

    descriptor: Any = SimpleNamespace(species=("H",), width=1)
    stored = io.BytesIO()
    torch.jit.save(torch.jit.script(ElementPolynomials(descriptor)), stored)
    stored.seek(0)
    return torch.jit.load(stored).code


class LinearModel:
    """A linear function on a descriptor, for the species of a model.

    Parameters
    ----------
    function : LinearFunction
    descriptor : Descriptor
    species : tuple of str
        Of the model.
    """

    def __init__(
        self, function: LinearFunction, descriptor: Descriptor, species: tuple[str, ...]
    ) -> None:
        self._function, self._descriptor, self._species = function, descriptor, species

    @property
    def fits(self) -> bool:
        """Whether the function takes the descriptor's values, of all species of the model."""
        shape = len(self._species), self._descriptor.width
        same_species = set(self._descriptor.species) == set(self._species)
        return self._function.weights.shape == shape and same_species

    def takes(self, codes: Any) -> bool:
        """Whether all species of the model, which are given as ``codes``, have a weight."""
        return bool((codes < len(self._function.constants)).all())

    def values(
        self,
        c: Configuration,
        codes: Any,
        *,
        forces: bool,
        virial: bool,
        n_threads: int | None,
    ) -> dict[str, Any]:
        """Return the values of a Prediction.

        Parameters
        ----------
        c : Configuration
        codes : (n_species,) int array
            What the model is given for each of its species.
        forces, virial : bool
            What is asked for.
        n_threads : int or None
        """
        descriptor = self._descriptor
        constants, weights = (array[codes] for array in self._function)
        order = [self._species.index(name) for name in descriptor.species]
        energies, gradient, W = descriptor.energy_and_gradient(
            c, weights[order], virial=True, n_threads=n_threads
        )
        rows = c.codes(self._species)[c.centers]
        particle_energies = np.zeros(c.n_particles)
        particle_energies[c.centers] = energies + constants[rows]
        values: dict[str, Any] = {
            "energy": float(particle_energies.sum()),
            "particle_energies": particle_energies,
        }
        values |= dict.fromkeys(("virial", "particle_virials"), not_asked("virial"))
        values["forces"] = -gradient if forces else not_asked("forces")
        if virial:
            now = copy.copy(c)  # virials are those of the present positions
            now.positions = c.positions.copy()
            values["virial"] = W
            values["particle_virials"] = partial(
                particle_virials, descriptor, now, weights[rows], n_threads
            )
        return values
