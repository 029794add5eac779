"""The range of each component of a descriptor in training data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.configuration import Configuration
from torchml_core.descriptors.base import Descriptor
from torchml_core.portable.model_json import TrainingRange

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torchml_core.annotations import Evaluated


def training_range(
    descriptor: Descriptor, structures: Iterable[Evaluated], *, n_threads: int | None = None
) -> dict[str, TrainingRange]:
    """Return the smallest and largest value of each component of a descriptor, by element.

    Parameters
    ----------
    descriptor : Descriptor
    structures : iterable of ase.Atoms or Configuration
        The training data. They are read one at a time, so they need not fit into memory.
    n_threads : int, optional

    Returns
    -------
    dict of str to TrainingRange
        ``(min, max)`` of each element that occurs, of its own components, see
        :meth:`~torchml_core.descriptors.base.Descriptor.n_values`; before the values are normalized
        by the descriptor's ``mean`` and ``std``. It is an argument of ``PortableModel.create``.

    Raises
    ------
    InputError
        There are no structures, or one of them cannot be used; see ``Configuration.from_atoms``.

    Examples
    --------
    >>> import torchml_core as tm
    >>> from ase.build import bulk
    >>> functions = tm.SymmetryFunctions(["Si"], 5.0, [("g2", [[0.1, 0.0]])])
    >>> found = tm.training_range(functions, [bulk("Si", a=a) for a in (5.3, 5.5)])
    >>> [round(x, 3) for x in (*found["Si"].min, *found["Si"].max)]
    [1.556, 1.828]
    """
    if not isinstance(descriptor, Descriptor) or not descriptor.species:
        checks.refuse("descriptor", descriptor, "a descriptor with species")
    try:
        structures = iter(structures)
    except TypeError:
        checks.refuse("structures", structures, "an iterable of ASE Atoms or Configurations")
    shape = len(descriptor.species), descriptor.width
    least, most = np.full(shape, np.inf), np.full(shape, -np.inf)
    counts = np.zeros(len(descriptor.species), dtype=np.int64)
    for structure in structures:
        if isinstance(structure, Configuration):
            c = structure
        else:
            c = Configuration.from_atoms(
                structure, descriptor.cutoff, descriptor.species, n_threads=n_threads
            )
        values = descriptor.compute(c, n_threads=n_threads)
        codes = c.codes(descriptor.species)[c.centers]
        counts += np.bincount(codes, minlength=len(counts))
        for code in np.unique(codes):
            own = values[codes == code]
            np.minimum(least[code], own.min(axis=0), out=least[code])
            np.maximum(most[code], own.max(axis=0), out=most[code])
    if not counts.any():
        checks.refuse("structures", [], "at least one structure with atoms")
    return {
        element: _own_range(descriptor, element, least[code], most[code])
        for code, element in enumerate(descriptor.species)
        if counts[code]
    }


def _own_range(descriptor, element, least, most):
    if descriptor.mean is not None:
        least = _not_normalized(least, descriptor.mean, descriptor.std, -np.inf)
        most = _not_normalized(most, descriptor.mean, descriptor.std, np.inf)
    n = descriptor.n_values(element)
    return TrainingRange(tuple(least[:n].tolist()), tuple(most[:n].tolist()))


def _not_normalized(values, mean, std, outward):
    """Values before normalization, rounded outward so that the data are within their own range."""
    found = values * std + mean
    while True:
        again = (found - mean) / std
        within = again <= values if outward < 0 else again >= values
        if within.all():
            return found
        found = np.where(within, found, np.nextafter(found, outward))
