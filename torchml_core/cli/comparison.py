"""Errors of a model relative to the reference values in the files of structures."""

import numpy as np

from torchml_core import checks
from torchml_core.cli.output import reference_results
from torchml_core.errors import InputError
from torchml_core.voigt import VOIGT

# What is compared, the unit of its errors, and how many of that unit make eV, eV/Å or eV/Å³.
UNITS = {"energy": ("meV/atom", 1e3), "forces": ("meV/Å", 1e3), "stress": ("meV/Å³", 1e3)}


class ErrorStatistics:
    """Mean absolute, root mean square and largest error, accumulated over structures."""

    def __init__(self):
        self.n = 0
        self.largest, self.largest_in = 0.0, None
        self._sum_abs = self._sum_squares = 0.0

    def add(self, errors, label):
        """Count the errors (any shape) of the structure called ``label``."""
        errors = np.abs(errors)
        self.n += errors.size
        self._sum_abs += errors.sum()
        self._sum_squares += (errors**2).sum()
        if errors.max(initial=0.0) > self.largest or self.largest_in is None:
            self.largest, self.largest_in = float(errors.max(initial=0.0)), label

    @property
    def mae(self):
        return self._sum_abs / self.n

    @property
    def rmse(self):
        return np.sqrt(self._sum_squares / self.n)


class Comparison:
    """Errors of energies (per atom), force components and stress components.

    Parameters
    ----------
    keys : dict of str or None
        For each quantity that is compared, the key of its values in the files. None: the results
        that ASE reads as those of a calculator.
    keep_values : bool
        Whether the values themselves are kept, for a plot.

    Attributes
    ----------
    errors : dict of ErrorStatistics
        By quantity, in eV, eV/Å and eV/Å³.
    without : dict of int
        Number of structures without a value of this quantity.
    values : dict of list of (reference, predicted)
        Arrays of one dimension each, kept for a plot if asked for.
    """

    def __init__(self, keys, *, keep_values=False):
        self.errors = {name: ErrorStatistics() for name in keys}
        self.without = dict.fromkeys(keys, 0)
        self.values = {name: [] for name in keys} if keep_values else None
        self._keys, self._seen = keys, set()

    def add(self, label, atoms, results):
        """Compare the model's results (a dict) with the reference values of a structure.

        Raises
        ------
        InputError
            If a value of the file is not a finite number, or has another shape.
        """
        found = reference_results(atoms)
        self._seen |= {*atoms.info, *atoms.arrays, *found} - {"numbers", "positions"}
        pairs = {}
        for name, key in self._keys.items():
            reference = found.get(name) if key is None else _value(atoms, found, key)
            if name in results and reference is not None:
                pairs[name] = _comparable(name, key or name, reference, results[name], len(atoms))
        for name in self.errors:
            if name in pairs:
                expected, predicted = pairs[name]
                self.errors[name].add(predicted - expected, label)
                if self.values is not None:
                    self.values[name].append(pairs[name])
            elif name in results:  # a quantity that was not computed is not counted as missing
                self.without[name] += 1

    def lines(self):
        """Return a table of the errors.

        Raises
        ------
        InputError
            If no structure has a value to compare with, or a key that was given.
        """
        there = f"; they have {', '.join(sorted(self._seen))}" if self._seen else ""
        for name, key in self._keys.items():
            if key is not None and self.without[name] and not self.errors[name].n:
                raise InputError(f"--{name}-key {key}: no structure has this key{there}")
        compared = {name: errors for name, errors in self.errors.items() if errors.n}
        if not compared:
            raise InputError(
                f"--compare: no structure has {' or '.join(self.errors)} to compare with{there}"
                " (--energy-key, --forces-key and --stress-key name the keys to use)"
            )
        head = f"{'errors':<18} {'MAE':>11} {'RMSE':>11} {'max':>11}  {'values':>8}"
        yield f"{head}  structures without  max in"
        for name, errors in compared.items():
            unit, factor = UNITS[name]
            numbers = (factor * e for e in (errors.mae, errors.rmse, errors.largest))
            mae, rmse, largest = (f"{number:11.4f}" for number in numbers)
            row = f"{f'{name} [{unit}]':<18} {mae} {rmse} {largest}  {errors.n:>8}"
            yield f"{row}  {self.without[name]:>18}  {errors.largest_in}"
        for name in self.errors:
            if name not in compared and self.without[name]:
                yield f"{f'{name}':<18} not in the files"


def _value(atoms, results, key):
    """The value that a structure has under a key, as a result or otherwise; None if it has none."""
    for place in (atoms.info, atoms.arrays, results):
        if key in place:
            return place[key]
    return None


def _comparable(name, key, reference, predicted, n_atoms):
    """Reference and prediction as finite arrays of one dimension, energies per atom."""
    try:
        reference, predicted = np.asarray(reference, dtype=float), np.asarray(predicted)
    except (TypeError, ValueError):
        raise InputError(
            f"{key} in the file is {checks.shown(reference)}: {name} is needed"
        ) from None
    if name == "stress" and reference.size == 9:
        tensor = reference.reshape(3, 3)
        reference = ((tensor + tensor.T) / 2)[VOIGT]
    if reference.shape != predicted.shape:
        raise InputError(
            f"{key} in the file has shape {reference.shape}; {name} of shape {predicted.shape} is"
            " needed"
        )
    if not np.isfinite(reference).all():
        bad = reference[~np.isfinite(reference)][0]
        raise InputError(f"{key} in the file contains {bad}: finite numbers are needed")
    scale = 1 / n_atoms if name == "energy" else 1
    return reference.ravel() * scale, predicted.ravel() * scale
