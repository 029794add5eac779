"""Descriptor values outside of the range that a model was trained on."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from torchml_core import checks
from torchml_core.descriptors.ranges import count_outside
from torchml_core.errors import ExtrapolationError, ExtrapolationWarning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from torchml_core.descriptors.base import Descriptor
    from torchml_core.portable.prediction import Prediction

TOLERANCE = 2.2e-13  # n2p2's: beyond the range by more than this, absolute
# Of a limit: sums in another order differ so much, and the training data itself reaches the limits.
ROUNDING = 1e-14
ACTIONS = ("warn", "ignore", "raise")


class _Record(NamedTuple):
    atom: int
    component: str
    value: float
    range: tuple[float, float]


class Extrapolation(_Record):
    """One value of a descriptor outside of its training range: ``(atom, component, value, range)``.

    Attributes
    ----------
    atom : int
        The particle, or the atom after ``fold``.
    component : str
        Its label, see :meth:`~torchml_core.descriptors.base.Descriptor.labels_of`.
    value : float
    range : tuple of float
        The smallest and largest value in the training data, for this element.
    component_index : int
        The place of the component in the element's values, from 0.
    element : str
        The atom's element.
    """

    component_index: int
    element: str

    def __new__(
        cls,
        atom: int,
        component: str,
        value: float,
        range: tuple[float, float],
        component_index: int,
        element: str,
    ) -> Extrapolation:
        made = super().__new__(cls, atom, component, value, range)
        made.component_index, made.element = component_index, element
        return made

    def __getnewargs__(self) -> tuple[Any, ...]:
        return (*self, self.component_index, self.element)

    def __str__(self) -> str:
        return f"atom {self.atom} ({self.element}): {self.excess}"

    @property
    def excess(self) -> str:
        """What is outside of which range, as a text."""
        for digits in (8, 15):  # more where the value is hardly outside
            value, least, most = (f"{x:.{digits}g}" for x in (self.value, *self.range))
            if value not in (least, most):
                break
        return f"{self.component} = {value}, outside of the training range from {least} to {most}"


class TrainingLimits:
    """The ranges of a model's training data, to be compared with values of its descriptor.

    Parameters
    ----------
    descriptor : Descriptor
    ranges : dict of str to (min, max)
        By element: sequences of the smallest and the largest value of each of its components,
        before they are normalized by the descriptor's ``mean`` and ``std``. Elements that are not
        there have no limits.
    species : sequence of str
        Of the model, where the descriptor does not know species (Xi).
    """

    def __init__(
        self, descriptor: Descriptor, ranges: Mapping[str, Any], species: Sequence[str] = ()
    ) -> None:
        self.species = descriptor.species or tuple(species)
        shape = len(self.species), descriptor.width
        self.least, self.most = np.full(shape, -np.inf), np.full(shape, np.inf)
        for element, (least, most) in ranges.items():
            row = self.species.index(element)
            self.least[row, : len(least)], self.most[row, : len(most)] = least, most
        self.labels = [descriptor.labels_of(element) for element in self.species]
        self._mean, self._std = descriptor.mean, descriptor.std
        self._lower = self._normalized(self.least - TOLERANCE - ROUNDING * np.abs(self.least))
        self._upper = self._normalized(self.most + TOLERANCE + ROUNDING * np.abs(self.most))

    def outside(self, configuration: Any, values: Any) -> Outside:
        """Return which values are outside.

        Parameters
        ----------
        configuration : Configuration
        values : (n_centers, width) float64
            Of the descriptor.
        """
        c = configuration
        codes = c.codes(self.species)[c.centers]
        rows = components = np.empty(0, dtype=np.intp)
        if count_outside(values, codes, self._lower, self._upper):
            wrong = (values < self._lower[codes]) | (values > self._upper[codes])
            rows, components = np.nonzero(wrong)
        found = values[rows, components]
        if self._mean is not None and self._std is not None:
            found = found * self._std[components] + self._mean[components]
        return Outside(self, c.centers[rows], codes[rows], components, found)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrainingLimits):
            return NotImplemented
        same = self.species == other.species and self.labels == other.labels
        return same and all(
            np.array_equal(a, b)
            for a, b in ((self._lower, other._lower), (self._upper, other._upper))
        )

    __hash__ = None  # type: ignore[assignment]  # arrays have none

    def _normalized(self, limits):
        if self._mean is None or self._std is None:
            return limits
        return (limits - self._mean) / self._std


class Outside:
    """The values that are outside of a model's limits, as arrays.

    Attributes
    ----------
    limits : TrainingLimits
    atoms, species, components : (n,) int arrays
        Where they are: the particle or atom, its species code in the order of the descriptor, the
        component.
    values : (n,) float64
    """

    def __init__(
        self, limits: TrainingLimits, atoms: Any, species: Any, components: Any, values: Any
    ) -> None:
        self.limits, self.atoms, self.values = limits, atoms, values
        self.species, self.components = species, components

    def __len__(self) -> int:
        return len(self.values)

    def record(self, n: int) -> Extrapolation:
        """Return one of them."""
        limits, code, k = self.limits, int(self.species[n]), int(self.components[n])
        return Extrapolation(
            int(self.atoms[n]),
            limits.labels[code][k],
            float(self.values[n]),
            (float(limits.least[code, k]), float(limits.most[code, k])),
            k,
            limits.species[code],
        )

    def folded(self, atoms: Any) -> Outside:
        """Return the same with ``atoms[particle]`` in place of each particle."""
        return Outside(self.limits, atoms[self.atoms], self.species, self.components, self.values)

    def by_component(self) -> list[tuple[Extrapolation, int]]:
        """Return the first and the number of those of each component of each element."""
        width = self.limits.least.shape[1]
        keys = self.species.astype(np.int64) * width + self.components
        _, first, counts = np.unique(keys, return_index=True, return_counts=True)
        return [(self.record(n), int(count)) for n, count in zip(first, counts, strict=True)]


def _by_component(found: list[Outside]) -> list[tuple[Extrapolation, int]]:
    """As Outside.by_component, of several: a value outside of several ranges counts once."""
    if len(found) == 1:
        return found[0].by_component()
    first: dict[tuple[str, str], Extrapolation] = {}
    atoms: dict[tuple[str, str], set[int]] = {}
    for record in (own.record(n) for own in found for n in range(len(own))):
        key = record.element, record.component
        first.setdefault(key, record)
        atoms.setdefault(key, set()).add(record.atom)
    return [(record, len(atoms[key])) for key, record in first.items()]


def outside_of(
    limits: Sequence[TrainingLimits | None], configuration: Any = None, values: Any = None
) -> list[Outside] | None:
    """Return an Outside for each of some limits that there is; None if there are no limits.

    Without a configuration and its values, nothing is outside.
    """
    known = [own for own in limits if own is not None]
    if not known:
        return None
    if configuration is None:
        return []
    return [own.outside(configuration, values) for own in known]


class ExtrapolationMonitor:
    """Counts values outside of the training range, and warns of each component once, or stops.

    Parameters
    ----------
    action : {"warn", "ignore", "raise"}
        "warn": an ExtrapolationWarning for the first value of each component of each element.
        "raise": an ExtrapolationError for the first value. All are counted in any case.

    Attributes
    ----------
    counts : collections.Counter
        How many values were outside, by ``(element, component)``.
    """

    def __init__(self, action: str = "warn") -> None:
        self.action = checks.one_of("extrapolation", action, ACTIONS)
        self.counts: Counter[tuple[str, str]] = Counter()

    def take(self, prediction: Prediction) -> list[Extrapolation]:
        """Count those of a prediction; return the first of each component that is new.

        Raises
        ------
        ExtrapolationError
            With "raise", if there is any.
        """
        found = [own for own in prediction._outside or () if len(own)]
        new = []
        for record, count in _by_component(found):
            key = record.element, record.component
            if key not in self.counts:
                new.append(record)
            self.counts[key] += count
        if found and self.action == "raise":
            n = sum(count for _, count in _by_component(found))
            more = f" ({n} values are)" if n > 1 else ""
            raise ExtrapolationError(f"{found[0].record(0)}{more}")
        return new

    def warn(self, prediction: Prediction) -> None:
        """As :meth:`take`, and warn of what it returns if this is the action."""
        for record in self.take(prediction):
            if self.action == "warn":
                warnings.warn(f"{record}; further values are counted", ExtrapolationWarning, 4)
