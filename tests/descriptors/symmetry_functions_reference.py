"""Symmetry functions g1-g5 written down from their definition: slow, and easy to read.

Positions may be complex, so that a derivative along a direction u is ``imag(D(x + ih u)) / h``
with h = 1e-30, exact to rounding. Nothing here is shared with the library.
"""

import itertools

import numpy as np


def cutoff_function(kind, r, rc, inner=0.0):
    x = (r / rc - inner) / (1 - inner)
    if x.real >= 1:
        return 0.0
    if x.real <= 0 and inner > 0:
        return 1.0
    return {
        "cos": (np.cos(np.pi * x) + 1) / 2,
        "poly1": 1 - 3 * x**2 + 2 * x**3,
        "poly2": 1 - 10 * x**3 + 15 * x**4 - 6 * x**5,
        "poly3": 1 - 35 * x**4 + 84 * x**5 - 70 * x**6 + 20 * x**7,
        "poly4": 1 - 126 * x**5 + 420 * x**6 - 540 * x**7 + 315 * x**8 - 70 * x**9,
        "tanh3": np.tanh(1 - x) ** 3,
        "tanh3_normalized": (np.tanh(1 - x) / np.tanh(1)) ** 3,
        "exp": np.exp(1 - 1 / (1 - x * x)),
        "hard": 1.0,
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
    species,
    cutoffs,
    functions,
    names,
    positions,
    centers,
    rows,
    mode="pooled",
    kind="cos",
    weights=None,
):
    """(n_centers, width) values.

    ``names[p]`` is the species of particle p, ``rows[k]`` the list of neighbors of centers[k],
    ``cutoffs[a, b]`` defined for both orders, ``weights[a]`` for mode "weighted" alone.
    """
    weights = weights or dict.fromkeys(species, 1.0)
    return np.array(
        [
            _row(species, cutoffs, functions, names, positions, i, row, mode, kind, weights)
            for i, row in zip(centers, rows, strict=True)
        ]
    )


def _row(species, cutoffs, functions, names, positions, i, neighbors, mode, kind, weights):
    pairs = list(itertools.combinations_with_replacement(species, 2))
    values = []
    for type, rows in functions:
        channels = species if type in ("g1", "g2", "g3") else pairs
        for channel in channels if mode == "resolved" else [None]:
            for row in rows or [()]:
                term = _two if type in ("g1", "g2", "g3") else _three
                args = (cutoffs, type, row, names, positions, i, neighbors, channel, kind, weights)
                values.append(term(*args))
    return values


def _two(cutoffs, type, row, names, positions, i, neighbors, channel, kind, weights):
    total = 0.0
    for j in neighbors:
        if channel not in (None, names[j]):
            continue
        r = length(positions[j] - positions[i])
        fc = cutoff_function(kind, r, cutoffs[names[i], names[j]])
        total += weights[names[j]] * two_body(type, row, r) * fc
    return total


def _three(cutoffs, type, row, names, positions, i, neighbors, channel, kind, weights):
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
            fc = fc * weights[names[j]] * weights[names[k]]
            total += three_body(type, row, rij, rik, rjk) * fc
    return total


def element_functions(functions, kind, inner, numbers, names, positions, centers, rows):
    """(n_centers, width) values of lists of functions, one list for each element.

    ``functions[element]``: objects with type, neighbors, cutoff, eta, shift, zeta, lam, or with
    type, neighbors, radial, angular, core, asymmetric; ``numbers[element]``: the weight of an
    element where neighbors is None.
    """
    width = max(len(own) for own in functions.values())
    values = np.zeros((len(centers), width), dtype=positions.dtype)
    for k, (i, row) in enumerate(zip(centers, rows, strict=True)):
        for component, f in enumerate(functions[names[i]]):
            sum_over = _SUMS.get(f.type, _element_three)
            values[k, component] = sum_over(f, kind, inner, numbers, names, positions, i, row)
    return values


def _element_two(f, kind, inner, numbers, names, positions, i, neighbors):
    total = 0.0
    for j in neighbors:
        if f.neighbors is not None and names[j] != f.neighbors[0]:
            continue
        weight = numbers[names[j]] if f.neighbors is None else 1
        r = length(positions[j] - positions[i])
        fc = cutoff_function(kind, r, f.cutoff, inner)
        total += weight * np.exp(-f.eta * (r - f.shift) ** 2) * fc
    return total


def _element_three(f, kind, inner, numbers, names, positions, i, neighbors):
    total = 0.0
    for j, k in itertools.combinations(neighbors, 2):
        if f.neighbors is not None and sorted(f.neighbors) != sorted((names[j], names[k])):
            continue
        sides = [length(positions[a] - positions[b]) for a, b in ((i, j), (i, k), (j, k))]
        base = 1 + f.lam * (sides[0] ** 2 + sides[1] ** 2 - sides[2] ** 2) / (
            2 * sides[0] * sides[1]
        )
        if base.real <= 0:
            continue
        seen = sides if f.type == "g4" else sides[:2]
        term = 2 ** (1 - f.zeta) * base**f.zeta
        if f.neighbors is None:
            term = term * numbers[names[j]] * numbers[names[k]]
        for r in seen:
            fc = cutoff_function(kind, r, f.cutoff, inner)
            term = term * np.exp(-f.eta * (r - f.shift) ** 2) * fc
        total += term
    return total


def core(kind, x):
    """n2p2's core functions, f(0) = 1 and f(1) = 0, as its documentation has them."""
    return {
        "poly1": (2 * x - 3) * x**2 + 1,
        "poly2": ((15 - 6 * x) * x - 10) * x**3 + 1,
        "poly3": (x * (x * (20 * x - 70) + 84) - 35) * x**4 + 1,
        "poly4": (x * (x * ((315 - 70 * x) * x - 540) + 420) - 126) * x**5 + 1,
        "exp": np.exp(1 - 1 / (1 - x**2)) if x != 1 else 0.0,
    }[kind]


def compact(interval, kind, asymmetric, a):
    left, right = interval
    x = (a - (left + right) / 2) * 2 / (right - left)
    if x.real < 0:
        x = -x
    if x.real >= 1:
        return 0.0
    return core(kind, (2 - x) * x if asymmetric else x)


def _compact_two(f, kind, inner, numbers, names, positions, i, neighbors):
    total = 0.0
    for j in neighbors:
        if f.neighbors is None or names[j] == f.neighbors[0]:
            r = length(positions[j] - positions[i])
            weight = numbers[names[j]] if f.neighbors is None else 1
            total += weight * compact(f.radial, f.core, f.asymmetric, r)
    return total


def _compact_three(f, kind, inner, numbers, names, positions, i, neighbors):
    total = 0.0
    for j, k in itertools.combinations(neighbors, 2):
        if f.neighbors is not None and sorted(f.neighbors) != sorted((names[j], names[k])):
            continue
        sides = [length(positions[a] - positions[b]) for a, b in ((i, j), (i, k), (j, k))]
        term = numbers[names[j]] * numbers[names[k]] if f.neighbors is None else 1
        for r in sides if f.type == "c4" else sides[:2]:
            term = term * compact(f.radial, f.core, f.asymmetric, r)
        u, v = (positions[j] - positions[i]) / sides[0], (positions[k] - positions[i]) / sides[1]
        # Exact near 0 and 180 degrees, where arccos of the cosine is not.
        across, cosine = length(np.cross(u, v)), (u * v).sum()
        angle = np.arctan2(across.real, cosine.real)
        if np.iscomplexobj(across):
            angle = angle + 1j * (across.imag * cosine.real - cosine.imag * across.real)
        term = term * compact(f.angular, f.core, False, np.degrees(1) * angle)
        total += term
    return total


_SUMS = {"g2": _element_two, "c2": _compact_two, "c4": _compact_three, "c5": _compact_three}
