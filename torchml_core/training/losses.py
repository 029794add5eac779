"""Errors of a model's results, and the loss that is made of them."""

from __future__ import annotations

from typing import NamedTuple

import torch

from torchml_core import checks
from torchml_core.dataset.example import NAMES

# Of squares of eV/atom (energy, virial) relative to those of eV/Å.
WEIGHTS = {"energy": 10.0, "forces": 1.0, "stress": 10.0}
LOSSES = ("mse", "huber")


class Residuals(NamedTuple):
    """Differences between results and labels, of the structures that have the label.

    Attributes
    ----------
    values : (n, m) tensor
        In eV/atom, eV/Å or eV/Å³.
    scale : (n, 1) tensor or None
        What they are multiplied with in a loss: stress becomes virial per atom, in eV.
    weight : (n, 1) tensor
        Of the structure.
    """

    values: torch.Tensor
    scale: torch.Tensor | None
    weight: torch.Tensor


def residuals(out, batch):
    """Return {label: Residuals} of the labels that the batch has."""
    found = {}
    if batch.has_energy.any():
        has = batch.has_energy
        values = (out.energy - batch.energy)[has] / batch.n_atoms[has]
        found["energy"] = Residuals(values[:, None], None, batch.weight[has][:, None])
    if out.forces is not None and batch.has_forces.any():
        has = batch.has_forces[batch.structure]
        weight = batch.weight[batch.structure][has][:, None]
        found["forces"] = Residuals((out.forces - batch.forces)[has], None, weight)
    if out.stress is not None and batch.has_stress.any():
        has = batch.has_stress
        scale = (batch.volumes / batch.n_atoms)[has][:, None]
        values = (out.stress - batch.stress)[has]
        found["stress"] = Residuals(values, scale, batch.weight[has][:, None])
    return found


class Loss:
    """The weighted sum over labels of the mean penalty of residuals.

    Parameters
    ----------
    weights : dict of str to float, or None
        Of "energy", "forces" and "stress"; see WEIGHTS for those that are not given. A label with
        the weight 0 is ignored.
    kind : {"mse", "huber"}
    delta : float
        Where the penalty of Huber becomes linear, in eV/Å for forces; for the others divided by the
        root of their weight relative to that of forces.
    """

    def __init__(self, weights, kind, delta):
        self.weights = dict(WEIGHTS)
        if weights is not None:
            if not isinstance(weights, dict) or not set(weights) <= set(NAMES):
                checks.refuse("weights", weights, f"a dict with keys of {', '.join(NAMES)}")
            for name, weight in weights.items():
                self.weights[name] = checks.not_negative(f"weights[{name!r}]", weight)
        self._huber = checks.one_of("loss", kind, LOSSES) == "huber"
        self._delta = checks.positive("huber_delta", delta)

    def sums(self, found):
        """{label: (sum of penalties, number)}, the weights included."""
        made = {}
        for name, (values, scale, weight) in found.items():
            if self.weights[name]:
                scaled = values if scale is None else values * scale
                scaled = scaled * self.weights[name] ** 0.5
                penalty = self._penalty(scaled)
                made[name] = (penalty * weight.to(penalty.dtype)).sum(), values.numel()
        return made

    def _penalty(self, scaled):
        if self._huber:
            zero = torch.zeros_like(scaled)
            return 2 * torch.nn.functional.huber_loss(
                scaled, zero, reduction="none", delta=self._delta
            )
        return scaled**2


class Totals:
    """Loss and root mean square errors of several batches."""

    def __init__(self, loss):
        self._loss, self._penalties, self._squares = loss, {}, {}

    def add(self, found):
        """Add residuals; return the loss of this batch, or None if it has no label."""
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
