"""Made-up models and data, where the ones that others made are absent, as for most users.

They have the properties that the tests of models of others rely on: a raw model that gives a total
energy and forces by its own backward pass, a descriptor network, and a graph network with the
operators of torch_scatter that divides by the largest species, as if that were an atomic number.
"""

import gzip
import io

import numpy as np
import torch
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from small_models import CUTOFF, DescriptorNet, GraphNet

import torchml_core as tm
from torchml_core.portable import scatter_ops

FUNCTIONS = [("g2", [[0.3, 0.0], [0.5, 1.5]]), ("g4", [[1, 1, 0.05], [2, -1, 0.1]])]


class TotalAndForces(torch.nn.Module):
    """Pairs, one after another; without any, torch cannot differentiate the energy."""

    def forward(self, species, coords, n_neigh, nlist, contributing):
        own = torch.nonzero(contributing)[:, 0]
        energy = torch.zeros([], dtype=coords.dtype, device=coords.device)
        start = 0
        for k in range(len(own)):
            i = int(own[k])
            for j in nlist[start : start + int(n_neigh[k])]:
                r = torch.norm(coords[int(j)] - coords[i])
                energy = energy + (1 - r / 3.2) ** 3
            start += int(n_neigh[k])
        forces = torch.autograd.grad([-energy], [coords])[0]
        assert forces is not None
        return energy, forces


class ByAtomicNumber(GraphNet):
    """NaN for species codes of one element, 0 / 0."""

    def embed(self, species):
        return (species / species.max())[:, None] * self.weights[3][:1]

    def convolution(self, h, vectors, i, j, layer: int):
        r = torch.sum(vectors**2, dim=1).sqrt()
        messages = torch.tanh(h[j] @ self.weights[layer]) * ((1 - r / self.cutoff) ** 3)[:, None]
        index = i[:, None].expand_as(messages)
        total = torch.ops.torch_scatter.scatter_sum(messages, index, 0, None, len(h))
        return h + torch.tanh(total)


def write_models(folder):
    """Write a model of silicon in each convention; return {convention: folder}."""
    scatter_ops.register()
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)
    models = {
        "raw": {"model": TotalAndForces(), "cutoff": CUTOFF, "returns_forces": True},
        "descriptor": {"model": DescriptorNet(descriptor.width), "descriptor": descriptor},
        "graph": {"model": ByAtomicNumber(), "cutoff": CUTOFF, "n_layers": GraphNet.n_layers},
    }
    for convention, options in models.items():
        if convention != "descriptor":
            options["convention"] = convention
        tm.PortableModel.create(folder / convention, species=["Si"], **options)
    return {convention: folder / convention for convention in models}


def write_training_set(path):
    """Write 120 frames as those of KLIFF's silicon set, of 8 atoms, with made-up results."""
    frames = []
    for k in range(30):
        names = [f"NVT_runs/T{T}_step{500 * k}" for T in (300, 600, 900)]
        for name in (*names, f"varying_alat/Si_alat{5.2 + 0.02 * (k // 2):.3f}_perturb{k % 2}"):
            atoms = bulk("Si", cubic=True)
            atoms.rattle(0.05, seed=len(frames))
            forces = np.sin(7 * atoms.positions)
            atoms.info["name"] = name
            atoms.calc = SinglePointCalculator(atoms, energy=-37 + 0.01 * k, forces=forces)
            frames.append(atoms)
    text = io.StringIO()
    write(text, frames, format="extxyz")
    path.write_bytes(gzip.compress(text.getvalue().encode()))
    return path
