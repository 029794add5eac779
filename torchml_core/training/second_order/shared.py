"""What the steps of both methods have in common."""

from __future__ import annotations

import math

from torchml_core.training.losses import Totals
from torchml_core.training.second_order.rows import Rows
from torchml_core.training.steps import diverged


class SecondOrderSteps:
    """An optimizer of second order at work on one model; a subclass defines epoch.

    Parameters
    ----------
    settings : KalmanFilter or LevenbergMarquardt
    model : DescriptorModel
    loss : Loss
    rate : float
        What is shown as the learning rate; a subclass changes it.

    Attributes
    ----------
    averaged : torch.nn.Module
        The network: no average is made.
    """

    N_MATRICES = 3  # of the size (n_parameters, n_parameters)

    def __init__(self, settings, model, loss, rate):
        self._settings, self._loss, self.rate = settings, loss, rate
        self._rows = Rows(model, loss, self.N_MATRICES)
        self.averaged = model.network

    def epoch(self, batches, number, n_steps, deadline):
        """Change the weights with all batches; return the Totals of the epoch.

        Where the deadline passes meanwhile, they are those of the batches that changed the weights.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define epoch")

    def _totals(self):
        return Totals(self._loss)

    @staticmethod
    def _finite(totals):
        """Return the loss; ModelError if it is not finite."""
        loss = totals.loss() or 0.0
        if not math.isfinite(loss):
            raise diverged(f"the loss is {loss}")
        return loss

    def state_dict(self):
        return {"rate": self.rate}

    def load_state_dict(self, state):
        self.rate = state["rate"]
