"""How a run uses its time: which models are fitted, and sizes that data and time are enough for.

What depends on the clock is decided once and kept in the state of the run, so that a run which was
interrupted goes on as it began.
"""

from __future__ import annotations

import bisect
from typing import NamedTuple

from torchml_core.available_memory import available_memory
from torchml_core.errors import InputError
from torchml_core.training.least_squares import MATRICES
from torchml_core.training.run.speed import (
    SAMPLE_SECONDS,
    fit_cost,
    flops,
    n_rows,
    solution_seconds,
)

COMPONENTS = (120, 100, 80, 60, 50, 40, 30, 24, 16, 12, 8)
FEW_VALUES = 60  # of which all products are made, where degree 2 is wanted
LINEAR_SHARE, PRODUCTS_SHARE = 0.5, 0.5  # of the time that is left when a fit begins
SAMPLE_SHARE = 0.02  # for each measurement of the speed
FEWEST = 10  # structures of a fit, whatever the time is
LEAST_FRACTION = 0.5  # of the structures; rather than fewer, the descriptor is a smaller one
# The ridge decides how many of the coefficients the data determine: in cross-validation more
# products were a gain for acetylacetone (31 meV/Å with 12 components, 12 with 60) and for Mo (145
# with 60, 143 with 80), with 2.5 and 7 rows for each coefficient.
ROWS_PER_COEFFICIENT = 2
MEMORY_SHARE = 0.25  # of what is available, for sums of products


class Stage(NamedTuple):
    """A model that is fitted.

    Attributes
    ----------
    name : str
    degree : int
        Of least squares; 0 for a network.
    components : int or None
        Of degree 2: given, or None for as many as data and time are enough for.
    every_value : bool
        Of degree 2: whether the products are those of all values.
    """

    name: str
    degree: int
    components: int | None = None
    every_value: bool = False


def stages(settings, descriptor) -> list[Stage]:
    """Return the models that are fitted one after another."""
    given, found = settings.linear, []
    if given.degree == 1 and given.components is not None:
        raise InputError(
            f"linear.components = {given.components}: linear.degree = 2 is needed for products"
        )
    if given.degree != 2:
        found.append(Stage("linear", 1))
    elif given.components is None and descriptor.width <= FEW_VALUES:
        found.append(Stage("quadratic", 2, every_value=True))
    if given.components is not None:
        found.append(Stage("quadratic", 2, min(given.components, descriptor.width)))
    elif given.degree is None or not found:
        found.append(Stage("quadratic", 2))
    if settings.network.use:
        found.append(Stage("network", 0))
    return found


class Plan(NamedTuple):
    """How a model of least squares is fitted.

    Attributes
    ----------
    fraction : float
        Of the structures that are fitted: less than 1 if there is no time for all.
    components : int or None
    skipped : bool
        Whether data or time are not enough for it.
    """

    fraction: float = 1.0
    components: int | None = None
    skipped: bool = False


def plan(stage, settings, descriptor, data, seconds, n_threads) -> Plan:
    """Decide how a stage is fitted in the seconds that are left.

    The first model must be there whatever happens: if there is no time for all structures, it is
    fitted to a part of them. Models with products follow only if there is time enough.
    """
    left = max(seconds, 0.0)
    if stage.degree == 2 and settings.linear.degree is None and not left:
        return Plan(skipped=True)  # nothing is measured any more
    speed = flops()

    def cost(components):
        return _cost(descriptor, data, stage.degree, components, n_threads, speed, left)

    def has_time(components):
        solution = solution_seconds(_n(descriptor, data, components), speed)
        most = PRODUCTS_SHARE * left
        return solution < most and cost(components).seconds < most

    if stage.degree == 1 or stage.every_value or settings.linear.components is not None:
        return Plan(_fraction(cost(stage.components), left, data), stage.components)
    enough = _components_for(descriptor, data)
    # The first one that there is time for: the fewer components, the less a fit takes.
    first = bisect.bisect_left(enough, True, key=has_time)
    if first < len(enough):
        return Plan(1.0, enough[first])
    if settings.linear.degree == 2:  # it is the first model
        n = enough[-1] if enough else _fewest_components(descriptor)
        return Plan(_fraction(cost(n), left, data), n)
    return Plan(skipped=True)


def is_too_wide(descriptor, data, seconds, n_threads) -> bool:
    """Whether the time that is left is not enough for a linear model of a descriptor."""
    own = _cost(descriptor, data, 1, None, n_threads, flops(), seconds)
    return own.solution + LEAST_FRACTION * own.rows > LINEAR_SHARE * seconds


def least_seconds(stage, descriptor, data, seconds, n_threads) -> float:
    """Return how long the first stage takes at least, with as few structures as possible.

    Parameters
    ----------
    seconds : float
        That are left.
    """
    n = stage.components
    if stage.degree == 2 and n is None and not stage.every_value:
        n = _fewest_components(descriptor)
    own = _cost(descriptor, data, stage.degree, n, n_threads, flops(), seconds)
    return own.solution + own.rows * min(1.0, FEWEST / len(data))


def _cost(descriptor, data, degree, components, n_threads, speed, left):
    """The cost of a fit, measured in a small part of the time that is left."""
    sample = min(SAMPLE_SECONDS, max(SAMPLE_SHARE * left, 0.01))
    return fit_cost(descriptor, data, degree, components, n_threads, speed, sample)


def _fewest_components(descriptor):
    return min(COMPONENTS[-1], descriptor.width)


def _fraction(cost, seconds, data):
    """The part of the structures that there is time for, of FEWEST at least."""
    part = (LINEAR_SHARE * seconds - cost.solution) / max(cost.rows, 1e-9)
    return min(1.0, max(part, FEWEST / len(data)))


def batch_size(settings, data):
    """Return the structures of a step: small sets need small ones for enough steps."""
    if settings.network.batch_size is not None:
        return settings.network.batch_size
    return 4 if len(data) < 400 else 8 if len(data) < 2000 else 16


def _components_for(descriptor, data):
    """Numbers of components that there are enough data and memory for, the largest one first."""
    matrices = MEMORY_SHARE * available_memory() / (8 * MATRICES)  # numbers of each
    most = min(n_rows(data) / ROWS_PER_COEFFICIENT, matrices**0.5)
    return [n for n in COMPONENTS if n <= descriptor.width and _n(descriptor, data, n) <= most]


def _n(descriptor, data, components):
    """The number of coefficients."""
    return len(data.species) * (1 + descriptor.width + components * (components + 1) // 2)
