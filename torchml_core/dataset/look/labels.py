"""What is unusual in forces by themselves."""

from __future__ import annotations

import numpy as np

from torchml_core.dataset.findings import Finding
from torchml_core.dataset.look.structures import n_structures

NET = 0.05  # of the norm of all forces of a structure
LEAST_NET = 0.05  # eV/Å
LARGE, LARGE_RATIO = 30.0, 10.0  # eV/Å; and relative to the root mean square of all


def net_forces(data):
    """Forces whose sum is not zero."""
    labels, largest = [], 0.0
    for example in data:
        if example.forces is None:
            continue
        net = float(np.linalg.norm(example.forces.sum(axis=0)))
        if net > max(NET * np.linalg.norm(example.forces), LEAST_NET):
            labels.append(example.label)
            largest = max(largest, net)
    if not labels:
        return []
    text = (
        f"forces of {n_structures(labels)} do not sum to zero, but to up to {largest:.2g} eV/Å;"
        " a potential cannot have such forces: check if atoms are missing or were held fixed, or if"
        " there was an external field"
    )
    return [Finding("net force", text, tuple(labels))]


def large_forces(data):
    """Forces that are far larger than all others, which dominate a fit."""
    largest = {e.label: float(np.abs(e.forces).max()) for e in data if e.forces is not None}
    if not largest:
        return []
    squares = [float((e.forces**2).mean()) for e in data if e.forces is not None]
    limit = max(LARGE, LARGE_RATIO * np.sqrt(np.median(squares)))
    labels = tuple(label for label, force in largest.items() if force > limit)
    if not labels:
        return []
    text = (
        f"forces of up to {max(largest.values()):.0f} eV/Å in {n_structures(labels)} dominate the"
        " squares of errors: leave them out, or give them a smaller weight"
    )
    return [Finding("large forces", text, labels)]
