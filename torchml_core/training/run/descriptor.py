"""The descriptor of a run: read from a file, made from settings, or chosen from the data."""

from __future__ import annotations

import inspect

import numpy as np

import torchml_core as tm
from torchml_core import checks
from torchml_core.descriptors.files import read_descriptor
from torchml_core.descriptors.registry import descriptor_class
from torchml_core.errors import InputError

# (n_max, l_max) by size, for the number of elements; more elements have more products of densities
SIZES = {
    "small": [(6, 4), (4, 4), (4, 3), (3, 3)],
    "medium": [(8, 6), (6, 5), (5, 4), (4, 4)],
    "large": [(10, 8), (8, 6), (6, 5), (5, 4)],
}


def descriptor_of(settings, data):
    """Return the descriptor that the settings say, for the elements of a data set."""
    given = settings.descriptor
    if given is None:
        return choose(data, settings.cutoff, settings.size)
    if isinstance(given, str):
        _refuse_cutoff(settings)
        found = read_descriptor(settings.path(given), species=None)
    else:
        found = _from_settings(given, settings, data)
    missing = [s for s in data.species if found.species and s not in found.species]
    if missing:
        raise InputError(
            f"descriptor: its species are {', '.join(found.species)}; {missing[0]}, which the data"
            " have, is needed, too"
        )
    return found


def _refuse_cutoff(settings):
    if settings.cutoff is not None:
        raise InputError(
            f"cutoff = {settings.cutoff}: the descriptor has its own; no cutoff beside it is needed"
        )


def _from_settings(given, settings, data):
    arguments = {name: value for name, value in given.items() if name != "kind"}
    try:
        cls = descriptor_class(given["kind"])
    except InputError as error:
        raise InputError(f"descriptor: {error}") from None
    takes = inspect.signature(cls).parameters
    if "species" in takes:
        arguments.setdefault("species", list(data.species))
    if "cutoff" in arguments:
        _refuse_cutoff(settings)
    elif "cutoff" in takes:
        arguments["cutoff"] = settings.cutoff or cutoff_of(data)
    try:
        return cls.from_settings(arguments)
    except (InputError, TypeError) as error:
        raise InputError(f"descriptor: {error}") from None


def choose(data, cutoff, size):
    """Return SOAP with a cutoff that follows from the distances in the data."""
    sizes = SIZES[size]
    n_max, l_max = sizes[min(len(data.species), len(sizes)) - 1]
    cutoff = cutoff or cutoff_of(data)
    return tm.SOAP(
        data.species, cutoff, n_max, l_max, sigma=0.1 * cutoff, smoothing_width=0.4 * cutoff
    )


def cutoff_of(data):
    """Return a cutoff that reaches the second shell of neighbors in a crystal, or the third."""
    nearest = []
    step = max(1, len(data) // 50)
    for example in list(data)[::step]:
        atoms = example.atoms
        if len(atoms) > 1 or atoms.pbc.any():
            i, d = tm.neighbor_list("id", atoms, 4.0)
            if len(i):
                shortest = np.full(len(atoms), np.inf)
                np.minimum.at(shortest, i, d)
                nearest += shortest[np.isfinite(shortest)].tolist()
    if not nearest:
        raise InputError("data: atoms with neighbors within 4 Å, or a cutoff, are needed")
    return checks.positive("cutoff", round(float(np.clip(1.9 * np.median(nearest), 4.0, 6.0)), 1))
