"""The bispectrum from its definition, slowly: matrix exponentials and coupled angular momenta.

Nothing is shared with the library, and nothing with LAMMPS. The matrices U_j are exponentials of
the generators of rotations; Clebsch-Gordan coefficients come from lowering the state of the
largest m, for each j in turn orthogonal to those with larger j. All j are doubled.
"""

import functools
import itertools

import numpy as np
from scipy.linalg import expm, logm


@functools.cache
def generators(j):
    """J_x, J_y, J_z of angular momentum j/2, m descending."""
    m = np.arange(j, -j - 1, -2) / 2
    raising = np.diag(np.sqrt((j / 2 - m[1:]) * (j / 2 + m[1:] + 1)), k=1)
    return (raising + raising.T) / 2, (raising - raising.T) / 2j, np.diag(m)


def rotation_matrices(a, b, twojmax):
    """U_j for j = 0 ... twojmax of the rotation with Cayley-Klein parameters a, b."""
    fundamental = np.array([[np.conj(a), -np.conj(b)], [b, a]])
    logarithm = logm(fundamental)
    # Σ_k c_k J_k with J_k = (Pauli matrix k)/2
    x = logarithm[0, 1] + logarithm[1, 0]
    y = 1j * (logarithm[0, 1] - logarithm[1, 0])
    z = logarithm[0, 0] - logarithm[1, 1]
    matrices = []
    for j in range(twojmax + 1):
        jx, jy, jz = generators(j)
        matrices.append(expm(x * jx + y * jy + z * jz))
    return matrices


@functools.cache
def clebsch_gordan(j1, j2):
    """{j: (j + 1, j1 + 1, j2 + 1) array}, all m descending; phases of Condon and Shortley."""
    lower1 = np.real(generators(j1)[0] - 1j * generators(j1)[1])
    lower2 = np.real(generators(j2)[0] - 1j * generators(j2)[1])
    lower = np.kron(lower1, np.eye(j2 + 1)) + np.kron(np.eye(j1 + 1), lower2)
    m_total = np.add.outer(np.arange(j1, -j1 - 1, -2), np.arange(j2, -j2 - 1, -2)).ravel()
    found, coefficients = [], {}
    for j in range(j1 + j2, abs(j1 - j2) - 1, -2):
        # the state m = j that is orthogonal to all with larger j
        subspace = np.flatnonzero(m_total == j)
        others = np.array([state for state in found if np.any(state[subspace])])
        state = np.linalg.svd(others[:, subspace])[2][-1] if len(others) else np.ones(1)
        top = np.zeros(len(m_total))
        top[subspace] = state * np.sign(state[0])  # positive for the largest m1
        states = [top]
        for _ in range(j):
            below = lower @ states[-1]
            states.append(below / np.linalg.norm(below))
        found += states
        coefficients[j] = np.array(states).reshape(j + 1, j1 + 1, j2 + 1)
    return coefficients


def switching(d, r, rc, a, b):
    """f of a center of species a and a neighbor of species b."""
    f = 1.0
    if d.switch and r > d.rmin0:
        f = 0.5 * (np.cos(np.pi * (r - d.rmin0) / (rc - d.rmin0)) + 1)
    if d.inner_switch is not None:
        inner, half_width = (np.array(d.inner_switch[a]) + np.array(d.inner_switch[b])) / 2
        x = np.clip((r - inner) / half_width, -1, 1)
        f *= 0.5 * (1 + np.sin(np.pi / 2 * x))
    return f


def cayley_klein(r, d, rc):
    """a, b of a neighbor at r, from the formulas of the definition."""
    x, y, z = r
    distance = np.linalg.norm(r)
    z0 = distance / np.tan(d.rfac0 * np.pi * (distance - d.rmin0) / (rc - d.rmin0))
    norm = np.hypot(distance, z0)
    return (z0 - 1j * z) / norm, (y - 1j * x) / norm


def bispectrum(d, center, neighbors):
    """The row of one atom: its species, and [(species, r_j - r_i), ...] of its neighbors."""
    channels = d.species if d.chemical else ("all",)
    total = {}
    for channel in channels:
        own = not d.chemical or d.self_in_all or channel == center
        total[channel] = [own * np.eye(j + 1, dtype=complex) for j in range(d.twojmax + 1)]
    for species, r in neighbors:
        rc = d.cutoffs.get((center, species)) or d.cutoffs[species, center]
        distance = np.linalg.norm(r)
        if distance > rc:
            continue
        factor = d.weights[species] * switching(d, distance, rc, center, species)
        matrices = rotation_matrices(*cayley_klein(r, d, rc), d.twojmax)
        for sum, matrix in zip(total[species if d.chemical else "all"], matrices, strict=True):
            sum += factor * matrix
    values = []
    for c1, c2, c3 in itertools.product(channels, repeat=3):
        for j1, j2, j in d.components:
            norm = 1 if not d.normalize else 1 / (j + 1)
            isolated = d.subtract_isolated and (
                not d.chemical or d.self_in_all or c1 == c2 == c3 == center
            )
            if (j1 + j2 + j) % 2:
                values.append(0.0)
                continue
            cg = clebsch_gordan(j1, j2)[j].reshape(j + 1, -1)
            coupled = cg @ np.kron(total[c1][j1], total[c2][j2]) @ cg.T
            value = np.sum(np.conj(total[c3][j]) * coupled)
            assert abs(value.imag) < 1e-9 * max(1, abs(value))
            values.append(norm * (value.real - isolated * (j + 1)))
    return np.array(values)


def reference(d, configuration, chosen):
    """Some rows of a configuration."""
    names = configuration.species_names
    rows = []
    for row in chosen:
        i = configuration.centers[row]
        entries = configuration.neighbors[
            configuration.offsets[row] : configuration.offsets[row + 1]
        ]
        neighbors = [
            (
                names[configuration.species[j]],
                configuration.positions[j] - configuration.positions[i],
            )
            for j in entries
        ]
        rows.append(bispectrum(d, names[configuration.species[i]], neighbors))
    return np.array(rows)
