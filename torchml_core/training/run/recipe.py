"""How a run uses its time: sizes that follow from the data and the time limit alone.

What is decided here does not depend on the clock, so that a run which was interrupted goes on as it
began.
"""

from __future__ import annotations

from typing import NamedTuple

from torchml_core.errors import InputError

COMPONENTS = (60, 50, 40, 30, 24, 16, 12, 8)
FLOPS = 1.5e10  # of products of matrices per second, cautiously
SHARE = 0.25  # of the time limit, for the model with products
ROWS_PER_COEFFICIENT = 20  # fewer are overfitted


class Stage(NamedTuple):
    """A model that is fitted.

    Attributes
    ----------
    name : str
    degree : int
        Of least squares; 0 for a network.
    components : int or None
    """

    name: str
    degree: int
    components: int | None = None


def stages(settings, descriptor, data) -> list[Stage]:
    """Return the models that are fitted one after another."""
    given, found = settings.linear, []
    if given.degree != 2:
        found.append(Stage("linear", 1))
    elif given.components is None and descriptor.width <= max(COMPONENTS):
        found.append(Stage("quadratic", 2))
    if given.components is not None:
        if given.degree == 1:
            raise InputError(
                f"linear.components = {given.components}: linear.degree = 2 is needed for products"
            )
        found.append(Stage("quadratic", 2, min(given.components, descriptor.width)))
    elif given.degree is None or not found:
        n = _components(settings, descriptor, data)
        if n:
            found.append(Stage("quadratic", 2, n))
        elif not found:
            found.append(Stage("quadratic", 2, min(COMPONENTS[-1], descriptor.width)))
    if settings.network.use:
        found.append(Stage("network", 0))
    return found


def batch_size(settings, data):
    """Return the structures of a step: small sets need small ones for enough steps."""
    if settings.network.batch_size is not None:
        return settings.network.batch_size
    return 4 if len(data) < 400 else 8 if len(data) < 2000 else 16


def _components(settings, descriptor, data):
    """The largest number of components that data and time are enough for; None if none is."""
    n_rows = sum(
        (e.energy is not None)
        + (0 if e.forces is None else 3 * e.n_atoms)
        + (0 if e.stress is None else 6)
        for e in data
    )
    for n in COMPONENTS:
        if n > descriptor.width:
            continue
        size = len(data.species) * (1 + descriptor.width + n * (n + 1) // 2)
        took = (2 * n_rows * size**2 + 30 * size**3) / FLOPS + 50e-6 * n_rows * n
        if size * ROWS_PER_COEFFICIENT <= n_rows and took < SHARE * settings.time_limit:
            return n
    return None
