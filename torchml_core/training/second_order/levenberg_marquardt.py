"""Levenberg's and Marquardt's method, on all structures at a time."""

from __future__ import annotations

import torch

from torchml_core import checks
from torchml_core.training.second_order.shared import SecondOrderSteps

TRIED = 8  # dampings in an epoch
SMALLEST, LARGEST = 1e-15, 1e15


class LevenbergMarquardt:
    """An optimizer of :class:`Trainer`: damped least squares, one step in each epoch.

    With the Jacobian J of the residuals r of all structures with respect to the n parameters,
    weighted as in the loss, the step δ solves

        ``(JᵀJ + damping diag(JᵀJ)) δ = -Jᵀr``

    It is taken if the loss becomes lower, and the damping is then divided by ``decrease``; else the
    damping is multiplied with ``increase``, and another step is tried. Only JᵀJ (n²) is kept: J is
    made in blocks of rows.

    Parameters
    ----------
    damping : float
        At first.
    increase, decrease : float
        Above 1.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Notes
    -----
    Made for networks of up to some thousand parameters. Any network of torch's functions will do
    whose energies of atoms depend on the atom's own values; it is in evaluation mode, without
    dropout.

    References
    ----------
    D. W. Marquardt, J. Soc. Ind. Appl. Math. 11, 431 (1963).
    """

    def __init__(self, damping: float = 1e-3, increase: float = 4.0, decrease: float = 3.0) -> None:
        self.damping = checks.positive("damping", damping)
        self.increase, self.decrease = (
            checks.number(name, value)
            for name, value in (("increase", increase), ("decrease", decrease))
        )
        for name in ("increase", "decrease"):
            if getattr(self, name) <= 1:
                checks.refuse(name, getattr(self, name), "a number above 1")

    def __repr__(self):
        return f"LevenbergMarquardt({self.damping!r}, {self.increase!r}, {self.decrease!r})"

    def steps(self, model, loss):
        return _Steps(self, model, loss)


class _Steps(SecondOrderSteps):
    """The method on one model; its rate is the damping."""

    def __init__(self, settings, model, loss):
        super().__init__(settings, model, loss, settings.damping)

    def epoch(self, batches, number, n_steps, deadline):
        """Take one step for all batches; return Totals of the weights before it.

        A part of the batches is of no use: where the time is not enough for all, or no step is
        found before the deadline, the weights stay as they are, and Totals are empty.
        """
        rows, totals = self._rows, self._totals()
        matrix = torch.zeros(rows.n, rows.n, dtype=torch.float64)
        right = torch.zeros(rows.n, dtype=torch.float64)
        numbers = _numbers(batches, self._loss)
        for k, batch in enumerate(batches.of_epoch(number)):
            if deadline.out_of_reach(k / len(batches)):
                return self._totals()
            for own, residuals in rows.of_batch(batch, totals, numbers):
                matrix.addmm_(own.T, own)
                right += own.T @ residuals
        taken = self._take(matrix, right, self._finite(totals), batches, deadline)
        return totals if taken else self._totals()

    def _take(self, matrix, right, loss, batches, deadline):
        """Look for a step with a lower loss; False if the deadline has passed before."""
        start = self._rows.get()
        diagonal = matrix.diagonal().clone()
        scale = torch.where(diagonal > 0, diagonal, 1.0).rsqrt()
        matrix *= scale[:, None] * scale
        unit = torch.eye(len(matrix), dtype=torch.float64)
        for _ in range(TRIED):
            if deadline.passed():
                break
            factor, failed = torch.linalg.cholesky_ex(matrix + self.rate * unit)
            if not failed:
                step = torch.cholesky_solve((scale * right)[:, None], factor)[:, 0] * scale
                self._rows.set(start - step)
                if self._rows.loss(batches) < loss:
                    self.rate = max(self.rate / self._settings.decrease, SMALLEST)
                    return True
            self.rate = min(self.rate * self._settings.increase, LARGEST)
        else:
            self._rows.set(start)
            return True  # there is none; the next epoch begins with a larger damping
        self._rows.set(start)
        return False


def _numbers(batches, loss):
    """How many residuals there are of each label."""
    numbers = {"energy": 0, "forces": 0, "stress": 0}
    for example in batches.data:
        numbers["energy"] += example.energy is not None
        numbers["forces"] += 3 * example.n_atoms * (example.forces is not None)
        numbers["stress"] += 6 * (example.stress is not None)
    return {name: n for name, n in numbers.items() if n and loss.weights[name]}
