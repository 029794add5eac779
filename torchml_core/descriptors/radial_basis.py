"""Radial functions of a density expansion, tabulated: bases, their integrals, and the table.

A neighbor at distance R, smeared out to ``exp(-eta |r - r_j|²)``, has the coefficients

    c_nlm = f_nl(R) Y_lm(r_j / R),
    f_nl(R) = 4π ∫ ρ² g_nl(ρ) i_l(2 eta ρ R) exp(-eta (ρ² + R²)) dρ

with i_l the modified spherical Bessel function of the first kind and g_nl orthonormal functions
(∫ ρ² g g' dρ = δ). What is tabulated is f_nl / (R/rc)^l, a whole function of q = (R/rc)²: what is
left, R^l Y_lm, is a polynomial of x, y, z, and nothing has a pole anywhere.

The orthonormal functions are S^(-1/2) times some simple ones, S being the overlap of these: it is
so close to singular that S^(-1/2) in double precision is wrong by 3e-2 at n_max 7. It is made in
extended precision (mpmath), and so are the sums in which its large elements cancel; these in whole
numbers, units of 2^-bits, which numpy adds up much faster than mpmath.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from torchml_core.errors import InputError

RADIAL_BASES = ("gto", "polynomial")
FIRST_INTERVALS = 64
MOST_INTERVALS = 8192
# Of the largest value, and of the largest derivative, of each function.
VALUE_TOLERANCE, SLOPE_TOLERANCE = 2e-11, 1e-10


@dataclass(frozen=True, eq=False)
class RadialTable:
    """A quintic Hermite spline of all f_nl / (R/rc)^l, in intervals of equal length in s.

    s = √(R² + softening²): intervals in R² are narrow where R is small, which is where the
    functions are steep, and still no root of R is taken.

    Attributes
    ----------
    softening : float
    per_interval : float
        Intervals per length, of s.
    nodes : (n_intervals + 1, 3, l_max + 1, n_max) float64
        Value, first and second derivative at each end of an interval, by the distance in
        intervals.
    value_error, slope_error : float
        The largest errors in the middle of intervals, relative to the largest value and
        derivative of each function, all times (R/rc)^l.
    """

    softening: float
    per_interval: float
    nodes: np.ndarray
    value_error: float
    slope_error: float

    @property
    def n_intervals(self):
        return len(self.nodes) - 1


@lru_cache(maxsize=32)
def radial_table(radial_basis, n_max, l_max, cutoff, eta):
    """Return the RadialTable, with as many intervals as its tolerances ask for.

    Raises
    ------
    InputError
        The density is so sharp that MOST_INTERVALS do not suffice.
    """
    make = _GaussianTypeOrbitals if radial_basis == "gto" else _Polynomials
    functions = make(n_max, l_max, cutoff, eta)
    softening = min(1 / math.sqrt(eta), cutoff)
    n = FIRST_INTERVALS
    while n <= MOST_INTERVALS:
        first = softening / cutoff  # s and q = (R/rc)² in units of the cutoff
        step = (math.hypot(1.0, first) - first) / (2 * n)
        s = (first + step * np.arange(2 * n + 1))[:, None, None]
        by_q = functions.at(first, step, 2 * n + 1)
        by_s = np.stack(
            [by_q[:, 0], 2 * s * by_q[:, 1], 2 * by_q[:, 1] + 4 * s**2 * by_q[:, 2]], axis=1
        )
        by_s *= np.array([1.0, 2 * step, 4 * step**2])[:, None, None]
        errors = _errors(by_s[::2], by_s[1::2], np.sqrt(np.maximum(s[1::2] ** 2 - first**2, 0)))
        worst = max(errors[0] / VALUE_TOLERANCE, errors[1] / SLOPE_TOLERANCE)
        if worst <= 1:
            nodes = np.ascontiguousarray(by_s[::2])
            nodes.flags.writeable = False
            return RadialTable(softening, 1 / (2 * step * cutoff), nodes, *errors)
        # The error goes with the sixth power of the interval, once that is short.
        n = math.ceil(n * min(2.0, 1.03 * worst ** (1 / 6)))
    raise InputError(
        f"sigma = {1 / math.sqrt(2 * eta):g} (eta = {eta:g}) is too small for cutoff = {cutoff:g}:"
        f" a table of {MOST_INTERVALS} intervals does not resolve it"
    )


def _errors(nodes, middle, r):
    """What the spline through nodes misses in the middle of its intervals, at distances r."""
    left, right = nodes[:-1], nodes[1:]
    value = (
        (left[:, 0] + right[:, 0]) / 2
        + 5 / 32 * (left[:, 1] - right[:, 1])
        + (left[:, 2] + right[:, 2]) / 64
    )
    slope = (
        15 / 8 * (right[:, 0] - left[:, 0])
        - 7 / 16 * (left[:, 1] + right[:, 1])
        + (right[:, 2] - left[:, 2]) / 32
    )
    power = r ** np.arange(nodes.shape[2])[:, None]
    return tuple(
        float(np.max(np.abs(power * (found - exact)) / np.max(np.abs(power * exact), axis=0)))
        for found, exact in ((value, middle[:, 0]), (slope, middle[:, 1]))
    )


# ---- extended precision


def _inverse_root(overlap):
    """S^(-1/2), symmetric, of an mpmath matrix."""
    import mpmath as mp  # slow to import, and for this alone

    eigenvalues, vectors = mp.eigsy(overlap)
    n = overlap.rows
    scaled = vectors.copy()
    for k in range(n):
        for a in range(n):
            scaled[a, k] /= mp.sqrt(eigenvalues[k])
    return scaled * vectors.T


def _whole(matrix, bits):
    """An array of Python's whole numbers in units of 2^-bits, of an mpmath matrix or list."""
    import mpmath as mp

    def whole(x):
        return int(mp.nint(mp.ldexp(x, bits)))

    if isinstance(matrix, mp.matrix):
        return np.array(
            [[whole(matrix[a, b]) for b in range(matrix.cols)] for a in range(matrix.rows)],
            dtype=object,
        )
    return np.array([whole(x) for x in matrix], dtype=object)


def _floats(whole, bits):
    return np.array(whole / 2**bits, dtype=np.float64)


# ---- the bases. Each: at(first, step, count) -> (count, 3, l_max + 1, n_max), f / (R/rc)^l and its
# first two derivatives by q, for q = s² - first², s = first + k step.


class _GaussianTypeOrbitals:
    """g_nl = Σ_a S_l^(-1/2)_na ρ^l exp(-α_al ρ²), decaying to 1e-3 at R_a = 1 ... rc.

    L. Himanen et al., Comput. Phys. Commun. 247, 106949 (2020). The integrals, from 0 to infinity,
    are known:

        f_nl = 4π Σ_a S^(-1/2)_na √π/4 (eta R)^l (α_al + eta)^(-l-3/2) exp(-b_al R²),
        b = eta α / (eta + α)
    """

    def __init__(self, n_max, l_max, cutoff, eta):
        self.shape = (l_max + 1, n_max)
        self.cutoff, self.eta = cutoff, eta
        self.factors, self.rates, self.digits = [], [], []
        for l in range(l_max + 1):
            self._add(l)

    def _add(self, l):
        import mpmath as mp

        n_max = self.shape[1]
        digits = int(40 + 1.2 * n_max + (2 * l + 3) * abs(math.log10(self.cutoff)))
        with mp.workdps(digits):
            rc, eta, half = mp.mpf(self.cutoff), mp.mpf(self.eta), mp.mpf(1) / 2
            ends = [1 + (rc - 1) * k / max(n_max - 1, 1) for k in range(n_max)]
            alphas = [-mp.log(mp.mpf("1e-3") / end**l) / end**2 for end in ends]
            overlap = mp.matrix(n_max, n_max)
            for a in range(n_max):
                for b in range(n_max):
                    overlap[a, b] = (alphas[a] + alphas[b]) ** (-l - 3 * half)
            overlap *= mp.gamma(l + 3 * half) / 2
            factors = _inverse_root(overlap)
            for a in range(n_max):
                column = mp.pi**1.5 * (eta * rc) ** l * (alphas[a] + eta) ** (-l - 3 * half)
                for n in range(n_max):
                    factors[n, a] *= column
            bits = int(3.33 * digits)
            self.factors.append(_whole(factors, bits))
            self.rates.append([rc**2 * eta * alpha / (eta + alpha) for alpha in alphas])
            self.digits.append(digits)

    def at(self, first, step, count):
        out = np.empty((count, 3, *self.shape))
        for l in range(self.shape[0]):
            out[:, :, l] = self._of(l, first, step, count)
        return out

    def _of(self, l, first, step, count):
        import mpmath as mp

        bits = int(3.33 * self.digits[l])
        with mp.workdps(self.digits[l]):
            rates = self.rates[l]
            powers = np.empty((count, len(rates)), dtype=object)
            # q grows by steps that themselves grow by the same each time.
            first, step = mp.mpf(first), mp.mpf(step)
            powers[0] = 1 << bits
            ratio = _whole([mp.exp(-rate * step * (2 * first + step)) for rate in rates], bits)
            growth = _whole([mp.exp(-rate * 2 * step**2) for rate in rates], bits)
            rates = _whole(rates, bits)
        for k in range(1, count):
            powers[k] = (powers[k - 1] * ratio) >> bits
            ratio = (ratio * growth) >> bits
        factors = self.factors[l].T
        out = np.empty((count, 3, self.shape[1]))
        for derivative in range(3):
            out[:, derivative] = _floats(powers.dot(factors) >> bits, bits)
            factors = (-rates[:, None] * factors) >> bits
        return out


class _Polynomials:
    """g_n = Σ_a S^(-1/2)_na (rc - ρ)^(a+2), a = 1 ... n_max, for all l.

    The integrals are sums over Gauss-Legendre nodes, in double precision: nothing cancels once
    g_n is known. With x = 2 eta ρ R and s = 2 eta ρ rc, so that x² = s² q, and
    k_l(x) = i_l(x) / x^l:  d k_l/dq = s²/2 k_(l+1).
    """

    def __init__(self, n_max, l_max, cutoff, eta):
        self.l_max, self.cutoff, self.eta = l_max, cutoff, eta
        n_nodes = max(100, 64 + int(10 * cutoff * math.sqrt(eta)))
        x, w = np.polynomial.legendre.leggauss(n_nodes)
        self.rho = cutoff * (x + 1) / 2
        basis = _polynomial_basis(n_max, cutoff, self.rho)
        self.weighted = 2 * np.pi * cutoff * (w * self.rho**2)[:, None] * basis.T

    def at(self, first, step, count):
        q = step * np.arange(count) * (2 * first + step * np.arange(count))
        at_once = max(1, 200_000 // len(self.rho))
        return np.concatenate([self._of(q[k : k + at_once]) for k in range(0, count, at_once)])

    def _of(self, q):
        s = 2 * self.eta * self.cutoff * self.rho
        beta = self.eta * self.cutoff**2
        bessel = _scaled_bessel(self.l_max + 2, s, q[:, None])
        bessel *= np.exp(-self.eta * (self.rho - self.cutoff * np.sqrt(q)[:, None]) ** 2)
        out = np.empty((len(q), 3, self.l_max + 1, self.weighted.shape[1]))
        for l in range(self.l_max + 1):
            f0, f1, f2 = bessel[l], s / 2 * bessel[l + 1], s**2 / 4 * bessel[l + 2]
            out[:, 0, l] = f0 @ self.weighted
            out[:, 1, l] = (f1 - beta * f0) @ self.weighted
            out[:, 2, l] = (f2 - 2 * beta * f1 + beta**2 * f0) @ self.weighted
        return out


def _polynomial_basis(n_max, cutoff, rho):
    """(n_max, len(rho)) float64."""
    import mpmath as mp

    digits = int(40 + (1.5 + 2 * abs(math.log10(cutoff))) * n_max)
    bits = int(3.33 * digits)
    with mp.workdps(digits):
        rc = mp.mpf(cutoff)
        overlap = mp.matrix(n_max, n_max)
        for a in range(1, n_max + 1):
            for b in range(1, n_max + 1):
                overlap[a - 1, b - 1] = (
                    2 * rc ** (7 + a + b) / ((5 + a + b) * (6 + a + b) * (7 + a + b))
                )
        root = _whole(_inverse_root(overlap), bits)
        distance = _whole([rc - mp.mpf(x) for x in rho], bits)
    powers = np.empty((n_max, len(rho)), dtype=object)
    powers[0] = (distance * distance * distance) >> 2 * bits
    for a in range(1, n_max):
        powers[a] = (powers[a - 1] * distance) >> bits
    return _floats(root.dot(powers) >> bits, bits)


def _scaled_bessel(most, s, q):
    """(most + 1, ...): s^l k_l(x) exp(-x) for l = 0 ... most, x = s √q, by downward recursion."""
    from scipy.special import ive  # slow to import, and for this alone

    x = s * np.sqrt(q)
    out = np.empty((most + 2, *x.shape))
    for l in (most, most + 1):
        series = term = np.full(x.shape, 1 / math.prod(range(1, 2 * l + 2, 2)))
        near = np.minimum(x, 1.0)
        for k in range(1, 12):
            term = term * near**2 / (2 * k * (2 * l + 2 * k + 1))
            series = series + term
        far = np.maximum(x, 1.0)
        bessel = np.sqrt(np.pi / 2) * ive(l + 0.5, far) / far ** (l + 0.5)
        out[l] = s**l * np.where(x < 1, series * np.exp(-near), bessel)
    for l in range(most, 0, -1):
        out[l - 1] = q * out[l + 1] + (2 * l + 1) / s * out[l]
    return out[:-1]
