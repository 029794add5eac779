"""How a run uses its time: which models are fitted, and sizes that data and time are enough for.

What depends on the clock is decided once and kept in the state of the run, so that a run which was
interrupted goes on as it began.
"""

from __future__ import annotations

from typing import NamedTuple

from torchml_core.available_memory import available_memory
from torchml_core.errors import InputError
from torchml_core.training.least_squares import MATRICES
from torchml_core.training.run.speed import fit_cost, flops, n_rows

COMPONENTS = (120, 100, 80, 60, 50, 40, 30, 24, 16, 12, 8)
FEW_VALUES = 60  # of which all products are made, where degree 2 is wanted
LINEAR_SHARE, PRODUCTS_SHARE = 0.5, 0.5  # of the time that is left when a fit begins
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
    speed, left = flops(), max(seconds, 0.0)

    def cost(components):
        return fit_cost(descriptor, data, stage.degree, components, n_threads, speed)

    if stage.degree == 1 or stage.every_value or settings.linear.components is not None:
        return Plan(_fraction(cost(stage.components), left, data), stage.components)
    enough = _components_for(descriptor, data)
    for n in enough:
        if cost(n).seconds < PRODUCTS_SHARE * left:
            return Plan(1.0, n)
    if settings.linear.degree == 2:  # it is the first model
        n = enough[-1] if enough else min(COMPONENTS[-1], descriptor.width)
        return Plan(_fraction(cost(n), left, data), n)
    return Plan(skipped=True)


def is_too_wide(descriptor, data, seconds, n_threads) -> bool:
    """Whether the time that is left is not enough for a linear model of a descriptor."""
    own = fit_cost(descriptor, data, 1, None, n_threads, flops())
    return own.solution + LEAST_FRACTION * own.rows > LINEAR_SHARE * seconds


def _fraction(cost, seconds, data):
    """The part of the structures that there is time for, of ten of them at least."""
    part = (LINEAR_SHARE * seconds - cost.solution) / max(cost.rows, 1e-9)
    return min(1.0, max(part, 10 / len(data)))


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
