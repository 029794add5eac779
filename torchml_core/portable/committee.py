"""Committee: several models of the same species, whose spread estimates their error."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks
from torchml_core.errors import InputError, MissingFileError
from torchml_core.portable.added_terms import AddedTerms
from torchml_core.portable.extrapolation import outside_of
from torchml_core.portable.folder import MEMBERS_FOLDER, member_folders
from torchml_core.portable.model import PortableModel
from torchml_core.portable.prediction import Prediction
from torchml_core.portable.running import configuration_for, evaluate_each, no_values

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from torchml_core.annotations import Evaluated, PathLike
    from torchml_core.configuration import Configuration
    from torchml_core.portable.extrapolation import Outside, TrainingLimits

ENERGIES = ("energy", "particle_energies")
DERIVATIVES = ("forces", "virial", "particle_virials")


class Committee:
    """Portable models that are evaluated together: their mean, and their deviations from it.

    Parameters
    ----------
    models : sequence of PortableModel or path-like
        At least two members, of any conventions, with the same species in any order. A path-like
        is loaded.

    Attributes
    ----------
    models : tuple of PortableModel
    species : tuple of str
        In the order of the first member. Particles of a configuration without species names are
        given by codes in this order.
    cutoff : float
        The largest cutoff of the members, in Å.
    influence_distance : float
        The largest of the members', in Å.
    n_layers : int
        The largest number of hops that ghosts must cover: 1 without graph models.

    Raises
    ------
    InputError
        If there are fewer than two models, or their species differ.

    Notes
    -----
    Members with equal descriptors share its values, which are computed once, and their mean forces
    need one chain rule. The forces of each member are computed when ``forces_std`` is read.
    """

    def __init__(self, models: Sequence[PortableModel | PathLike]) -> None:
        needed = "a sequence of at least two portable models or their folders"
        if isinstance(models, PortableModel):
            checks.refuse("models", models, needed)
        members = checks.sequence("models", models, needed)
        if len(members) < 2:
            checks.refuse("models", models, needed)
        self.models = tuple(
            m if isinstance(m, PortableModel) else PortableModel.load(m) for m in members
        )
        self.species = self.models[0].species
        for number, model in enumerate(self.models):
            if set(model.species) != set(self.species):
                raise InputError(
                    f"models[{number}] has the species {', '.join(model.species)}: those of"
                    f" models[0], {', '.join(self.species)}, are needed"
                )
        self.cutoff = max(model.cutoff for model in self.models)
        self.influence_distance = max(model.influence_distance for model in self.models)
        self.n_layers = max(model.n_layers for model in self.models)
        self._groups = _groups(self.models)

    @classmethod
    def load(
        cls, folder: PathLike, *, device: str | torch.device | None = None, trust: bool = False
    ) -> Committee:
        """Load the members of a committee from ``folder/members/1``, ``folder/members/2``, ...

        Parameters
        ----------
        folder : path-like
            Subfolders of ``members`` are loaded in the order of their numbers or names.
        device, trust
            As for :meth:`PortableModel.load`.

        Raises
        ------
        MissingFileError
            If the folder has no ``members``.
        Others
            As :meth:`PortableModel.load` and the constructor.
        """
        members = member_folders(folder)
        if not members:
            raise MissingFileError(
                f"{folder}: there is no folder {MEMBERS_FOLDER} with the members of a committee"
            )
        return cls([PortableModel.load(path, device=device, trust=trust) for path in members])

    def evaluate(
        self,
        structure: Evaluated,
        *,
        forces: bool = True,
        virial: bool = True,
        n_threads: int | None = None,
    ) -> CommitteePrediction:
        """Evaluate a structure or a configuration with all members.

        Parameters
        ----------
        structure : ase.Atoms or Configuration
            A configuration must have lists that reach to ``cutoff``, and for graph models ghosts
            that reach to ``influence_distance``.
        forces, virial, n_threads
            As for :meth:`PortableModel.evaluate`.

        Returns
        -------
        CommitteePrediction

        Raises
        ------
        InputError, ModelError, UnsupportedError
            As :meth:`PortableModel.evaluate`, from the first member that fails.
        """
        if torch.compiler.is_compiling():  # as in PortableModel.evaluate
            evaluate = torch.compiler.disable(Committee.evaluate)
            return evaluate(self, structure, forces=forces, virial=virial, n_threads=n_threads)
        forces, virial = checks.flag("forces", forces), checks.flag("virial", virial)
        c = self._configuration(structure, n_threads)
        if c.n_centers == 0:
            values = no_values(c, forces, virial)
            outside = outside_of([model._limits for model in self.models])
            members = [Prediction(c, values, outside_of([m._limits])) for m in self.models]
            return CommitteePrediction(c, values, members, outside)
        now = copy.copy(c)  # members' forces are those of the present positions, even if read later
        now.positions = c.positions.copy()
        asked = {"forces": forces, "virial": virial, "n_threads": n_threads}
        groups = [group.evaluate(now, asked) for group in self._groups]
        by_number = {number: member for own, _ in groups for number, member in own.items()}
        ordered = [by_number[number] for number in range(len(by_number))]
        share = 1 / len(ordered)
        values = _weighted_sums([(share, member._values) for member in ordered], ENERGIES)
        means = [(share * len(own), mean) for own, mean in groups]
        values |= _weighted_sums(means, DERIVATIVES)
        outside = [own for member in ordered for own in member._outside or ()]
        distinct = list({id(own): own for own in outside}.values())  # members may share them
        is_known = any(member._outside is not None for member in ordered)
        return CommitteePrediction(now, values, ordered, distinct if is_known else None)

    def evaluate_many(
        self,
        structures: Iterable[Evaluated],
        *,
        forces: bool = True,
        virial: bool = True,
        n_threads: int | None = None,
    ) -> Iterator[CommitteePrediction]:
        """Yield the CommitteePrediction of each structure or configuration, one at a time.

        Parameters
        ----------
        structures : iterable of ase.Atoms or Configuration
        forces, virial, n_threads
            As for :meth:`evaluate`.
        """
        return evaluate_each(self, structures, forces=forces, virial=virial, n_threads=n_threads)

    def __repr__(self):
        names = ", ".join(model.folder.name for model in self.models[:4])
        more = ", ..." if len(self.models) > 4 else ""
        return f"<Committee of {len(self.models)}: {names}{more}; {' '.join(self.species)}>"

    def _configuration(self, structure, n_threads):
        c = configuration_for(self, structure, n_threads)
        if c.species_names is None:  # so that each member finds its own codes
            c.codes(self.species)  # checks them
            c = copy.copy(c)
            c.species_names = self.species
        return c


class CommitteePrediction(Prediction):
    """The mean of the predictions of a committee, and the standard deviations of its members.

    Made by :meth:`Committee.evaluate`. It has everything that a :class:`Prediction` has, for the
    mean of all members. Standard deviations are those of the population, as numpy's: the root mean
    square of the members' differences from their mean, without Bessel's correction.

    Attributes
    ----------
    members : tuple of Prediction
        Of each model, in their order. Their forces and virials are computed when first read.
    energy_std : float
        In eV.
    particle_energies_std : (n_particles,) float64
        In eV. UnsupportedError if a member returns only the total energy.
    forces_std : (n_particles, 3) float64
        In eV/Å, of each component. Of the forces on atoms after :meth:`fold`, to which all images
        of an atom contribute.
    virial_std : (3, 3) float64
        In eV.
    stress_std : (6,) float64
        In eV/Å³, in the order of ``stress``.
    """

    def __init__(
        self,
        configuration: Configuration,
        values: Mapping[str, Any],
        members: Sequence[Prediction],
        outside: Sequence[Outside] | None = None,
        *,
        folded: bool = False,
    ) -> None:
        super().__init__(configuration, values, outside, folded=folded)
        self.members = tuple(members)

    @property
    def energy_std(self) -> float:
        return float(self._std("energy"))

    particle_energies_std = property(lambda self: self._std("particle_energies"))
    forces_std = property(lambda self: self._std("forces"))
    virial_std = property(lambda self: self._std("virial"))
    stress_std = property(lambda self: self._std("stress"))

    def fold(self) -> CommitteePrediction:
        """Return the prediction over atoms, as :meth:`Prediction.fold`."""
        if self._folded:
            return self
        members = [member.fold() for member in self.members]
        values, outside = self._values_to_fold(), self._folded_outside()
        return CommitteePrediction(self._configuration, values, members, outside, folded=True)

    def __repr__(self):
        over = f"{self.n_particles} {'atoms' if self._folded else 'particles'}"
        spread = f"{self.energy:.6f} ± {self.energy_std:.6f}"
        return f"<CommitteePrediction: energy {spread} over {over}, {len(self.members)} members>"

    def _std(self, name):
        return np.std([getattr(member, name) for member in self.members], axis=0)


class _Group:
    """Models with equal descriptors and pair terms, or one model without a descriptor.

    Attributes
    ----------
    members : list of (int, PortableModel)
        With their numbers in the committee.
    limits : list of TrainingLimits or None
        Of each member; the same object where they are equal.
    """

    def __init__(self) -> None:
        self.members: list[tuple[int, PortableModel]] = []
        self.limits: list[TrainingLimits | None] = []

    def add(self, number, model):
        same = (own for own in self.limits if own is not None and own == model._limits)
        self.limits.append(next(same, model._limits))
        self.members.append((number, model))

    def takes(self, model):
        """Whether a model shares the descriptor and the pair terms."""
        first = self.members[0][1]
        mine = first.descriptor, first.pair_terms
        return model.descriptor is not None and mine == (model.descriptor, model.pair_terms)

    def evaluate(self, c, asked):
        """Return each member's Prediction by its number, and the values of the mean derivatives."""
        first, n_threads = self.members[0][1], asked["n_threads"]
        gradient = asked["forces"] or asked["virial"]
        D = first._calling.values(c, n_threads)
        terms = AddedTerms(first.pair_terms, c, n_threads, derivatives=gradient)
        found = [
            # a copy: a model may work in place
            model._outcome(
                c, None if D is None else D.copy(), gradient=gradient, n_threads=n_threads
            )
            for _, model in self.members
        ]
        mean = _Derivatives(first, c, _mean_outcome(found), terms, asked)
        outside = {id(limits): outside_of([limits], c, D) for limits in self.limits}
        predictions = {}
        for (number, model), own, limits in zip(self.members, found, self.limits, strict=True):
            energies = terms.add_to(model._energies(c, own))
            alone = mean
            if len(found) > 1:  # with a descriptor, whose chain rule does not need the inputs
                alone = _Derivatives(model, c, replace(own, inputs=None), terms, asked)
            values = {**energies, **alone.when_read()}
            predictions[number] = Prediction(c, values, outside[id(limits)])
        return predictions, mean.values


def _groups(models):
    groups: list[_Group] = []
    for number, model in enumerate(models):
        for group in groups:
            if group.takes(model):
                break
        else:
            group = _Group()
            groups.append(group)
        group.add(number, model)
    return groups


def _mean_outcome(found):
    """The Outcome of models with the same inputs, with the mean of their gradients."""
    if len(found) == 1 or found[0].gradient is None:
        return found[0]
    return replace(found[0], gradient=np.mean([own.gradient for own in found], axis=0))


class _Derivatives:
    """Forces and virials from an Outcome of a model, with its terms, computed when needed."""

    def __init__(self, model, c, found, terms, asked):
        self._model, self._c, self._found = model, c, found
        self._terms, self._asked = terms, asked

    @cached_property
    def values(self):
        """Those of a Prediction."""
        return self._terms.add_to(self._model._derivatives(self._c, self._found, **self._asked))

    def when_read(self):
        """Return values of a Prediction that are computed when one of them is read."""
        return {name: partial(self._read, name) for name in DERIVATIVES}

    def _read(self, name):
        return getattr(Prediction(self._c, self.values), name)


def _weighted_sums(parts, names):
    """The sum of weight times value for each name, of ``parts``: pairs of a weight and values."""
    return {name: _weighted_sum([(w, values[name]) for w, values in parts]) for name in names}


def _weighted_sum(parts):
    for _, value in parts:
        if isinstance(value, Exception):
            return value
    if any(callable(value) for _, value in parts):
        return partial(_sum_when_read, parts)
    return sum(weight * value for weight, value in parts)


def _sum_when_read(parts):
    return sum(weight * (value() if callable(value) else value) for weight, value in parts)
