"""Activation functions by name: those of n2p2 and RuNNer, as modules that can be scripted."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gaussian(nn.Module):
    """exp(-x²/2)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-0.5 * x * x)


class Cosine(nn.Module):
    """cos(x)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cos(x)


class ReverseLogistic(nn.Module):
    """1 - 1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(-x)


class Exponential(nn.Module):
    """exp(-x)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.exp(-x)


class Harmonic(nn.Module):
    """x²."""

    def forward(self, x: Tensor) -> Tensor:
        return x * x


def _softplus():
    # torch's default replaces softplus by x beyond 20, where they differ by 2e-9
    return nn.Softplus(threshold=40.0)


ACTIVATIONS = {
    "linear": nn.Identity,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
    "softplus": _softplus,
    "relu": nn.ReLU,
    "gaussian": Gaussian,
    "cos": Cosine,
    "reverse_logistic": ReverseLogistic,
    "exp": Exponential,
    "harmonic": Harmonic,
}
