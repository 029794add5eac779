"""Rows of a nonlinear least-squares problem whose sum of squares is the loss."""

from __future__ import annotations

import torch

from torchml_core.available_memory import available_memory
from torchml_core.errors import InputError
from torchml_core.training.second_order.jacobians import Jacobians
from torchml_core.training.steps import evaluated_totals, results, trained_parameters


class Rows:
    """Residuals and Jacobians of batches, weighted as in the loss.

    Parameters
    ----------
    model : DescriptorModel
    loss : Loss
    n_matrices : int
        Of the size (n_parameters, n_parameters) that the optimizer needs.
    """

    def __init__(self, model, loss, n_matrices):
        self._model, self._loss = model, loss
        self.parameters = trained_parameters(model.network)
        self._jacobians = Jacobians(model, self.parameters)
        self.n, self._checked = self._jacobians.n, False
        size = 8.0 * n_matrices * self.n**2
        if size > available_memory() / 2:
            raise InputError(
                f"optimizer: {self.n} parameters need {size / 1e9:.1f} GB; a smaller network, or an"
                " optimizer of first order, is needed"
            )

    def of_batch(self, batch, totals, numbers=None):
        """Yield rows (m, n_parameters) and residuals (m,), whose squares sum up to the loss.

        Parameters
        ----------
        batch : Batch
        totals : Totals
            To which the batch is added.
        numbers : dict of str to int, optional
            Of the residuals of each label of all batches whose loss is meant. None: of this batch.
        """
        self._model.eval()
        if not self._checked:
            self._jacobians.check_network(batch)
            self._checked = True
        with torch.no_grad():
            out = results(self._model, batch, self._loss)
        totals.add(out, batch)
        found = self._loss.residuals(out, batch)
        scaled = {name: self._loss.scaled(name, found[name]) for name in self._loss.sums(found)}
        factors = {}
        for name, values in scaled.items():
            factor = self._loss.factors(name, values) * found[name].weight
            factors[name] = (factor / (numbers or {}).get(name, values.numel())) ** 0.5
        wanted = {"forces": "forces" in scaled, "stress": "stress" in scaled}
        done = dict.fromkeys(scaled, 0)  # rows of values
        for block in self._jacobians.blocks(batch, **wanted):
            name = block.label
            if name not in scaled:
                continue
            m, per_row = len(block.rows), scaled[name].shape[1]
            start = done[name]
            done[name] += m // per_row
            part = slice(start, done[name])
            scale = found[name].scale
            scale = torch.ones_like(scaled[name]) if scale is None else scale.to(scaled[name])
            scale = scale.expand_as(scaled[name]) * self._loss.weights[name] ** 0.5
            root = factors[name].expand_as(scaled[name])[part].reshape(-1).cpu().double()
            rows = block.rows * (scale[part].reshape(-1).cpu().double() * root)[:, None]
            yield rows, scaled[name][part].reshape(-1).cpu().double() * root

    def loss(self, batches):
        """The loss of several batches together."""
        return evaluated_totals(self._model, batches, self._loss).loss()

    def get(self):
        """The parameters (n,), float64."""
        return torch.cat([p.detach().reshape(-1).cpu().double() for p in self.parameters])

    def set(self, weights):
        start = 0
        with torch.no_grad():
            for p in self.parameters:
                p.copy_(weights[start : start + p.numel()].reshape(p.shape))
                start += p.numel()
