"""Fitting energies and forces of any network, and writing the model: for train_graph.py.

A *sample* is an example prepared for training: it has the ``example``, and its ``positions`` as a
tensor that requires a gradient. A function ``atom_energies(network, sample)`` returns the energies
of its atoms.
"""

import copy
import json
from pathlib import Path

import numpy as np
import silicon_data
import torch

import torchml_core as tm

RATE = 0.003  # of the first steps; decreases to nearly zero along a cosine
# Å⁻²: weight of the squared energy error per atom, relative to that of a force component
ENERGY_WEIGHT = 100.0


def fit(network, atom_energies, samples, *, epochs, seed=0, report=print):
    """Fit a network's energies and forces to ``samples["train"]``, with Adam, one at a time.

    At the end the network has the weights of the epoch with the lowest loss on
    ``samples["validation"]``.

    Returns
    -------
    list of dict
        The losses ``train`` and ``validation`` of each epoch.
    """
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, lr=RATE)
    steps = epochs * len(samples["train"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=RATE / 1000)
    random = np.random.default_rng(seed)
    losses, best, weights = [], np.inf, None
    for epoch in range(epochs):
        values = []
        for k in random.permutation(len(samples["train"])):
            optimizer.zero_grad()
            value = loss(network, atom_energies, samples["train"][k])
            # with respect to the parameters only: second derivatives in positions do not exist
            value.backward(inputs=parameters)
            optimizer.step()
            schedule.step()
            values.append(float(value.detach()))
        losses.append(
            {
                "train": float(np.mean(values)),
                "validation": mean_loss(network, atom_energies, samples["validation"]),
            }
        )
        if losses[-1]["validation"] < best:
            best, weights = losses[-1]["validation"], copy.deepcopy(network.state_dict())
        shown = ", ".join(f"{name} {value:.5f}" for name, value in losses[-1].items())
        report(f"epoch {epoch + 1:3d} of {epochs}: loss {shown}")
    network.load_state_dict(weights)
    return losses


def loss(network, atom_energies, sample):
    """Mean square error of the force components, plus the weighted one of the energy per atom."""
    example, energy = sample.example, atom_energies(network, sample).sum()
    (gradient,) = torch.autograd.grad(energy, sample.positions, create_graph=True)
    value = ((gradient + torch.from_numpy(example.forces)) ** 2).mean()
    if example.temperature is None:
        energy_error = (energy - example.energy) / len(example.atoms)
        value = value + ENERGY_WEIGHT * energy_error**2
    return value


def mean_loss(network, atom_energies, samples):
    """Return the mean loss over the samples, as a number."""
    values = [float(loss(network, atom_energies, sample).detach()) for sample in samples]
    return float(np.mean(values))


def mean_energy(examples):
    """Return the mean energy per atom, in eV, of the examples whose energies are used."""
    crystals = [e for e in examples if e.temperature is None]
    return sum(e.energy for e in crystals) / sum(len(e.atoms) for e in crystals)


def write_model(folder, sets, **model):
    """Write a portable model and, beside it, ``errors.json``: its errors on each set."""
    folder = Path(folder)
    for name in ("model.param", "model.pt", "model.json", "descriptor.dat", "errors.json"):
        (folder / name).unlink(missing_ok=True)
    made = tm.PortableModel.create(folder, **model)
    errors = silicon_data.write_errors(folder, sets, made)
    print(f"{made}\n{json.dumps(errors, indent=1)}")
    return made
