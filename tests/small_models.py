"""Small networks for tests, one for each convention, and configurations to try them on."""

import numpy as np
import torch

import torchml_core as tm
from torchml_core.portable.executors import saved_model

CUTOFF = 3.2


class PairNet(torch.nn.Module):
    """Raw convention: a smooth pair energy with a scale for each species; energies per atom."""

    def __init__(self, cutoff=CUTOFF):
        super().__init__()
        self.cutoff = cutoff
        self.scale = torch.nn.Parameter(torch.tensor([1.0, 0.6], dtype=torch.float64))

    def forward(self, species, coords, n_neigh, nlist, contributing):
        own = torch.nonzero(contributing)[:, 0]
        i, j = torch.repeat_interleave(own, n_neigh), nlist.to(torch.int64)
        r = torch.sum((coords[j] - coords[i]) ** 2, dim=1).sqrt()
        pair = (self.scale[species[i]] + 0.5 * self.scale[species[j]]) * (1 - r / self.cutoff) ** 3
        zeros = torch.zeros(len(coords), dtype=coords.dtype, device=coords.device)
        return zeros.index_add(0, i, pair)[own]


class DescriptorNet(torch.nn.Module):
    """Descriptor convention: two layers, energies per atom as a column."""

    def __init__(self, width, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        first = torch.randn(6, width, generator=generator, dtype=torch.float64) / width**0.5
        last = torch.randn(1, 6, generator=generator, dtype=torch.float64)
        self.first = torch.nn.Parameter(first.to(dtype))
        self.last = torch.nn.Parameter(last.to(dtype))

    def forward(self, descriptor):
        return torch.tanh(descriptor @ self.first.T) @ self.last.T


class ElementNet(torch.nn.Module):
    """Descriptor convention with species: two layers and an energy for each element."""

    def __init__(self, n_elements, width, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(3)
        first = torch.randn(n_elements, 5, width, generator=generator, dtype=torch.float64)
        last = torch.randn(n_elements, 5, generator=generator, dtype=torch.float64)
        self.first = torch.nn.Parameter((first / width**0.5).to(dtype))
        self.last = torch.nn.Parameter(last.to(dtype))
        self.reference = torch.nn.Parameter(torch.linspace(-3, -1, n_elements, dtype=dtype))

    def forward(self, descriptor, species):
        hidden = torch.tanh(torch.bmm(self.first[species], descriptor[:, :, None])[:, :, 0])
        return torch.sum(hidden * self.last[species], dim=1) + self.reference[species]


class GraphNet(torch.nn.Module):
    """Graph convention, three convolutions; its body also runs on a plain periodic graph."""

    n_layers = 3

    def __init__(self, cutoff=CUTOFF, dtype=torch.float64):
        super().__init__()
        generator = torch.Generator().manual_seed(11)
        weights = torch.randn(self.n_layers + 3, 4, 4, generator=generator, dtype=torch.float64)
        self.cutoff = cutoff
        self.weights = torch.nn.Parameter((0.7 * weights).to(dtype))

    def convolution(self, h, vectors, i, j, layer: int):
        r = torch.sum(vectors**2, dim=1).sqrt()
        messages = torch.tanh(h[j] @ self.weights[layer]) * ((1 - r / self.cutoff) ** 3)[:, None]
        return h + torch.tanh(torch.zeros_like(h).index_add(0, i, messages))

    def embed(self, species):
        # the row of a species, by code
        return self.weights[3][species]

    def read_out(self, h):
        return torch.sum(torch.tanh(h @ self.weights[4]), dim=1)

    def forward(self, species, coords, graph_1, graph_2, graph_3, contributing):
        h = self.embed(species)
        for layer, graph in enumerate([graph_3, graph_2, graph_1]):
            i, j = graph[0], graph[1]
            h = self.convolution(h, coords[j] - coords[i], i, j, layer)
        zeros = torch.zeros(2, dtype=h.dtype, device=h.device)
        return zeros.index_add(0, contributing, self.read_out(h))[::2]


def save_model(model, folder):
    """Write the file of a model, as PortableModel.create does, and return its name."""
    name, content = saved_model(model)
    (folder / name).write_bytes(content)
    return name


def shuffled(c, seed=0):
    """The same configuration with its particles in random order, its rows in another.

    Returns it and ``order``: its particle k is particle ``order[k]`` of ``c``.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(c.n_particles)
    place = np.argsort(order)
    rows = rng.permutation(c.n_centers)
    lists = [place[c.neighbors[c.offsets[row] : c.offsets[row + 1]]] for row in rows]
    return tm.Configuration(
        c.positions[order],
        c.species[order],
        c.contributing[order],
        place[c.centers[rows]],
        np.cumsum([0, *map(len, lists)]),
        np.concatenate(lists),
        parents=place[c.parents[order]],
        shifts=c.shifts[order],
        species_names=c.species_names,
        cell=c.cell,
        pbc=c.pbc,
        cutoff=c.cutoff,
        n_layers=c.n_layers,
    ), order
