"""How long a fit will take on this machine: measured, since other programs may be running."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np

from torchml_core.training.features import Axes, Features
from torchml_core.training.products import product

SIZE = 1024  # of the matrices that are multiplied
REPEATED = 5  # products; their median is not that of a moment in which another program ran
SAMPLE_SECONDS = 1.0  # as long as that, rows of structures are made, at most
LEAST_STRUCTURES = 4  # unless these take more than LONG times as long
LONG = 4.0
# Of n³: about 37 Cholesky factors of n³/3 operations each, at half the speed of large products.
SOLUTIONS = 29.0


class Cost(NamedTuple):
    """How long a fit takes.

    Attributes
    ----------
    rows : float
        Seconds for the normal equations of all structures.
    solution : float
        Seconds for their solution, which do not depend on the number of structures.
    """

    rows: float
    solution: float

    @property
    def seconds(self):
        return self.rows + self.solution


def flops() -> float:
    """Return floating point operations per second in products of large matrices, now."""
    matrix = np.full((SIZE, SIZE), 0.5)
    product(matrix, matrix)  # the first one takes longer
    times = [time.perf_counter()]
    for _ in range(REPEATED):
        product(matrix, matrix)
        times.append(time.perf_counter())
    return 2.0 * SIZE**3 / float(np.median(np.diff(times)))


def solution_seconds(n, speed) -> float:
    """Return seconds for the solution of the normal equations of n coefficients."""
    return SOLUTIONS * n**3 / speed


def fit_cost(
    descriptor, data, degree, components, n_threads, speed, sample_seconds=SAMPLE_SECONDS
) -> Cost:
    """Return how long a fit of least squares to a data set takes.

    Parameters
    ----------
    descriptor : Descriptor
    data : Dataset
    degree, components
        As in fit_linear.
    n_threads : int or None
    speed : float
        See :func:`flops`.
    sample_seconds : float
        For the measurement.
    """
    n_atoms = sum(example.n_atoms for example in data)
    species = descriptor.species or data.species
    sample = _sample(data)
    axes = None
    if degree == 2 and components is not None:
        few = data.select(sample[:LEAST_STRUCTURES])
        values, codes = few.batches(descriptor, 1, species=species, n_threads=n_threads).values()
        axes = Axes(components, values, codes, len(species))
    features = Features(descriptor, species, degree, axes)
    start, took = time.perf_counter(), []
    for number, k in enumerate(sample):
        began = time.perf_counter()
        late = (began - start) / sample_seconds
        if (number >= LEAST_STRUCTURES and late > 1) or (number >= 2 and late > LONG):
            break
        c = data.configuration(k, descriptor.cutoff, species)
        features.rows(
            c,
            descriptor.compute(c, n_threads=n_threads),
            forces=data[k].forces is not None,
            stress=data[k].stress is not None,
            n_threads=n_threads,
        )
        took.append((time.perf_counter() - began) / data[k].n_atoms)
    rows = float(np.median(took[1:] or took)) * n_atoms  # the first one imports modules
    rows += n_rows(data) * features.n**2 / speed  # half a matrix of sums
    return Cost(rows, solution_seconds(features.n, speed))


def n_rows(data) -> int:
    """The number of labels: energies, components of forces and of stresses."""
    return sum(
        (e.energy is not None)
        + (0 if e.forces is None else 3 * e.n_atoms)
        + (0 if e.stress is None else 6)
        for e in data
    )


def _sample(data):
    """Indices of all structures, those of different kinds and sizes among the first ones."""
    return np.random.default_rng(0).permutation(len(data)).tolist()
