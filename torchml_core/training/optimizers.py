"""Optimizers of first order by name, and Muon for the matrices of a network."""

from __future__ import annotations

import torch

LEARNING_RATE = 3e-3


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon for weights that are matrices, and Adam for all other parameters.

    Muon replaces the momentum of a matrix by the closest orthogonal one, so that all directions
    change alike; steps have the size of Adam's for the same learning rate.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
    lr : float
    """

    def __init__(self, parameters, lr=LEARNING_RATE):
        parameters = list(parameters)
        matrices = [p for p in parameters if p.dim() == 2 and min(p.shape) > 1]
        known = {id(p) for p in matrices}
        rest = [p for p in parameters if id(p) not in known]
        self._parts: list[torch.optim.Optimizer] = []
        if matrices:
            self._parts.append(
                torch.optim.Muon(matrices, lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
            )
        if rest:
            self._parts.append(torch.optim.Adam(rest, lr=lr))
        super().__init__(parameters, {"lr": lr})
        self._share_groups()

    def step(self, closure=None):
        """Take a step."""
        if closure is not None:
            raise ValueError("closure: None is needed")
        for part in self._parts:
            part.step()

    def state_dict(self):
        return {"parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state_dict):
        for part, state in zip(self._parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self._share_groups()

    def _share_groups(self):
        self.param_groups = [group for part in self._parts for group in part.param_groups]


OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "muon": Muon}
