"""The module that is stored of a network which was trained: with its reference energies."""

import torch
from torch import Tensor, nn


class WithReferences(nn.Module):
    """``forward(descriptor, species)``: a network's energies plus those of free atoms, float64."""

    takes_species: torch.jit.Final[bool]
    references: Tensor

    def __init__(self, network, references, takes_species):
        super().__init__()
        self.network, self.takes_species = network, takes_species
        self.register_buffer("references", torch.tensor(references, dtype=torch.float64))

    def forward(self, descriptor: Tensor, species: Tensor) -> Tensor:
        if self.takes_species:
            energies = self.network(descriptor, species)
        else:
            energies = self.network(descriptor)
        energies = energies.reshape(descriptor.shape[0]).to(torch.float64)
        return energies + self.references.index_select(0, species)


class OfOneElement(nn.Module):
    """``forward(descriptor)`` of a model of one element, as the original driver calls it."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, descriptor: Tensor) -> Tensor:
        species = torch.zeros(descriptor.shape[0], dtype=torch.int64, device=descriptor.device)
        return self.network(descriptor, species)
