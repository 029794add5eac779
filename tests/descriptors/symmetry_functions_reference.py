"""Symmetry functions g1-g5 written down from their definition: slow, and easy to read.

Positions may be complex, so that a derivative along a direction u is ``imag(D(x + ih u)) / h``
with h = 1e-30, exact to rounding. Nothing here is shared with the library.
"""

import itertools

import numpy as np


def cutoff_function(kind, r, rc):
    x = r / rc
    if x.real >= 1:
        return 0.0
    return {
        "cos": (np.cos(np.pi * x) + 1) / 2,
        "poly1": 1 - 3 * x**2 + 2 * x**3,
        "poly2": 1 - 10 * x**3 + 15 * x**4 - 6 * x**5,
        "poly3": 1 - 35 * x**4 + 84 * x**5 - 70 * x**6 + 20 * x**7,
    }[kind]


def length(v):
    return np.sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2])


def two_body(type, row, r):
    if type == "g1":
        return 1.0
    if type == "g2":
        eta, shift = row
        return np.exp(-eta * (r - shift) ** 2)
    (kappa,) = row
    return np.cos(kappa * r)


def three_body(type, row, rij, rik, rjk):
    zeta, lam, eta = row
    base = 1 + lam * (rij**2 + rik**2 - rjk**2) / (2 * rij * rik)
    if base.real <= 0:
        return 0.0
    square = rij**2 + rik**2 + (rjk**2 if type == "g4" else 0)
    return 2 ** (1 - zeta) * base**zeta * np.exp(-eta * square)


def symmetry_functions(
    species, cutoffs, functions, names, positions, centers, rows, mode="pooled", kind="cos"
):
    """(n_centers, width) values.

    ``names[p]`` is the species of particle p, ``rows[k]`` the list of neighbors of centers[k],
    ``cutoffs[a, b]`` defined for both orders.
    """
    return np.array(
        [
            _row(species, cutoffs, functions, names, positions, i, row, mode, kind)
            for i, row in zip(centers, rows, strict=True)
        ]
    )


def _row(species, cutoffs, functions, names, positions, i, neighbors, mode, kind):
    pairs = list(itertools.combinations_with_replacement(species, 2))
    values = []
    for type, rows in functions:
        channels = species if type in ("g1", "g2", "g3") else pairs
        for channel in channels if mode == "resolved" else [None]:
            for row in rows or [()]:
                term = _two if type in ("g1", "g2", "g3") else _three
                args = (cutoffs, type, row, names, positions, i, neighbors, channel, kind)
                values.append(term(*args))
    return values


def _two(cutoffs, type, row, names, positions, i, neighbors, channel, kind):
    total = 0.0
    for j in neighbors:
        if channel not in (None, names[j]):
            continue
        r = length(positions[j] - positions[i])
        total += two_body(type, row, r) * cutoff_function(kind, r, cutoffs[names[i], names[j]])
    return total


def _three(cutoffs, type, row, names, positions, i, neighbors, channel, kind):
    total = 0.0
    for j, k in itertools.combinations(neighbors, 2):
        if channel is not None and sorted(channel) != sorted((names[j], names[k])):
            continue
        rij = length(positions[j] - positions[i])
        rik = length(positions[k] - positions[i])
        rjk = length(positions[k] - positions[j])
        fc = cutoff_function(kind, rij, cutoffs[names[i], names[j]])
        fc = fc * cutoff_function(kind, rik, cutoffs[names[i], names[k]])
        if type == "g4":
            fc = fc * cutoff_function(kind, rjk, cutoffs[names[j], names[k]])
        if fc != 0:
            total += three_body(type, row, rij, rik, rjk) * fc
    return total
