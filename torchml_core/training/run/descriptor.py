"""The descriptor of a run: read from a file, made from settings, or chosen from the data."""

from __future__ import annotations

import inspect

from torchml_core import files
from torchml_core.descriptors.files import kinds_with_dat_file, read_descriptor
from torchml_core.descriptors.registry import descriptor_class
from torchml_core.errors import InputError, TorchMLError
from torchml_core.training.choose.descriptor import choose_descriptor


def descriptor_of(settings, data, size=None):
    """Return the descriptor that the settings say, for the elements of a data set.

    A chosen one may have another size than the settings say.
    """
    given = settings.descriptor
    if given is None:
        return choose_descriptor(data, cutoff=settings.cutoff, size=size or settings.size)
    if isinstance(given, str):
        _refuse_cutoff(settings)
        found = _from_file(settings.path(given))
    else:
        found = _from_settings(given, settings, data)
    missing = [s for s in data.species if found.species and s not in found.species]
    if missing:
        raise InputError(
            f"descriptor: its species are {', '.join(found.species)}; {missing[0]}, which the data"
            " have, is needed, too"
        )
    return found


def _from_file(path):
    """The descriptor in a file; which kind a .dat file has, its content must show."""
    if path.suffix != ".dat":
        return read_descriptor(path)
    files.read_bytes(path, "descriptor's file")  # says so if it is not there
    found, errors = [], []
    for kind in kinds_with_dat_file():
        try:
            found.append(read_descriptor(path, kind))
        except TorchMLError as error:
            errors.append(f"{kind}: {error}")
    if len(found) != 1:
        fits = "several kinds" if found else f"no kind ({'; '.join(errors)})"
        raise InputError(f"descriptor: {path} is that of {fits}; a .json file is needed")
    return found[0]


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
        arguments["cutoff"] = settings.cutoff or choose_descriptor(data).cutoff
    try:
        return cls.from_settings(arguments)
    except (InputError, TypeError) as error:
        raise InputError(f"descriptor: {error}") from None
