"""Candidate: a model of one stage, which can be stored, compared, and published."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch

from torchml_core.nn import ElementNetworks, ElementPolynomials, WithLinear
from torchml_core.nn.portable_form import OfOneElement
from torchml_core.portable.model import PortableModel


@dataclass
class Candidate:
    """A model of a stage and what is known about it.

    Attributes
    ----------
    stage : str
    module : torch.nn.Module
        ``forward(descriptor, species)``, fitted without the validation structures.
    final : torch.nn.Module
        What is published: fitted again with the validation structures, if that takes no time.
    facts : dict
        For scores and the report: errors on the validation structures, seconds, numbers of
        coefficients, ...
    """

    stage: str
    module: torch.nn.Module
    final: torch.nn.Module
    facts: dict = field(default_factory=dict)


def polynomials(descriptor, species, degree, state) -> ElementPolynomials:
    """An ElementPolynomials with stored coefficients."""
    made = ElementPolynomials(descriptor, degree, species=species)
    made.load_state_dict(state)
    return made


def network(settings, descriptor, base, seed) -> WithLinear:
    """A new network on top of a linear model, with weights that follow from the seed."""
    own = settings.network
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = ElementNetworks(descriptor, own.hidden, own.activation)
    return WithLinear(copy.deepcopy(base), networks)  # which may move to another device


def write_model(folder: Any, module, descriptor, species, **card) -> PortableModel:
    """Write a portable model; with one element it takes the descriptor alone."""
    return PortableModel.create(
        folder,
        model=OfOneElement(module) if len(species) == 1 else module,
        species=species,
        descriptor=descriptor,
        **card,
    )


class Mean(torch.nn.Module):
    """The mean of several models: that of a committee."""

    def __init__(self, members):
        super().__init__()
        self.members = torch.nn.ModuleList(members)

    def forward(self, descriptor: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        total = torch.zeros(descriptor.shape[0], dtype=torch.float64, device=descriptor.device)
        for member in self.members:
            total = total + member(descriptor, species)
        return total / len(self.members)
