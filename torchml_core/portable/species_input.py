"""What models are given for species: codes, or atomic numbers; and why.

A model is trained on one or the other, and its ``.param`` file does not say which. The first of
these that applies decides:

1. a setting: of :meth:`PortableModel.load`, or of the ``.param`` file (:meth:`PortableModel.create`
   writes it);
2. the environment variable ``KIM_MODEL_ELEMENTS_MAP``: if it is set, to any value, atomic numbers;
3. the name of ``forward``'s argument for species, which is the first one, or the second one of
   descriptor models: ``z``, ``atomic_numbers``, ``numbers``, ...;
4. a ``.param`` file that KLIFF wrote, for an argument ``species``: KLIFF counts species by atomic
   number, whatever the order in that file;
5. otherwise codes, in the order of the ``.param`` file.
"""

import functools
import os
from dataclasses import dataclass

import numpy as np
from ase.data import atomic_numbers

from torchml_core import checks

ELEMENTS_MAP = "KIM_MODEL_ELEMENTS_MAP"
WORDS = {
    "codes": "codes",
    "sorted_codes": "codes in the order of atomic numbers",
    "atomic_numbers": "atomic numbers",
}
KINDS = tuple(WORDS)
KLIFF_GRAPH_FILE = "kliff_graph.param"

# Names of the argument that mean atomic numbers, in lower case without underscores.
ATOMIC_NUMBER_NAMES = {
    "z",
    "zs",
    "number",
    "numbers",
    "atomicnumber",
    "atomicnumbers",
    "atomicnum",
    "atomicnums",
    "atomnumber",
    "atomnumbers",
    "atomnum",
    "atomnums",
    "nuclearcharge",
    "nuclearcharges",
    "protonnumber",
    "protonnumbers",
}


@dataclass(frozen=True)
class SpeciesInput:
    """A decision, and the reason for it.

    Attributes
    ----------
    kind : {"codes", "sorted_codes", "atomic_numbers"}
    why : str
        The reason, as a clause that follows "because".
    """

    kind: str
    why: str

    def numbers(self, species):
        """Return what the model is given for each species: (n_species,) int64, read-only."""
        return _numbers(self.kind, tuple(species))

    def describe(self, species):
        """Say what is given: ``Si 14, C 6 (atomic numbers), because ...``."""
        given = zip(species, self.numbers(species), strict=True)
        listed = ", ".join(f"{symbol} {number}" for symbol, number in given)
        return f"{listed} ({WORDS[self.kind]}), because {self.why}"


@functools.lru_cache(maxsize=128)  # needed in each step of a simulation
def _numbers(kind, species):
    numbers = np.array([atomic_numbers[symbol] for symbol in species], dtype=np.int64)
    if kind == "sorted_codes":
        numbers = np.argsort(np.argsort(numbers)).astype(np.int64)
    elif kind == "codes":
        numbers = np.arange(len(species), dtype=np.int64)
    numbers.flags.writeable = False
    return numbers


def check_species_input(kind, name="species_input"):
    """Return the kind, or None; InputError unless it is one of KINDS."""
    return checks.one_of(name, kind, (None, *KINDS))


def species_argument(arguments, convention):
    """Return the place of forward's argument for species, as a word, and its name, or None."""
    place = 1 if convention == "descriptor" else 0
    return ("first", "second")[place], (arguments[place] if len(arguments) > place else None)


def decide(argument, param_file, *, asked=None, stored=None, place="first"):
    """Decide what a model is given for species.

    Parameters
    ----------
    argument : str or None
        The name of ``forward``'s argument for species, if it is known.
    param_file : str
        The name of the ``.param`` file.
    place : {"first", "second"}
        Which of the arguments it is.
    asked, stored : str, optional
        One of KINDS: the caller's setting, and that of the ``.param`` file.

    Returns
    -------
    SpeciesInput
        For the present environment, which may change.
    """
    return _decide(argument, param_file, asked, stored, place, elements_map())


@functools.lru_cache(maxsize=128)
def _decide(argument, param_file, asked, stored, place, in_environment):
    if asked is not None:
        return SpeciesInput(asked, f"species_input={asked!r} was given")
    if stored is not None:
        return SpeciesInput(stored, f"{param_file} says so")
    if in_environment:
        return SpeciesInput("atomic_numbers", f"the environment variable {ELEMENTS_MAP} is set")
    if argument is not None and argument.replace("_", "").lower() in ATOMIC_NUMBER_NAMES:
        why = f"the {place} argument of forward is named {argument}"
        return SpeciesInput("atomic_numbers", why)
    if argument == "species" and param_file == KLIFF_GRAPH_FILE:
        return SpeciesInput(
            "sorted_codes", f"KLIFF, which wrote {param_file}, counts by atomic number"
        )
    named = "" if argument is None else f" (the {place} argument of forward is named {argument})"
    return SpeciesInput("codes", f"nothing says otherwise{named}")


def elements_map():
    """Whether the environment asks for atomic numbers; the variable's value does not matter."""
    return ELEMENTS_MAP in os.environ
