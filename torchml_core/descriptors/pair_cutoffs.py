"""A cutoff for each pair of species."""

import itertools
from collections.abc import Mapping

import numpy as np

from torchml_core.checks import refuse, shown
from torchml_core.descriptors.base import check_cutoff
from torchml_core.errors import InputError


def check_pair_cutoffs(cutoff, species):
    """Return {(a, b): cutoff} for each unordered pair, in the order of species.

    ``cutoff``: one for all pairs, or a dictionary with a cutoff for each unordered pair, or its
    items as JSON has them, ``[[["Si", "C"], 4.2], ...]``.
    """
    if isinstance(cutoff, list):
        cutoff = _as_dict(cutoff)
    pairs = list(itertools.combinations_with_replacement(species, 2))
    if not isinstance(cutoff, Mapping):
        return dict.fromkeys(pairs, check_cutoff("cutoff", cutoff))
    cutoffs, names = dict.fromkeys(pairs), set(species)
    for pair, value in cutoff.items():
        if not isinstance(pair, tuple) or len(pair) != 2 or not names.issuperset(pair):
            raise InputError(
                f"cutoff: {shown(pair)} is not a pair of the species {shown(species)}; keys like"
                f" {pairs[-1]!r} are needed"
            )
        key = pair if pair in cutoffs else pair[::-1]
        value = check_cutoff(f"cutoff[{pair!r}]", value)
        if cutoffs[key] not in (None, value):
            raise InputError(
                f"cutoff: two different values for {key!r}, {cutoffs[key]:g} and {value:g}; one"
                " value is needed"
            )
        cutoffs[key] = value
    missing = [pair for pair, value in cutoffs.items() if value is None]
    if missing:
        raise InputError(f"cutoff: a cutoff for the pair {missing[0]!r} is needed")
    return cutoffs


def _as_dict(items):
    try:
        return {(a, b): value for (a, b), value in items}
    except (TypeError, ValueError):
        refuse("cutoff", items, "a number, or one for each pair of species,")


def one_or_all(cutoffs):
    """Return the cutoff of all pairs if it is the same, else {(a, b): cutoff}."""
    return cutoffs if len(set(cutoffs.values())) > 1 else max(cutoffs.values())


def cutoff_matrix(cutoffs, species):
    """Return the (n_species, n_species) float64 array of {(a, b): cutoff}."""
    matrix = np.empty((len(species), len(species)))
    for (a, b), cutoff in cutoffs.items():
        a, b = species.index(a), species.index(b)
        matrix[a, b] = matrix[b, a] = cutoff
    return matrix
