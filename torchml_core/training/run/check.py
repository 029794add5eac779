"""The stored model is compared with the one that was trained."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from torchml_core.configuration import Configuration
from torchml_core.errors import ModelError

AGREEMENT = 1e-12
STRUCTURES = 8


class Check(NamedTuple):
    """The largest relative differences between the stored model and the trained one."""

    n_structures: int
    energy: float
    forces: float


def check(model, module, descriptor, data) -> Check:
    """Compare energies and forces of some structures.

    Differences are relative to the sums of absolute values of the terms that energies and forces
    are the sums of, since that is what rounding is relative to: coefficients of least squares have
    both signs and are large.

    Parameters
    ----------
    model : PortableModel
        As loaded from its folder.
    module : torch.nn.Module
        ``forward(descriptor, species)``, with reference energies.
    descriptor : Descriptor
    data : Dataset

    Raises
    ------
    ModelError
        If they differ by more than 1e-12.
    """
    step = max(1, len(data) // STRUCTURES)
    chosen = list(range(0, len(data), step))[:STRUCTURES]
    largest = [0.0, 0.0]
    for k in chosen:
        c = Configuration.from_atoms(data[k].atoms, descriptor.cutoff, model.species)
        values = torch.from_numpy(descriptor.compute(c)).requires_grad_()
        codes = torch.from_numpy(c.codes(model.species)[c.centers].astype(np.int64))
        energies = module(values, codes)
        (gradient,) = torch.autograd.grad(energies.sum(), values)
        energies, own = energies.detach(), -descriptor.vjp(c, gradient.numpy())
        found = model.evaluate(c, virial=False)
        terms = (gradient * values.detach()).abs().sum() + energies.abs().sum()
        sizes = float(terms), _largest_sum(descriptor, c, gradient.abs().numpy())
        differences = abs(found.energy - float(energies.sum())), np.abs(found.forces - own)
        for j, (difference, size) in enumerate(zip(differences, sizes, strict=True)):
            largest[j] = max(largest[j], float(np.max(difference, initial=0.0)) / max(1.0, size))
    result = Check(len(chosen), *largest)
    if not max(largest) <= AGREEMENT:
        raise ModelError(
            f"the stored model differs from the trained one by {largest[0]:.1e} (energies) and"
            f" {largest[1]:.1e} (forces), relative; at most {AGREEMENT:g} is needed"
        )
    return result


def _largest_sum(descriptor, c, gradient):
    """The largest sum of absolute values of the terms of a pair's force, for these |dE/dD|."""
    jacobian = np.abs(descriptor.jacobian(c).values)
    centers = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
    return float(np.einsum("pxk,pk->px", jacobian, gradient[centers]).max(initial=0.0))
