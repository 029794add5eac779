"""Several configurations as one, so that one call of a kernel does them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.configuration import Configuration
from torchml_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LARGEST = np.iinfo(np.int32).max  # particles are numbered in int32


def combined(configurations: Sequence[Configuration]) -> Configuration:
    """Return one configuration with the particles and lists of several, one after another.

    Particles of different configurations are not neighbors, wherever they are, so the rows of a
    descriptor are those of each configuration.

    Parameters
    ----------
    configurations : sequence of Configuration
        At least one; all with the same species names, or none of them with any.

    Returns
    -------
    Configuration
        Without a cell, since there are several. Its cutoff and number of layers are the smallest;
        they are unknown if one is.

    Raises
    ------
    InputError
        If there is no configuration, species names differ, only some know the parents of their
        ghosts, or there are too many particles for 32 bits.
    """
    configurations = checks.sequence("configurations", configurations, "Configurations")
    if not configurations or not all(isinstance(c, Configuration) for c in configurations):
        checks.refuse("configurations", configurations, "a sequence of Configurations")
    first = configurations[0]
    for c in configurations:
        if c.species_names != first.species_names:
            names = checks.shown(c.species_names), checks.shown(first.species_names)
            raise InputError(
                f"configurations: species names {names[0]} and {names[1]}; the same are needed"
            )
    firsts = _starts([c.n_particles for c in configurations])
    if firsts[-1] > LARGEST:
        raise InputError(
            f"configurations: {firsts[-1]} particles; at most {LARGEST} are needed, so smaller"
            " batches"
        )
    pairs = _starts([c.n_pairs for c in configurations])

    def joined(name, starts=None):
        arrays = [getattr(c, name) for c in configurations]
        if any(array is None for array in arrays):
            return None
        if starts is not None:
            arrays = [
                array + array.dtype.type(n) for array, n in zip(arrays, starts[:-1], strict=True)
            ]
        return np.concatenate(arrays)

    parents, shifts = joined("parents", firsts), joined("shifts")
    if parents is None and any(not c.contributing.all() for c in configurations):
        raise InputError("configurations: the parents of all ghosts, or no ghosts, are needed")
    offsets = [c.offsets[:-1] + n for c, n in zip(configurations, pairs[:-1], strict=True)]
    return Configuration.unchecked(
        positions=joined("positions"),
        species=joined("species"),
        contributing=joined("contributing"),
        centers=joined("centers", firsts),
        offsets=np.concatenate([*offsets, pairs[-1:]]),
        neighbors=joined("neighbors", firsts),
        parents=parents,
        shifts=shifts,
        species_names=first.species_names,
        cutoff=_least([c.cutoff for c in configurations]),
        n_layers=_least([c.n_layers for c in configurations]),
    )


def _starts(sizes):
    """Where each part begins, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def _least(values):
    return None if any(value is None for value in values) else min(values)


def parts_of(order: Iterable[int], sizes: Sequence[int], most: int) -> list[list[int]]:
    """Return lists of consecutive members of an order, each of a total size of at most ``most``.

    A larger one is a part of its own.
    """
    parts: list[list[int]] = []
    total = most + 1
    for k in order:
        if total + sizes[k] > most:
            parts.append([])
            total = 0
        parts[-1].append(k)
        total += sizes[k]
    return parts
