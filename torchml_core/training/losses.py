"""Errors of a model's results, and the loss that is made of them."""

from __future__ import annotations

from typing import NamedTuple

import torch

from torchml_core import checks
from torchml_core.dataset.example import NAMES

# Of squares of eV/atom (energy, virial) relative to those of eV/Å.
WEIGHTS = {"energy": 10.0, "forces": 1.0, "stress": 10.0}
# Of squares of errors relative to what is expected of them.
RELATIVE_WEIGHTS = {"energy": 1.0, "forces": 1.0, "stress": 1.0}
DELTA, RELATIVE_DELTA = 0.1, 3.0  # of Huber's penalty
LOSSES = ("mse", "huber")


class Residuals(NamedTuple):
    """Differences between results and labels, of the structures that have the label.

    Attributes
    ----------
    values : (n, m) tensor
        In eV/atom, eV/Å or eV/Å³.
    scale : (n, 1) tensor or None
        What they are multiplied with in a loss.
    weight : (n, 1) tensor
        Of the structure.
    """

    values: torch.Tensor
    scale: torch.Tensor | None
    weight: torch.Tensor


class Loss:
    """The weighted sum over labels of the mean penalty of residuals.

    Parameters
    ----------
    weights : dict of str to float, or None
        Of "energy", "forces" and "stress"; see WEIGHTS and RELATIVE_WEIGHTS for those that are not
        given. A label with the weight 0 is ignored.
    kind : {"mse", "huber"}
    delta : float or None
        Where the penalty of Huber becomes linear: in units of what is expected, if it is, else in
        eV/Å for forces, and for the others divided by the root of their weight relative to that of
        forces.
    relative : bool
        Whether residuals are divided by what is expected, see :meth:`expect`.

    Attributes
    ----------
    weights : dict of str to float
    expected : ExpectedErrors or None
    """

    def __init__(self, weights, kind, delta, *, relative=False):
        self.weights = dict(RELATIVE_WEIGHTS if relative else WEIGHTS)
        if weights is not None:
            if not isinstance(weights, dict) or not set(weights) <= set(NAMES):
                checks.refuse("weights", weights, f"a dict with keys of {', '.join(NAMES)}")
            for name, weight in weights.items():
                self.weights[name] = checks.not_negative(f"weights[{name!r}]", weight)
        self.expected = None
        self._relative = relative
        self._huber = checks.one_of("loss", kind, LOSSES) == "huber"
        if delta is None:
            delta = RELATIVE_DELTA if relative else DELTA
        self._delta = checks.positive("huber_delta", delta)

    def residuals(self, out, batch):
        """Return {label: Residuals} of the labels that the batch has."""
        found = {}
        if batch.has_energy.any():
            has = batch.has_energy
            values = (out.energy - batch.energy)[has] / batch.n_atoms[has]
            scale = self._scale("energy", batch, has)
            found["energy"] = Residuals(values[:, None], scale, batch.weight[has][:, None])
        if out.forces is not None and batch.has_forces.any():
            has = batch.has_forces[batch.structure]
            weight = batch.weight[batch.structure][has][:, None]
            scale = self._scale("forces", batch, batch.structure[has])
            found["forces"] = Residuals((out.forces - batch.forces)[has], scale, weight)
        if out.stress is not None and batch.has_stress.any():
            has = batch.has_stress
            scale = self._scale("stress", batch, has)
            values = (out.stress - batch.stress)[has]
            found["stress"] = Residuals(values, scale, batch.weight[has][:, None])
        return found

    def _scale(self, name, batch, structures):
        if self.expected is not None:
            return 1 / self.expected.of(name, batch.kinds).to(batch.weight)[structures][:, None]
        if name == "stress":  # becomes a virial per atom
            return (batch.volumes / batch.n_atoms)[structures][:, None]
        return None

    def sums(self, found):
        """{label: (sum of penalties, number)}, the weights included."""
        made = {}
        for name, (_, _, weight) in found.items():
            if self.weights[name]:
                scaled = self.scaled(name, found[name])
                penalty = self._penalty(scaled, name)
                made[name] = (penalty * weight.to(penalty.dtype)).sum(), scaled.numel()
        return made

    def scaled(self, name, residuals):
        """Residuals in the units of the loss, times the root of the label's weight."""
        values, scale, _ = residuals
        scaled = values if scale is None else values * scale.to(values.dtype)
        return scaled * self.weights[name] ** 0.5

    def factors(self, name, scaled):
        """The penalty of scaled residuals relative to their squares' slope: 1 but for outliers.

        With these factors as weights of squares, the gradient is that of the penalty.
        """
        if not self._huber:
            return torch.ones_like(scaled)
        return (self._delta_of(name) / scaled.abs().clamp_min(1e-300)).clamp_max(1.0)

    def _delta_of(self, name):
        return self._delta * (self.weights[name] ** 0.5 if self._relative else 1.0)

    def _penalty(self, scaled, name):
        if not self._huber:
            return scaled**2
        delta = self._delta_of(name)
        zero = torch.zeros_like(scaled)
        return 2 * torch.nn.functional.huber_loss(scaled, zero, reduction="none", delta=delta)


class Totals:
    """Loss and root mean square errors of several batches."""

    def __init__(self, loss):
        self._loss, self._penalties, self._squares = loss, {}, {}

    def add(self, out, batch):
        """Add the residuals of a batch; return its loss, or None if it has no label."""
        found = self._loss.residuals(out, batch)
        batch_loss = None
        for name, (penalty, n) in self._loss.sums(found).items():
            mean = penalty / n
            batch_loss = mean if batch_loss is None else batch_loss + mean
            _add(self._penalties, name, penalty.item(), n)
        for name, (values, _, _) in found.items():
            _add(self._squares, name, values.detach().double().pow(2).sum().item(), values.numel())
        return batch_loss

    def loss(self):
        """Of all batches together; None without labels."""
        means = [total / n for total, n in self._penalties.values()]
        return sum(means) if means else None

    def errors(self):
        """{label: root mean square error}."""
        return {name: (total / n) ** 0.5 for name, (total, n) in self._squares.items()}


def _add(sums, name, value, n):
    total, count = sums.get(name, (0.0, 0))
    sums[name] = total + value, count + n
