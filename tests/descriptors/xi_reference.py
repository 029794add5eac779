"""Xi of one environment, slowly, from its definition: complex coefficients, sums over all m."""

from functools import cache

import mpmath
import numpy as np
from scipy.special import sph_harm_y, spherical_jn


@cache
def zeros(l, n):
    """The first n positive zeros of j_l."""
    return np.array([float(mpmath.besseljzero(l + 0.5, k)) for k in range(1, n + 1)])


@cache
def radial_factors(l, n_most):
    """g_n of one l as sums of f_k: a lower triangle, by the recursion."""
    u = zeros(l, n_most + 2)
    factors = np.eye(n_most + 1)
    d = 1.0
    for n in range(1, n_most + 1):
        e = u[n - 1] ** 2 * u[n + 1] ** 2
        e /= (u[n - 1] ** 2 + u[n] ** 2) * (u[n] ** 2 + u[n + 1] ** 2)
        d = 1 - e / d
        factors[n] = (factors[n] + np.sqrt(1 - d) * factors[n - 1]) / np.sqrt(d)
    return factors


def radial(l, n_most, r, cutoff):
    """g_nl(r), n = 0 ... n_most: (n_most + 1, len(r))."""
    u = zeros(l, n_most + 2)
    f = []
    for n in range(n_most + 1):
        norm = np.sqrt(2 / (cutoff**3 * (u[n] ** 2 + u[n + 1] ** 2)))
        first = u[n + 1] / spherical_jn(l + 1, u[n]) * spherical_jn(l, u[n] * r / cutoff)
        second = u[n] / spherical_jn(l + 1, u[n + 1]) * spherical_jn(l, u[n + 1] * r / cutoff)
        f.append(norm * (first - second))
    return radial_factors(l, n_most) @ np.array(f)


def coefficients(vectors, q, cutoff):
    """{(n, l): c_nlm by m, an array of which m = -1 is the last element}."""
    r = np.linalg.norm(vectors, axis=1)
    near = r <= cutoff
    r, (x, y, z) = r[near], vectors[near].T
    theta, phi = np.arctan2(np.hypot(x, y), z), np.arctan2(y, x)
    found = {}
    for l in range(q + 1):
        g = radial(l, q - l, r, cutoff)
        for m in range(-l, l + 1):
            for n in range(q - l + 1):
                row = found.setdefault((n, l), np.zeros(2 * l + 1, dtype=complex))
                row[m] = g[n] @ sph_harm_y(l, m, theta, phi)
    return found


@cache
def clebsch_gordan(l1, l2):
    """{(l, m): (2 l1 + 1, 2 l2 + 1) array of ⟨l1 m1 l2 m2 | l m⟩}, by lowering operators.

    The state |l l⟩ is orthogonal to those of larger l with the same m, and ⟨l1 l1 l2 l-l1 | l l⟩
    is positive (Condon and Shortley).
    """

    def lowered(state):
        out = np.zeros_like(state)
        for i, m1 in enumerate(range(-l1, l1 + 1)):
            for j, m2 in enumerate(range(-l2, l2 + 1)):
                if i > 0:
                    out[i - 1, j] += np.sqrt(l1 * (l1 + 1) - m1 * (m1 - 1)) * state[i, j]
                if j > 0:
                    out[i, j - 1] += np.sqrt(l2 * (l2 + 1) - m2 * (m2 - 1)) * state[i, j]
        return out

    states = {}
    for l in range(l1 + l2, abs(l1 - l2) - 1, -1):
        allowed = np.add.outer(range(-l1, l1 + 1), range(-l2, l2 + 1)) == l
        others = [states[k, l][allowed] for k in range(l + 1, l1 + l2 + 1)]
        others = np.reshape(others, (-1, allowed.sum()))
        state = np.linalg.svd(others)[2][-1]  # orthogonal to all of them
        whole = np.zeros(allowed.shape)
        whole[allowed] = state * np.sign(state[-1])  # the last one has m1 = l1
        states[l, l] = whole
        for m in range(l - 1, -l - 1, -1):
            states[l, m] = lowered(states[l, m + 1]) / np.sqrt(l * (l + 1) - m * (m + 1))
    return states


def xi(vectors, q, cutoff, values):
    """The values (n0, n1, n2, l0, l1, l2) of one environment, with neighbors at ``vectors``."""
    c = coefficients(np.asarray(vectors, dtype=float), q, cutoff)
    out = []
    for n0, n1, n2, l0, l1, l2 in values:
        states, total = clebsch_gordan(l1, l2), 0.0
        for m0 in range(-l0, l0 + 1):
            for m1 in range(max(-l1, m0 - l2), min(l1, m0 + l2) + 1):
                factor = states[l0, m0][m1 + l1, m0 - m1 + l2]
                product = c[n0, l0][m0].conjugate() * c[n1, l1][m1] * c[n2, l2][m0 - m1]
                total += factor * product.real
        out.append((-1) ** l0 / np.sqrt(2 * l0 + 1) * total)
    return np.array(out)
