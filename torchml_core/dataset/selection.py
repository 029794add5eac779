"""Choices of rows or columns of a matrix that represent the others: farthest points and CUR."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.descriptors.base import Descriptor

if TYPE_CHECKING:
    from torchml_core.dataset.dataset import Dataset

METHODS = ("farthest", "cur")
TINY = 1e-10  # squares that are left of a column, relative to what they were: it depends on others
EQUAL = 1e-8  # distance of points that are equal, relative to the largest one


def farthest_points(
    data: Dataset,
    descriptor: Descriptor,
    n: int,
    *,
    method: str = "farthest",
    n_threads: int | None = None,
) -> list[int]:
    """Choose structures that differ as much as possible.

    A structure is a point: the means of the descriptor's values over its atoms of each element, and
    the fractions of these elements; divided by the standard deviations in the data.

    Parameters
    ----------
    data : Dataset
    descriptor : Descriptor
        Its species must include those of the data.
    n : int
        How many structures, at most as many as differ.
    method : {"farthest", "cur"}
        farthest: the first point is the farthest one from the mean of all; each further one that
        whose distance from the nearest of those before is the largest.
        cur: each one is the row with the largest entry in the leading left singular vector of the
        matrix of all points, of which those before have been projected out (G. Imbalzano et al.,
        J. Chem. Phys. 148, 241730 (2018)); there can be no more than its rank.
    n_threads : int, optional
        For the descriptor.

    Returns
    -------
    list of int
        Indices of examples, in the order in which they were chosen: the first k are the choice
        of k. Of points that are equally far the first one is taken.

    Raises
    ------
    InputError
        If an argument cannot be used, or fewer than n structures differ (for cur: are linearly
        independent).

    Examples
    --------
    ``data.select(farthest_points(data, descriptor, 50))`` is the Dataset of these structures.
    """
    from torchml_core.dataset.dataset import Dataset

    if not isinstance(data, Dataset):
        checks.refuse("data", data, "a Dataset")
    if not isinstance(descriptor, Descriptor):
        checks.refuse("descriptor", descriptor, "a Descriptor")
    checks.one_of("method", method, METHODS)
    n = checks.whole("n", n, 1)
    if n > len(data):
        checks.refuse("n", n, f"at most {len(data)}, the number of structures,")
    points = standardized(_points_of_structures(data, descriptor, n_threads))
    is_cur = method == "cur"
    chosen = cur_columns(points @ points.T, n) if is_cur else farthest_rows(points, n)
    if len(chosen) < n:
        what = "linearly independent" if is_cur else "different"
        checks.refuse("n", n, f"at most {len(chosen)}, the number of {what} structures,")
    return chosen


def _points_of_structures(data, descriptor, n_threads):
    """(n_structures, n_elements * (width + 1))."""
    species = descriptor.species or data.species
    points = np.zeros((len(data), len(species), descriptor.width + 1))
    for k in range(len(data)):
        c = data.configuration(k, descriptor.cutoff, species)
        values = descriptor.compute(c, n_threads=n_threads)
        codes = c.codes(species)[c.centers]
        for element in np.unique(codes):
            own = codes == element
            points[k, element, :-1] = values[own].mean(axis=0)
            points[k, element, -1] = own.mean()
    return points.reshape(len(data), -1)


def standardized(matrix):
    """Columns minus their means, divided by their standard deviations; 0 where all are equal."""
    centered = matrix - matrix.mean(axis=0)
    deviations = centered.std(axis=0)
    varies = deviations > 1e-12 * np.abs(matrix).max(axis=0, initial=0.0)
    return np.where(varies, centered / np.where(varies, deviations, 1.0), 0.0)


def farthest_rows(points, n):
    """Indices of n rows; fewer if not as many differ."""
    away = np.linalg.norm(points - points.mean(axis=0), axis=1)
    chosen = [_first_of_largest(away)]
    nearest = np.linalg.norm(points - points[chosen[0]], axis=1)
    equal = EQUAL * nearest.max()
    while len(chosen) < n and nearest.max() > equal:
        k = _first_of_largest(nearest)
        chosen.append(k)
        nearest = np.minimum(nearest, np.linalg.norm(points - points[k], axis=1))
    return chosen


def cur_columns(gram, n, groups=None):
    """Indices of n columns of a matrix X, or groups of them, chosen one after another by CUR.

    Parameters
    ----------
    gram : (m, m) float64
        X^T X.
    n : int
    groups : list of (k,) int arrays, optional
        Columns that are chosen together; default: each by itself.

    Returns
    -------
    list of int
        Fewer than n if the others depend linearly on these.
    """
    groups = [np.array([k]) for k in range(len(gram))] if groups is None else groups
    limits = TINY * np.array([gram[group, group].sum() for group in groups])
    largest = limits.max(initial=0.0)
    rest, chosen = gram.copy(), []
    while len(chosen) < n:
        left = np.array([rest[group, group].sum() for group in groups])
        left[chosen] = 0.0
        possible = left > np.maximum(limits, 1e-3 * largest)
        if not possible.any():
            break
        leading = np.linalg.eigh(rest)[1][:, -1] ** 2
        scores = np.array([leading[group].sum() for group in groups])
        chosen.append(_first_of_largest(np.where(possible, scores, -1.0)))
        for column in groups[chosen[-1]]:
            if rest[column, column] > max(TINY * gram[column, column], 0.0):
                rest -= np.outer(rest[:, column], rest[column]) / rest[column, column]
            rest[:, column] = rest[column] = 0.0
    return chosen


def _first_of_largest(values):
    """The first of those that are the largest but for rounding."""
    return int(np.argmax(values >= values.max() - 1e-9 * abs(values.max())))
