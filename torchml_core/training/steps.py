"""What is done in each step of a training, and which weights are kept in the end."""

from __future__ import annotations

import copy
import math

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from torchml_core import checks
from torchml_core.errors import ModelError


class Steps:
    """An optimizer with its schedule, clipping and the moving average of weights.

    Parameters
    ----------
    network : torch.nn.Module
    optimizer : callable
        ``optimizer(parameters, lr=rate)``.
    rate : float
    schedule : callable
        The rate relative to the first one, of progress from 0 to 1.
    n_steps : int
    most : float or None
        Of the gradient's norm.
    decay : float or None
        Of the average.
    """

    def __init__(self, network, optimizer, rate, schedule, n_steps, most, decay):
        self._network, self._most = network, most
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        if not self._parameters:
            checks.refuse("network", network, "a network with parameters to train")
        self._optimizer = optimizer(self._parameters, lr=rate)
        if not isinstance(self._optimizer, torch.optim.Optimizer):
            checks.refuse("optimizer", optimizer, "a function that returns a torch.optim.Optimizer")
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._optimizer, lambda step: schedule(min(step / n_steps, 1.0))
        )
        self._average = None
        if decay is not None:
            self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def averaged(self):
        """The network with averaged weights, if there are any; else the network."""
        return self._network if self._average is None else self._average.module

    @property
    def rate(self):
        return self._optimizer.param_groups[0]["lr"]

    def step(self, loss):
        if not math.isfinite(loss.item()):
            raise diverged(f"the loss is {loss.item()}")
        self._optimizer.zero_grad()
        loss.backward()
        if self._most is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._most)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._network)
        self._schedule.step()


class Best:
    """The weights with the lowest score; those of the last call where there are no scores."""

    def __init__(self):
        self._score, self.weights, self.waited = math.inf, None, 0

    def offer(self, score, network):
        """Copy the weights if the score is the lowest, or None."""
        self.waited += 1
        if score is None or score < self._score:
            self._score = math.inf if score is None else score
            self.weights, self.waited = copy.deepcopy(network.state_dict()), 0


def diverged(what):
    """Return the error of a training that leads nowhere."""
    return ModelError(
        f"{what}: a lower learning_rate, or a max_gradient_norm, is needed for this network"
    )
