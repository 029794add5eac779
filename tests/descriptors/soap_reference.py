"""SOAP and its expansion coefficients written down from their definition: slow, and easy to read.

Nothing here is shared with the library. The bases are orthonormalised with 80 digits (mpmath), the
radial integrals are sums over Gauss-Legendre points, real harmonics are the explicit sums of powers
of x, y, z that books give (tests compare them with scipy's associated Legendre functions).

Positions may be complex, so that a derivative along a direction u is ``imag(D(x + ih u)) / h``
with h = 1e-30, exact to rounding.

NOTATION
    η = 1/(2σ²)        density of a neighbor exp(-η |r - r_j|²)        fc  smoothing
    c_znlm = 4π Σ_j fc(R_j) Y_lm(r_j) ∫ r² g_nl(r) i_l(2ηrR_j) exp(-η(r² + R_j²)) dr
    p_zz'nn'l = π √(8/(2l+1)) Σ_m c_znlm c_z'n'lm       (libdescriptor: that, over cutoff²)

    i_l: modified spherical Bessel function. polynomial: g_n from (rc - r)^(a+2), a = 1..n_max, on
    (0, rc). gto: g_nl from r^l exp(-α_al r²) on (0, ∞), α such that this is 10⁻³ at the a-th of
    n_max radii evenly from 1 to rc (Himanen et al., Comput. Phys. Commun. 247, 106949 (2020)).
"""

import functools
import math
from itertools import combinations_with_replacement

import mpmath
import numpy as np
from scipy.special import ive

DIGITS = 80
N_POINTS = 60  # of a panel: at most 10 widths of a neighbor's density, and 5 Å


# ---- radial functions


def inverse_root(overlap):
    """S^(-1/2), symmetric, of an mpmath matrix."""
    values, vectors = mpmath.eigsy(overlap)
    return vectors * mpmath.diag([1 / mpmath.sqrt(x) for x in values]) * vectors.T


@functools.cache
def polynomial_coefficients(n_max, cutoff):
    """C with g_n = Σ_a C[a, n] (rc - r)^(a+2), a = 1.."""
    with mpmath.workdps(DIGITS):
        rc = mpmath.mpf(cutoff)

        def overlap(i, j):  # a = i + 1, b = j + 1
            s = i + j + 2
            return 2 * rc ** (7 + s) / ((5 + s) * (6 + s) * (7 + s))

        return inverse_root(_fill(n_max, overlap))


@functools.cache
def gto_coefficients(n_max, cutoff, l):
    """(α, C) with g_nl = Σ_a C[a, n] r^l exp(-α_a r²)."""
    with mpmath.workdps(DIGITS):
        rc = mpmath.mpf(cutoff)
        step = (rc - 1) / (n_max - 1) if n_max > 1 else 0
        radii = [1 + k * step for k in range(n_max)]
        alpha = [-mpmath.log(mpmath.mpf("1e-3") / a**l) / a**2 for a in radii]
        half = mpmath.mpf(1) / 2

        def overlap(i, j):
            return half * mpmath.gamma(l + 3 * half) * (alpha[i] + alpha[j]) ** (-l - 3 * half)

        return alpha, inverse_root(_fill(n_max, overlap))


def _fill(n, function):
    matrix = mpmath.matrix(n, n)
    for i in range(n):
        for j in range(n):
            matrix[i, j] = function(i, j)
    return matrix


def radial_function(basis, n_max, cutoff, l, r):
    """[g_nl(r) for all n] of an mpmath number r."""
    if basis == "polynomial":
        C = polynomial_coefficients(n_max, cutoff)
        powers = [(cutoff - r) ** (a + 3) if r < cutoff else mpmath.mpf(0) for a in range(n_max)]
    else:
        alpha, C = gto_coefficients(n_max, cutoff, l)
        powers = [r**l * mpmath.exp(-a * r * r) for a in alpha]
    return [mpmath.fdot((C[a, n], powers[a]) for a in range(n_max)) for n in range(n_max)]


@functools.cache
def quadrature(basis, n_max, cutoff, l, eta):
    """Points r, and w r² g_n(r) for each n: what is the same for all neighbors."""
    if basis == "polynomial" and l > 0:  # it has no l
        return quadrature(basis, n_max, cutoff, 0, eta)
    end = cutoff if basis == "polynomial" else cutoff + 7 / math.sqrt(eta)
    n_panels = math.ceil(end * max(math.sqrt(2 * eta) / 10, 1 / 5))
    x, w = np.polynomial.legendre.leggauss(N_POINTS)
    edges = np.linspace(0, end, n_panels + 1)
    half = np.diff(edges) / 2
    r = (edges[:-1, None] + half[:, None] * (x + 1)).ravel()
    weights = (half[:, None] * w).ravel() * r**2
    with mpmath.workdps(DIGITS):
        g = [radial_function(basis, n_max, cutoff, l, mpmath.mpf(point)) for point in r]
    return r, weights * np.array(g, dtype=float).T


def bessel_i(l, x):
    """i_l(x) exp(-x), real x."""
    x = np.asarray(x, dtype=float)
    tiny = x < 1e-30
    safe = np.where(tiny, 1.0, x)
    return np.where(tiny, float(l == 0), np.sqrt(np.pi / (2 * safe)) * ive(l + 0.5, safe))


def radial_integrals(basis, n_max, cutoff, l, eta, R):
    """(n_max,) ∫ r² g_nl(r) i_l(2ηrR) exp(-η(r² + R²)) dr of a distance, which may be complex."""
    r, weighted = quadrature(basis, n_max, cutoff, l, eta)
    x = 2 * eta * r * R.real
    gauss = np.exp(-eta * (r - R.real) ** 2)  # exp(x) of it belongs to the Bessel function
    value = weighted @ (gauss * bessel_i(l, x))
    if not np.iscomplexobj(R):
        return value
    slope = bessel_i(l + 1, x) + (l / x) * bessel_i(l, x)  # i_l'(x) exp(-x)
    change = gauss * (2 * eta * r * slope - 2 * eta * R.real * bessel_i(l, x))
    return value + 1j * R.imag * (weighted @ change)


# ---- angles


def harmonics(l, v):
    """(2l+1,) real orthonormal Y_lm of a vector, m = -l..l: l = 1 is √(3/4π) (y, z, x)/|v|.

    r^l Y_lm is a sum of powers of the coordinates: Helgaker, Jørgensen, Olsen, Molecular
    Electronic-Structure Theory (2000), section 6.4, without the phase (-1)^m.
    """
    x, y, z = v / np.sqrt(v @ v)
    values = []
    for m in range(-l, l + 1):
        a = abs(m)
        in_z = (
            sum(
                (-1) ** k
                * math.comb(l, k)
                * math.comb(2 * l - 2 * k, l)
                * math.perm(l - 2 * k, a)
                * z ** (l - 2 * k - a)
                for k in range((l - a) // 2 + 1)
            )
            / 2**l
        )
        around = [math.comb(a, p) * x**p * y ** (a - p) for p in range(a + 1)]
        turns = [1, 0, -1, 0] if m >= 0 else [0, 1, 0, -1]
        in_xy = sum(turns[(a - p) % 4] * term for p, term in enumerate(around))
        norm = math.factorial(l - a) / math.factorial(l + a) * (2 if m else 1)
        values.append(math.sqrt((2 * l + 1) / (4 * math.pi) * norm) * in_z * in_xy)
    return np.array(values)


# ---- the descriptors


def smoothing(kind, width, cutoff, R):
    inner = cutoff - width
    if kind is None or R.real <= inner:
        return 1.0
    return (1 + np.cos(np.pi * (R - inner) / width)) / 2


def basis_cutoff(d):
    return d.cutoff if d.basis_cutoff is None else d.basis_cutoff


def coefficients(d, names, positions, i, neighbors):
    """{(q, l): (n_max, 2l+1)} c of channels q: species, or columns of species_weights.

    ``d``: anything with species, cutoff, n_max, l_max, eta, radial_basis, basis_cutoff, smoothing,
    smoothing_width, species_density and species_weights.
    """
    weights = np.eye(len(d.species)) if d.species_weights is None else d.species_weights
    weights = np.asarray(weights)
    if d.species_density == "cumulative":  # a channel holds its species and all before it
        weights = np.array([[z <= q for q in range(len(d.species))] for z in range(len(d.species))])
    c = {
        (q, l): np.zeros((d.n_max, 2 * l + 1), dtype=positions.dtype)
        for q in range(weights.shape[1])
        for l in range(d.l_max + 1)
    }
    for j in neighbors:
        v = positions[j] - positions[i]
        R = np.sqrt(v @ v)
        if R.real > d.cutoff:
            continue
        fc = smoothing(d.smoothing, d.smoothing_width, d.cutoff, R)
        share = weights[list(d.species).index(names[j])]
        for l in range(d.l_max + 1):
            radial = radial_integrals(d.radial_basis, d.n_max, basis_cutoff(d), l, d.eta, R)
            term = 4 * np.pi * fc * np.outer(radial, harmonics(l, v))
            for q in range(weights.shape[1]):
                c[q, l] += share[q] * term
    return c


def spherical_expansion(d, names, positions, centers, rows):
    """(n_centers, width) c_qnlm: q slowest, then n, l, m."""
    values = []
    for i, row in zip(centers, rows, strict=True):
        c = coefficients(d, names, positions, i, row)
        n_channels = 1 + max(q for q, _ in c)
        values.append(
            [
                x
                for q in range(n_channels)
                for n in range(d.n_max)
                for l in range(d.l_max + 1)
                for x in c[q, l][n]
            ]
        )
    return np.array(values, dtype=positions.dtype)


def power_spectrum_order(n_channels, n_max, cross_blocks):
    """[(q, q', n, n')] in the order of the values; l is inside of it."""
    pairs = []
    for q, p in combinations_with_replacement(range(n_channels), 2):
        for n in range(n_max):
            first = 0 if q != p and cross_blocks == "full" else n
            pairs += [(q, p, n, k) for k in range(first, n_max)]
    return pairs


def soap(d, names, positions, centers, rows):
    """(n_centers, width) SOAP; ``d`` has cross_blocks, normalization, unit_norm too."""
    values = []
    for i, row in zip(centers, rows, strict=True):
        c = coefficients(d, names, positions, i, row)
        order = power_spectrum_order(1 + max(q for q, _ in c), d.n_max, d.cross_blocks)
        p = np.array(
            [
                np.pi * math.sqrt(8 / (2 * l + 1)) * (c[q, l][n] @ c[k, l][m])
                for q, k, n, m in order
                for l in range(d.l_max + 1)
            ]
        )
        if d.normalization == "libdescriptor":
            p = p / basis_cutoff(d) ** 2
        square = p @ p
        if d.unit_norm and square.real > 0:
            p = p / np.sqrt(square)
        values.append(p)
    return np.array(values, dtype=positions.dtype)
