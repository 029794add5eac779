"""Symmetry functions chosen from a larger set of them by their values in the data."""

from __future__ import annotations

import numpy as np

from torchml_core import checks
from torchml_core.dataset.dataset import Dataset
from torchml_core.dataset.selection import METHODS, cur_columns, farthest_rows, standardized
from torchml_core.descriptors.base import Descriptor
from torchml_core.descriptors.symmetry_functions import (
    ElementSymmetryFunctions,
    SymmetryFunctions,
)
from torchml_core.errors import InputError, UnsupportedError

MOST_ATOMS = 5000


def select_functions(
    descriptor: Descriptor,
    data: Dataset,
    n: int,
    *,
    method: str = "cur",
    n_threads: int | None = None,
) -> Descriptor:
    """Return a descriptor with n of the symmetry functions, which represent the others.

    Parameters
    ----------
    descriptor : SymmetryFunctions or ElementSymmetryFunctions
        With more functions than are needed.
    data : Dataset
        Of the descriptor's species. Labels are not looked at.
    n : int
        How many functions; for ElementSymmetryFunctions, of each element whose list is longer. A
        function of a resolved descriptor, with values for each element or pair, counts once.
    method : {"cur", "farthest"}
        As in :func:`torchml_core.dataset.farthest_points`, of the columns of the matrix of the
        values of atoms, minus their means and divided by their standard deviations.
    n_threads : int, optional
        For the descriptor.

    Returns
    -------
    Descriptor
        Of the same kind, with the functions in their previous order.

    Raises
    ------
    InputError
        If an argument cannot be used, or n functions that do not depend on each other cannot be
        found.
    UnsupportedError
        If the descriptor is of a kind that is not a list of functions.
    """
    if not isinstance(descriptor, Descriptor):
        checks.refuse("descriptor", descriptor, "a Descriptor")
    if not isinstance(descriptor, (SymmetryFunctions, ElementSymmetryFunctions)):
        raise UnsupportedError(
            f"descriptor: {type(descriptor).__name__} is not a list of functions; SymmetryFunctions"
            " or ElementSymmetryFunctions are needed"
        )
    if not isinstance(data, Dataset):
        checks.refuse("data", data, "a Dataset")
    checks.one_of("method", method, METHODS)
    n = checks.whole("n", n, 1)
    values = _values_by_element(descriptor, data, n_threads)
    if isinstance(descriptor, ElementSymmetryFunctions):
        return _of_elements(descriptor, values, n, method)
    return _of_all(descriptor, np.concatenate(list(values.values())), n, method)


def _values_by_element(descriptor, data, n_threads):
    """The values of at most about 5000 atoms, evenly spaced."""
    step = max(1, sum(example.n_atoms for example in data) // MOST_ATOMS)
    found, first = {s: [] for s in descriptor.species}, 0
    for k, example in enumerate(data):
        c = data.configuration(k, descriptor.cutoff, descriptor.species)
        rows = np.arange(-first % step, c.n_centers, step)
        first += example.n_atoms
        if not len(rows):
            continue
        values = descriptor.compute(c, n_threads=n_threads)[rows]
        codes = c.codes(descriptor.species)[c.centers[rows]]
        for element in np.unique(codes):
            found[descriptor.species[element]].append(values[codes == element])
    if not any(found.values()):
        raise InputError("data: structures are needed")
    width = descriptor.width
    return {s: np.concatenate([np.empty((0, width)), *rows]) for s, rows in found.items()}


def _of_all(descriptor, values, n, method):
    rows = [(type, row) for type, rows in descriptor.functions for row in rows or [()]]
    groups = _components(descriptor)
    chosen = _chosen(values, groups, n, method)
    functions = {}
    for k in chosen:
        type, row = rows[k]
        functions.setdefault(type, []).append(row)
    settings = descriptor.settings()
    settings["functions"] = [(type, [] if type == "g1" else own) for type, own in functions.items()]
    if descriptor.mean is not None:
        kept = _kept_components(descriptor, chosen)
        settings["mean"], settings["std"] = descriptor.mean[kept], descriptor.std[kept]
    return SymmetryFunctions.from_settings(settings)


def _components(descriptor):
    """The components of each function: in each type, channels follow one another."""
    out, first = [], 0
    for type, rows in descriptor.functions:
        n_rows = len(rows) or 1
        n_channels = len(descriptor._channels(type))
        table = first + np.arange(n_channels * n_rows).reshape(n_channels, n_rows)
        out += list(table.T)
        first += table.size
    return out


def _kept_components(descriptor, chosen):
    return np.sort(np.concatenate([_components(descriptor)[k] for k in chosen]))


def _of_elements(descriptor, values, n, method):
    functions = {}
    for element, own in descriptor.functions.items():
        functions[element] = own
        if len(own) > n:
            if not len(values[element]):
                raise InputError(f"data: atoms of {element} are needed to choose its functions")
            groups = [np.array([k]) for k in range(len(own))]
            chosen = _chosen(values[element], groups, n, method)
            functions[element] = [own[k] for k in chosen]
    settings = {**descriptor.settings(), "functions": functions}
    return ElementSymmetryFunctions.from_settings(settings)


def _chosen(values, groups, n, method):
    """Indices of n groups of columns, in ascending order."""
    if n > len(groups):
        checks.refuse("n", n, f"at most {len(groups)}, the number of functions,")
    columns = standardized(values) / np.sqrt(len(values))
    if method == "cur":
        chosen = cur_columns(columns.T @ columns, n, groups)
    else:
        chosen = farthest_rows(_points(columns, groups), n)
    if len(chosen) < n:
        checks.refuse("n", n, f"at most {len(chosen)}, as many functions as differ in these data,")
    return sorted(chosen)


def _points(columns, groups):
    """A row for each group: its columns one after another, then zeros if others have more."""
    points = np.zeros((len(groups), max(map(len, groups)), len(columns)))
    for point, group in zip(points, groups, strict=True):
        point[: len(group)] = columns[:, group].T
    return points.reshape(len(groups), -1)
