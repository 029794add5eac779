"""Stresses compared with those that a model tells: their order, sign and unit."""

from __future__ import annotations

import itertools

import numpy as np

from torchml_core.dataset.findings import Finding

FEWEST = 8  # structures with stresses
CORRELATED = 0.8
CLEARLY_BETTER = 0.3  # the gain in correlation of another order
NAMES = ("xx", "yy", "zz", "yz", "xz", "xy")
UNITS = {160.2: "GPa", 1602.0: "kBar", 1.602e6: "bar", 1.602e11: "Pa"}  # in eV/Å³


def findings(labels, told):
    """Findings of stresses (n, 6) and those that a model tells (n, 6)."""
    labels, told = _without_means(labels), _without_means(told)
    order = _order(labels, told)
    if order is not None:
        shown = " ".join(NAMES[k] for k in order)
        text = (
            f"the components correlate with those of the model in the order {shown}, but ASE's"
            f" order is {' '.join(NAMES)}; sort them, or store stresses as 3 × 3 matrices"
        )
        return [Finding("stress", text)]
    scale, correlation = _slope(labels, told)
    if abs(correlation) < CORRELATED:
        return []
    if scale < 0:
        text = "the sign is the opposite of ASE's, in which tension is positive; change it"
        return [Finding("stress", text)]
    if 0.4 < scale < 2.5:
        return []
    near = min(UNITS, key=lambda unit: abs(np.log(unit / scale)))
    unit = f", which would be {UNITS[near]}" if 0.5 < near / scale < 2 else ""
    text = (
        f"stresses are {scale:.3g} times as large as energies and forces suggest{unit}; eV/Å³ are"
        " needed"
    )
    return [Finding("stress", text)]


def _without_means(components):
    return components - components.mean(axis=0)


def _slope(labels, told):
    product = (labels * told).sum()
    squares = (told**2).sum() or 1.0
    return product / squares, product / np.sqrt(squares * ((labels**2).sum() or 1.0))


def _order(labels, told):
    """The component that each label is, if another order fits much better than ASE's; or None."""
    own = _correlations(labels, told, range(6))
    best = max(
        itertools.permutations(range(6)),
        key=lambda order: _correlations(labels, told, order).sum(),
    )
    found = _correlations(labels, told, best)
    moved = [k for k in range(6) if best[k] != k]
    if not moved or found.min() < CORRELATED or (found - own).max() < CLEARLY_BETTER:
        return None
    return best


def _correlations(labels, told, order):
    """(7,) of the components, without the pressure, which all normal ones have, and of it.

    Label k is taken for component order[k].
    """
    sorted_labels = np.empty_like(labels)
    sorted_labels[:, list(order)] = labels
    a, b = _with_pressure_apart(sorted_labels), _with_pressure_apart(told)
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.abs((a * b).sum(axis=0)) / np.where(norms > 0, norms, np.inf)


def _with_pressure_apart(stress):
    """(n, 7): deviatoric stress and the mean of the normal components."""
    pressure = stress[:, :3].mean(axis=1, keepdims=True)
    return np.concatenate([stress[:, :3] - pressure, stress[:, 3:], pressure], axis=1)
