"""The structures of a run: those that are fitted, those that models are compared on, and tests."""

from __future__ import annotations

from typing import NamedTuple

from torchml_core import checks
from torchml_core.dataset import Dataset
from torchml_core.errors import InputError


class Structures(NamedTuple):
    """Data sets of a run.

    Attributes
    ----------
    train, validation, test : Dataset
        The last one may be empty.
    reference_energies : dict of str to float
    held_out : bool
        Whether validation is a part of the structures given for training.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    reference_energies: dict[str, float]
    held_out: bool

    def together(self) -> Dataset:
        """Return all of them that models are fitted to or chosen with."""
        return Dataset([*self.train, *(self.validation if self.held_out else ())])

    @property
    def species(self):
        return self.train.species


def read_all(settings, member=0) -> Structures:
    """Read the files of the settings and split them, by kind and seed.

    Each member of a committee has other validation structures, if these are a part of all.
    """
    own = settings.data
    train = _read(settings, own.train, weights=dict(own.weights) or None)
    test, validation = own.test, own.validation
    if isinstance(test, list):
        test = _read(settings, test)
    else:
        train, test = train.split(test, seed=settings.seed)
    held_out = not isinstance(validation, list)
    if held_out:
        train, validation = train.split(validation, seed=settings.seed + member)
    else:
        validation = _read(settings, validation)
    for name, data in (("validation", validation), ("test", test)):
        others = [s for s in data.species if s not in train.species]
        if others:
            raise InputError(
                f"data.{name}: structures with {others[0]}, which those for training lack;"
                f" elements of {', '.join(train.species)} are needed"
            )
    if not any(train.count(name) for name in ("energy", "forces", "stress")):
        raise InputError(
            "data.train: no energies, forces or stresses are found; structures with labels, or"
            " data.energy_key, data.forces_key and data.stress_key with their names, are needed"
        )
    if not any(validation.count(name) for name in ("energy", "forces", "stress")):
        raise InputError(
            "data.validation: structures with labels, a file of them or a larger fraction, are"
            " needed to compare models"
        )
    references = train.reference_energies(_isolated(own.isolated_atoms))
    return Structures(train, validation, test, references, held_out)


def _read(settings, paths, weights=None):
    own = settings.data
    return Dataset.read(
        [str(settings.path(path)) for path in paths],
        energy_key=own.energy_key,
        forces_key=own.forces_key,
        stress_key=own.stress_key,
        kind_key=own.kind_key,
        weights=weights,
    )


def _isolated(given):
    if given is None:
        return None
    return {s: checks.number(f"data.isolated_atoms.{s}", x) for s, x in given.items()}


def paths_of(settings):
    """The files that a run reads, as they are in the settings; without an index after @."""
    own = settings.data
    lists = [own.train, *(part for part in (own.validation, own.test) if isinstance(part, list))]
    found = [path for paths in lists for path in paths]
    if isinstance(settings.descriptor, str):
        found.append(settings.descriptor)
    whole = []
    for path in found:
        name, _, index = path.rpartition("@")
        whole.append(name if index and name and not settings.path(path).exists() else path)
    return whole
