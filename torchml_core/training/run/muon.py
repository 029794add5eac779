"""Muon for the weights of layers and Adam for all other parameters, as one optimizer."""

from __future__ import annotations

import torch

from torchml_core.errors import UnsupportedError


class MuonAndAdam(torch.optim.Optimizer):
    """torch.optim.Muon for matrices, whose steps are as long as Adam's, and Adam for the rest.

    Parameters
    ----------
    parameters : iterable of torch.nn.Parameter
    lr : float
        Of both.
    """

    def __init__(self, parameters, lr):
        if not hasattr(torch.optim, "Muon"):
            raise UnsupportedError(
                f"optimizer = 'muon': torch 2.9 is needed; this is {torch.__version__}"
            )
        super().__init__(list(parameters), {"lr": lr})
        own = [p for group in self.param_groups for p in group["params"]]
        groups = [[p for p in own if p.ndim == 2], [p for p in own if p.ndim != 2]]
        self._parts = [torch.optim.Adam(groups[1], lr=lr)] if groups[1] else []
        if groups[0]:
            self._parts.append(
                torch.optim.Muon(groups[0], lr=lr, weight_decay=0.0, adjust_lr_fn="match_rms_adamw")
            )

    @torch.no_grad()
    def step(self, closure=None):
        loss = None if closure is None else closure()
        for part in self._parts:
            for group in part.param_groups:
                group["lr"] = self.param_groups[0]["lr"]
            part.step()
        return loss

    def state_dict(self):
        return {**super().state_dict(), "parts": [part.state_dict() for part in self._parts]}

    def load_state_dict(self, state):
        super().load_state_dict({name: x for name, x in state.items() if name != "parts"})
        for part, own in zip(self._parts, state["parts"], strict=True):
            part.load_state_dict(own)
