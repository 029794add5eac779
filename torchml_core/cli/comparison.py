"""Errors of a model against the reference values that came with structures."""

import numpy as np

from torchml_core.cli.output import reference_results
from torchml_core.errors import InputError

# What is compared, the unit of its errors, and how many of that unit make eV, eV/Å or eV/Å³.
UNITS = {"energy": ("meV/atom", 1e3), "forces": ("meV/Å", 1e3), "stress": ("meV/Å³", 1e3)}


class ErrorStatistics:
    """Mean absolute, root mean square and largest error of values that come in parts."""

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
    """Errors of energies (an atom), force components and stress components.

    Attributes
    ----------
    errors : dict of ErrorStatistics
        By quantity, in eV, eV/Å and eV/Å³.
    without : dict of int
        Number of structures that came without a value of this quantity.
    values : dict of list of (reference, predicted)
        Arrays of one dimension each, kept for a plot if asked for.
    """

    def __init__(self, quantities, *, keep_values=False):
        self.errors = {name: ErrorStatistics() for name in quantities}
        self.without = dict.fromkeys(quantities, 0)
        self.values = {name: [] for name in quantities} if keep_values else None

    def add(self, label, atoms, results):
        """Compare the model's results (a dict) with those that came with a structure.

        Raises
        ------
        InputError
            If a value of the file is not a finite number.
        """
        reference = reference_results(atoms)
        pairs = {}
        for name in self.errors:
            if name in results and name in reference:
                pairs[name] = _comparable(name, reference[name], results[name], len(atoms))
        for name in self.errors:
            if name in pairs:
                expected, predicted = pairs[name]
                self.errors[name].add(predicted - expected, label)
                if self.values is not None:
                    self.values[name].append(pairs[name])
            elif name in results:  # what the model was not asked for is not missed
                self.without[name] += 1

    def lines(self):
        """Return a table of the errors.

        Raises
        ------
        InputError
            If no structure came with any value to compare with.
        """
        compared = {name: errors for name, errors in self.errors.items() if errors.n}
        if not compared:
            raise InputError(
                "--compare: none of the structures came with "
                + " or ".join(self.errors)
                + " to compare with"
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


def _comparable(name, reference, predicted, n_atoms):
    """Reference and prediction as finite arrays of one dimension, energies by atom."""
    reference = np.ravel(np.asarray(reference, dtype=float))
    predicted = np.ravel(predicted)
    if not np.isfinite(reference).all():
        bad = reference[~np.isfinite(reference)][0]
        raise InputError(f"the reference value of {name} in the file is {bad}")
    scale = 1 / n_atoms if name == "energy" else 1
    return reference * scale, predicted * scale
