"""The epochs of a training, which can be interrupted after each of them."""

from __future__ import annotations

import copy
import time
from typing import TYPE_CHECKING, NamedTuple

import torch

from torchml_core.training.deadline import Deadline
from torchml_core.training.steps import Best, evaluated_totals

if TYPE_CHECKING:
    from typing import Any

TIMED = 3  # epochs at most, before the number of all of them is fixed
TIMED_SECONDS = 2.0
SPARE = 0.05  # of a time limit, for epochs that take longer than the first ones
OVERDUE = 1.1  # of a time limit, after which a training ends before its last epoch


class Epoch(NamedTuple):
    """What :meth:`Trainer.fit` tells of an epoch.

    Attributes
    ----------
    number : int
        From 1.
    learning_rate : float
        Of its last step; with LevenbergMarquardt the damping, with KalmanFilter the forgetting
        factor at its end.
    loss : float
        Mean of the training set while the weights changed.
    errors : dict of str to float
        Root mean square errors of the training set during the epoch: "energy" in eV/atom, "forces"
        in eV/Å, "stress" in eV/Å³.
    validation_loss : float or None
        At its end, of the averaged weights if there are any; None without validation structures.
    validation_errors : dict of str to float
    seconds : float
    """

    number: int
    learning_rate: float
    loss: float
    errors: dict[str, float]
    validation_loss: float | None
    validation_errors: dict[str, float]
    seconds: float


class Epochs:
    """A training: its steps, the best weights, its history, and how many epochs there will be.

    All that changes from one epoch to the next is in :meth:`state_dict`, so that a training that
    was killed goes on as if nothing had happened.

    Parameters
    ----------
    model : DescriptorModel
    loss : Loss
    steps : Steps
    batches, held_out : Batches
    most : int
        Epochs.
    time_limit : float or None
        In seconds since ``began``. The number of epochs is fixed after the first ones have been
        timed; it then no longer depends on the time. An epoch stops in the middle only if these do
        not end in time, or if later ones take much longer.
    began : float
        Of ``time.monotonic()``.
    """

    def __init__(self, model, loss, steps, batches, held_out, most, time_limit, began):
        self._model, self._loss, self._steps = model, loss, steps
        self._batches, self._held_out = batches, held_out
        self._most, self._limit, self._began = most, time_limit, began
        self._before = 0.0  # seconds of earlier processes
        self._number = most if time_limit is None else None
        self._took, self._last = [], time.monotonic()  # of each epoch, with callbacks and all
        self._best, self.history = Best(), []
        self.finished = False
        self._validated = copy.copy(model)
        self._validated._modules = {"network": steps.averaged}  # a copy shares the dict of modules

    @property
    def waited(self):
        """Epochs since the best one."""
        return self._best.waited

    def next(self):
        """Train for one epoch and return it; None if there was no time to change anything."""
        start, done = time.monotonic(), len(self.history)
        n_steps = (self._number or self._most) * len(self._batches)
        deadline = self._deadline()
        before = None if done else copy.deepcopy(self._steps.averaged.state_dict())
        totals = self._steps.epoch(self._batches, done, n_steps, deadline)
        if deadline.stopped:
            self.finished = True
            if before is not None:
                self._offer(before)
            if totals.loss() is None:
                return None
        evaluated = evaluated_totals(self._validated, self._held_out, self._loss)
        found = Epoch(
            done + 1,
            self._steps.rate,
            totals.loss(),
            totals.errors(),
            evaluated.loss(),
            evaluated.errors(),
            time.monotonic() - start,
        )
        self.history.append(found)
        self._best.offer(found.validation_loss, self._steps.averaged)
        if not self.finished:
            self._look_at_the_clock()
        return found

    def _deadline(self):
        """When an epoch stops: it may take longer once the number of epochs does not depend on it.

        A training that was killed and goes on then ends like one that was not.
        """
        if self._limit is None:
            return Deadline()
        factor = 1.0 if self._number is None else OVERDUE
        return Deadline(self._began + factor * self._limit - self._before)

    def _offer(self, weights):
        """Let the best weights be these, those at the start, unless others are better."""
        network = self._steps.averaged
        now = copy.deepcopy(network.state_dict())
        network.load_state_dict(weights)
        evaluated = evaluated_totals(self._validated, self._held_out, self._loss)
        self._best.offer(evaluated.loss(), network)
        network.load_state_dict(now)

    def end(self):
        """Give the network its best weights."""
        self._model.network.load_state_dict(self._best.weights)
        self._model.eval()

    def state_dict(self) -> dict[str, Any]:
        return {
            "network": self._model.network.state_dict(),
            "steps": self._steps.state_dict(),
            "best": self._best.state_dict(),
            "history": [tuple(epoch) for epoch in self.history],
            "random": torch.get_rng_state(),
            "number": self._number,
            "seconds": self._before + time.monotonic() - self._began,
            "finished": self.finished,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._model.network.load_state_dict(state["network"])
        self._steps.load_state_dict(state["steps"])
        self._best.load_state_dict(state["best"])
        self.history[:] = [Epoch(*epoch) for epoch in state["history"]]
        torch.set_rng_state(state["random"])
        self._number, self._before = state["number"], state["seconds"]
        self.finished = state["finished"]

    def _look_at_the_clock(self):
        done, now, left = len(self.history), time.monotonic(), 0.0
        self._took.append(now - self._last)
        self._last = now
        if self._limit is not None:
            left = self._limit - self._before - (now - self._began)
        timed = sum(self._took) >= TIMED_SECONDS or done >= TIMED or left <= 0
        if self._number is None and timed:
            more = left * (1 - SPARE) / min(self._took)  # the first one is slow
            self._number = done + max(0, min(int(more), self._most - done))
        overdue = self._limit is not None and left < self._limit * (1 - OVERDUE)
        self.finished = overdue or (self._number is not None and done >= self._number)
