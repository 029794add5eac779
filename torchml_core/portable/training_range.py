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

    from torchml_core.annotations import Evaluated, Floats


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
    ranges = Ranges(descriptor, descriptor.species)
    for structure in structures:
        if isinstance(structure, Configuration):
            c = structure
        else:
            c = Configuration.from_atoms(
                structure, descriptor.cutoff, descriptor.species, n_threads=n_threads
            )
        ranges.add(c, descriptor.compute(c, n_threads=n_threads))
    if not ranges.counts.any():
        checks.refuse("structures", [], "at least one structure with atoms")
    return ranges.found()


class Ranges:
    """The smallest and largest values by element, and how many atoms of each there are.

    Parameters
    ----------
    descriptor : Descriptor
    species : tuple of str
        The elements; those of the descriptor, unless it does not know them.
    """

    def __init__(self, descriptor: Descriptor, species: tuple[str, ...]) -> None:
        self._descriptor, self._species = descriptor, species
        shape = len(species), descriptor.width
        self._least, self._most = np.full(shape, np.inf), np.full(shape, -np.inf)
        self.counts = np.zeros(len(species), dtype=np.int64)

    def add(self, c: Configuration, values: Floats) -> None:
        """Include the values of a configuration."""
        codes = c.codes(self._species)[c.centers]
        self.counts += np.bincount(codes, minlength=len(self.counts))
        for code in np.unique(codes):
            own = values[codes == code]
            np.minimum(self._least[code], own.min(axis=0), out=self._least[code])
            np.maximum(self._most[code], own.max(axis=0), out=self._most[code])

    def found(self) -> dict[str, TrainingRange]:
        """Return the range of each element that occurs."""
        return {
            element: _own_range(self._descriptor, element, self._least[code], self._most[code])
            for code, element in enumerate(self._species)
            if self.counts[code]
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
