"""What is done in each step of a training, and which weights are kept in the end."""

from __future__ import annotations

import copy
import math

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from torchml_core import checks
from torchml_core.errors import InputError, ModelError
from torchml_core.training.losses import Totals

LAST_RATE = 1e-3  # of the cosine schedule, relative to the first


class Steps:
    """An optimizer with its schedule, clipping and the moving average of weights.

    Parameters
    ----------
    model : DescriptorModel
    loss : Loss
    optimizer : callable
        ``optimizer(parameters, lr=rate)``.
    rate : float
    schedule : callable
        The rate relative to the first one, of progress from 0 to 1.
    most : float or None
        Of the gradient's norm.
    decay : float or None
        Of the average.
    """

    def __init__(self, model, loss, optimizer, rate, schedule, most, decay):
        self._model, self._loss, self._most, self._schedule = model, loss, most, schedule
        network = self._network = model.network
        self._parameters = trained_parameters(network)
        self._optimizer = optimizer(self._parameters, lr=rate)
        if not isinstance(self._optimizer, torch.optim.Optimizer):
            checks.refuse("optimizer", optimizer, "a function that returns a torch.optim.Optimizer")
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._average = None
        if decay is not None:
            self._average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))

    @property
    def averaged(self):
        """The network with averaged weights, if there are any; else the network."""
        return self._network if self._average is None else self._average.module

    @property
    def rate(self):
        return float(self._optimizer.param_groups[0]["lr"])

    def epoch(self, batches, number, n_steps, deadline):
        """Take a step for each batch of an epoch; return the Totals of these.

        Where the deadline has passed, they are those of the first batches.
        """
        totals, first = Totals(self._loss), number * len(batches)
        self._model.train()
        for k, batch in enumerate(batches.of_epoch(number)):
            if deadline.passed():
                break
            self._at((first + k) / n_steps)
            loss = totals.add(results(self._model, batch, self._loss), batch)
            if loss is not None:  # it is None if no structure of the batch has a label
                self._step(loss)
        return totals

    def _at(self, progress):
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * self._schedule(min(progress, 1.0))

    def _step(self, loss):
        if not math.isfinite(loss.item()):
            raise diverged(f"the loss is {loss.item()}")
        self._optimizer.zero_grad()
        loss.backward()
        if self._most is not None:
            torch.nn.utils.clip_grad_norm_(self._parameters, self._most)
        self._optimizer.step()
        if self._average is not None:
            self._average.update_parameters(self._network)

    def state_dict(self):
        average = None if self._average is None else self._average.state_dict()
        return {"optimizer": self._optimizer.state_dict(), "average": average}

    def load_state_dict(self, state):
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average is not None:
            self._average.load_state_dict(state["average"])


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

    def state_dict(self):
        return {"score": self._score, "weights": self.weights, "waited": self.waited}

    def load_state_dict(self, state):
        self._score, self.weights, self.waited = state["score"], state["weights"], state["waited"]


def trained_parameters(network):
    """The parameters that require a gradient; InputError if there are none."""
    found = [p for p in network.parameters() if p.requires_grad]
    if not found:
        checks.refuse("network", network, "a network with parameters to train")
    return found


def results(model, batch, loss):
    """The model's output, as far as the loss needs it."""
    forces = bool(loss.weights["forces"]) and bool(batch.has_forces.any())
    stress = bool(loss.weights["stress"]) and bool(batch.has_stress.any())
    try:
        return model(batch, forces=forces, stress=stress)
    except InputError as error:
        if all(p.isfinite().all() for p in model.network.parameters()):
            raise
        raise diverged("weights are infinite, or not numbers") from error


def evaluated_totals(model, batches, loss):
    """Totals of all batches, without a change of the weights."""
    totals = Totals(loss)
    model.eval()
    with torch.no_grad():
        for batch in batches:
            totals.add(results(model, batch, loss), batch)
    return totals


def diverged(what):
    """Return the error of a training that leads nowhere."""
    return ModelError(
        f"{what}: a lower learning_rate, or a max_gradient_norm, is needed for this network"
    )


def _cosine(progress):
    return LAST_RATE + (1 - LAST_RATE) * (1 + math.cos(math.pi * progress)) / 2


def _constant(_):
    return 1.0


SCHEDULES = {"cosine": _cosine, "constant": _constant}
