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
        with torch.no_grad():
            terms = float((gradient * values).abs().sum() + energies.abs().sum())
        own = descriptor.vjp(c, gradient.numpy())
        size = float(np.abs(descriptor.jacobian(c).values).max(initial=0.0))
        scale = max(1.0, size * float(gradient.abs().sum(dim=1).max()))
        found = model.evaluate(c, virial=False)
        largest[0] = max(largest[0], abs(found.energy - float(energies.sum())) / max(1.0, terms))
        largest[1] = max(largest[1], float(np.abs(found.forces + own).max(initial=0.0)) / scale)
    result = Check(len(chosen), *largest)
    if not max(largest) <= AGREEMENT:
        raise ModelError(
            f"the stored model differs from the trained one by {largest[0]:.1e} (energies) and"
            f" {largest[1]:.1e} (forces), relative; at most {AGREEMENT:g} is needed"
        )
    return result
