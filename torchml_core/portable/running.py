"""How a loaded model is run: its inputs, its network in the right floating type, its results."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from torchml_core import checks
from torchml_core.configuration import Configuration
from torchml_core.errors import ModelError
from torchml_core.portable import conventions, evaluation
from torchml_core.portable.extrapolation import outside_of
from torchml_core.portable.linear_model import LinearModel
from torchml_core.portable.prediction import not_asked, not_given
from torchml_core.portable.remote_pair import run_beside_pair
from torchml_core.portable.species_input import ELEMENTS_MAP
from torchml_core.portable.trial_crystal import trial_crystal

TOO_CLOSE = 0.5  # Å: real atoms are never so close, so this explains a NaN


class _ModelRunner:
    """The part of a :class:`~torchml_core.PortableModel` that runs it.

    Uses the attributes that PortableModel sets. A network that is linear in the descriptor, or one
    of ours, is evaluated without torch; others by their executor.
    """

    def _values(self, c, *, forces, virial, n_threads):
        """Values for Prediction without pair terms, and what is outside of the training range."""
        if self._linear is not None and (forces or virial):
            codes = self._species_input().numbers(self.species)
            if self._linear.takes(codes):
                asked = {"forces": forces, "virial": virial, "n_threads": n_threads}
                return self._linear.values(c, codes, **asked), None
        evaluated = None
        if (forces or virial) and self.descriptor is not None:
            evaluated = self._calling.evaluate(c, n_threads)
            descriptor_values = evaluated.values
        else:
            descriptor_values = self._calling.values(c, n_threads)
        outside = None
        if self._limits is not None:
            outside = outside_of([self._limits], c, descriptor_values)
        found = self._outcome(c, descriptor_values, gradient=forces or virial, n_threads=n_threads)
        values = self._energies(c, found)
        values.update(self._derivatives(c, found, forces, virial, n_threads, evaluated))
        return values, outside

    def _find_linear(self, dtype):
        """The LinearModel that the model is, if it is one and its values are not needed."""
        function, parameters = self._executor.linear, self.parameters
        if function is None or not parameters.takes_species or parameters.returns_forces:
            return None
        if self.convention != "descriptor" or self.device.type != "cpu":
            return None
        if self._limits is not None or dtype not in (None, "float64"):
            return None
        linear = LinearModel(function, self.descriptor, self.species)
        return linear if linear.fits else None

    def _find_plain(self, dtype):
        """Whether the model is a PlainNetwork that takes the descriptor's values."""
        if self.descriptor is None or self.device.type != "cpu" or self._executor.plain is None:
            return False
        plain = self._executor.plain
        asked = dtype is None or getattr(torch, dtype) == plain.dtype
        return asked and plain.width == self.descriptor.width

    def _outcome(self, c, values, *, gradient, n_threads=None):
        """The Outcome for a configuration and the values of its descriptor; checked."""
        found = self._run_plain(c, values, gradient, n_threads) if self._is_plain else None
        if found is None:
            with evaluation.own_state(self.device):
                found = self._run(c, values, gradient)
        evaluation.check_finite(
            found.energies, found.gradient, self._executor.path, partial(self._hint, c)
        )
        return found

    def _run_plain(self, c, values, gradient, n_threads):
        """The Outcome of a PlainNetwork; None if it has no network for one of the species."""
        plain = self._executor.plain
        codes = None  # of no use if there is one element
        if self.parameters.takes_species:
            if not plain.takes(self._species_input().numbers(self.species)):
                return None  # torch says what is wrong
            if plain.n_elements > 1:
                codes = self._calling.species(c)
        elif plain.n_elements > 1:
            return None
        results = plain.evaluate(values, codes, gradient=gradient, n_threads=n_threads)
        return evaluation.Outcome(conventions.Inputs((), None, c.centers, True), *results)

    def _run(self, c, values, gradient):
        """The Outcome for a configuration; if the model needs it, from a larger configuration."""
        try:
            return self._run_in_a_dtype(c, gradient, values)
        except ModelError:
            if self.convention == "descriptor":
                raise
            run = partial(self._run_in_a_dtype, gradient=True)
            try:
                energies, by_particle = run_beside_pair(
                    run, c, self.parameters.cutoff, self.parameters.influence_distance
                )
            except ModelError:
                energies = None
            if energies is None:
                raise
        inputs = self._calling.inputs(c, self.dtype, self.device)
        return evaluation.Outcome(
            inputs, energies, by_particle[inputs.particles] if gradient else None
        )

    def _run_in_a_dtype(self, c, gradient, values=None):
        """The Outcome, in the floating type that the model takes."""
        trial = None if self.convention == "descriptor" else self._on_cluster
        return self._precision.run(partial(self._attempt, c, gradient, values), trial)

    def _attempt(self, c, gradient, values, choice):
        """The Outcome for a Choice of floating types."""
        inputs = self._calling.inputs(c, choice.dtype, self.device, values)
        return evaluation.run(
            self._executor_of(choice),
            inputs,
            gradient=gradient,
            returns_forces=self.parameters.returns_forces,
            given=self._calling.describe(inputs),
        )

    def _on_cluster(self, choice):
        """The Outcome for a small cluster of all species."""
        cluster = trial_crystal(self.species, self.parameters.cutoff)
        cluster.pbc = False
        c = configuration_for(self, cluster, 1)
        return self._attempt(c, True, None, choice)

    def _executor_of(self, choice):
        if choice.default == torch.float32:
            return self._executor
        if self._other_executor is None:
            self._other_executor = self._executor.with_default(choice.default)
        return self._other_executor

    def _energies(self, c, found):
        """Energies for Prediction."""
        return {
            "energy": float(np.add.reduce(found.energies, axis=None)),
            "particle_energies": _particle_energies(c, found.inputs.atoms, found.energies),
        }

    def _derivatives(self, c, found, forces, virial, n_threads, evaluated=None):
        """Forces and virials for Prediction, or the errors that say why there are none."""
        values = {name: not_asked(name) for name in ("forces", "virial")}
        values["particle_virials"] = not_asked("virial")
        if found.gradient is None:
            return values
        asked = {"virial": virial, "n_threads": n_threads}
        if evaluated is not None:
            asked["evaluated"] = evaluated
        derivatives = self._calling.derivatives(c, found.inputs, found.gradient, **asked)
        if forces:
            values["forces"] = derivatives.forces
        if virial:
            values["virial"] = derivatives.virial
            values["particle_virials"] = derivatives.particle_virials or not_given(
                "particle_virials", self._calling.no_particle_virials
            )
        return values

    def _hint(self, c):
        """A hint on possible causes of NaN, for the message."""
        if self.convention == "descriptor":
            return ""
        closest = conventions.closest_pair(c)
        if closest and closest[2] < TOO_CLOSE:
            i, j, distance = closest
            return f"; {conventions.name_pair(c, i, j)} are only {distance:.3g} Å apart"
        if self.species_input.kind == "atomic_numbers":
            return ""
        return (
            "; the model was given species codes (0, 1, ...): one that divides by its species "
            "needs atomic numbers: species_input='atomic_numbers' of PortableModel.load, or the "
            f"environment variable {ELEMENTS_MAP} (set to anything)"
        )


def _particle_energies(c, atoms, energies):
    """Those of all particles, made when they are read; or the error that says why not."""
    if energies.ndim == 0 or energies.size != c.n_centers:
        return not_given(
            "particle_energies",
            f"the model returns energies of shape {energies.shape}, not one for each of the "
            f"{c.n_centers} contributing particles",
        )
    return partial(_of_particles, c.n_particles, atoms, energies.flatten())  # a copy


def _of_particles(n, atoms, energies):
    values = np.zeros(n)
    values[atoms] = energies
    return values


def configuration_for(model, structure, n_threads):
    """Return the configuration of a structure with the lists that a model or committee needs."""
    if isinstance(structure, Configuration):
        return structure
    return Configuration.from_atoms(
        structure, model.cutoff, model.species, n_layers=model.n_layers, n_threads=n_threads
    )


def evaluate_each(model, structures, **options):
    """Yield ``model.evaluate(structure, **options)`` of each structure, one at a time."""
    try:
        structures = iter(structures)
    except TypeError:
        checks.refuse("structures", structures, "an iterable of ASE Atoms or Configurations")
    for structure in structures:
        yield model.evaluate(structure, **options)


def no_values(c, forces, virial):
    """Return the values of a Prediction if no particle contributes."""
    n = c.n_particles
    shapes = {"forces": (n, 3), "virial": (3, 3), "particle_virials": (n, 3, 3)}
    asked = {"forces": forces, "virial": virial, "particle_virials": virial}
    values = {k: np.zeros(shapes[k]) if asked[k] else not_asked(k) for k in shapes}
    return {"energy": 0.0, "particle_energies": np.zeros(n), **values}
