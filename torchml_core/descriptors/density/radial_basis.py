"""Radial functions of a density expansion: bases, and their integrals, tabulated.

A neighbor at distance R, smeared out to ``exp(-eta |r - r_j|²)``, has the coefficients

    c_nlm = f_nl(R) Y_lm(r_j / R),
    f_nl(R) = 4π ∫ ρ² g_nl(ρ) i_l(2 eta ρ R) exp(-eta (ρ² + R²)) dρ

with i_l the modified spherical Bessel function of the first kind and g_nl orthonormal functions
(∫ ρ² g g' dρ = δ). The tables contain f_nl / (R/rc)^l, an entire function of q = (R/rc)². The
other factor, R^l Y_lm, is a polynomial of x, y, z, so there are no poles.

The orthonormal functions are S^(-1/2) times simple functions with the overlap matrix S. S is so
close to singular that S^(-1/2) in double precision is wrong by 3e-2 at n_max = 7. It is computed in
extended precision (mpmath), and so are the sums in which its large elements cancel. These sums use
integers in units of 2^-bits, which numpy adds much faster than mpmath.
"""

import contextlib
import math
from functools import lru_cache

import numpy as np

from torchml_core.descriptors.density.radial_table import MOST_INTERVALS, fit_table
from torchml_core.errors import InputError

RADIAL_BASES = ("gto", "polynomial")
# Tolerances of the table, relative to the largest value and derivative of each function.
VALUE_TOLERANCE, SLOPE_TOLERANCE = 2e-11, 1e-10
MOST_BITS = 1600


@lru_cache(maxsize=32)
def radial_table(radial_basis, n_max, l_max, cutoff, eta, basis_cutoff=None):
    """Return the RadialTable, with as many intervals as its tolerances ask for.

    ``cutoff`` is the end of the table, the largest distance of a neighbor; ``basis_cutoff``, by
    default the same, is the cutoff of the basis.

    Raises
    ------
    InputError
        The density is so sharp that MOST_INTERVALS intervals are not enough.
    """
    integrals = _Integrals(radial_basis, n_max, l_max, cutoff, eta, basis_cutoff)
    table = fit_table(
        integrals.at, cutoff, min(1 / math.sqrt(eta), cutoff), (VALUE_TOLERANCE, SLOPE_TOLERANCE)
    )
    if table is None:
        raise InputError(
            f"sigma = {1 / math.sqrt(2 * eta):g} (eta = {eta:g}) is too small for cutoff ="
            f" {cutoff:g}: a table of {MOST_INTERVALS} intervals does not resolve it"
        )
    return table


# ---- extended precision


def _inverse_root(overlap, bits):
    """S^(-1/2), symmetric, in whole numbers, of one in whole numbers.

    By Newton-Schulz iteration, which needs products alone: Y and Z go to S^(1/2) and S^(-1/2), the
    eigenvalues x² of Z Y to 1. While the smallest is far from it, x ρ (3 - ρ² x²)/2 takes it there
    fastest, with the ρ that makes the two ends of the interval m ... 1 equal (J. Chen, E. Chow, A
    stable scaling of Newton-Schulz, 2014). Raises _TooFewBits where S is too close to singular.
    """
    one = 1 << bits
    unit = one * np.eye(len(overlap), dtype=object)
    scale = np.trace(overlap)  # at least the largest eigenvalue
    y, z = overlap * one // scale, unit
    m = 2.0 ** (-bits / 5)  # below every x, or it takes a few steps more
    for _ in range(20 + bits // 3):
        x2 = z.dot(y) >> bits
        last = np.abs(x2 - unit).max() < one >> bits // 3  # and one more step squares that
        rho = math.sqrt(3 / (1 + m + m * m)) if m < 0.99 and not last else 1.0
        m = rho * m * (3 - rho**2 * m**2) / 2
        rho = int(rho * 2**60) << bits - 60  # a float does not hold 2^bits
        step = (rho * (3 * unit - (rho * (rho * x2 >> bits) >> bits)) >> bits) // 2
        y, z = y.dot(step) >> bits, step.dot(z) >> bits
        if last:
            root = z * one // math.isqrt(scale << bits)
            residual = ((root.dot(overlap) >> bits).dot(root) >> bits) - unit
            if np.abs(residual).max() < one >> 66:  # 1e-20
                return root
            break
    raise _TooFewBits


class _TooFewBits(ArithmeticError):
    """Raised when more bits are needed."""


def _with_enough_bits(make, *arguments):
    """Return make(*arguments, mp), with the number of bits doubled until it is sufficient."""
    import mpmath  # slow to import, and for this alone

    # a separate context: the precision of mpmath's default context is shared by all threads
    mp = mpmath.MPContext()
    mp.prec = 200
    while mp.prec <= MOST_BITS:
        with contextlib.suppress(_TooFewBits):
            return make(*arguments, mp)
        mp.prec *= 2
    n_max, cutoff = arguments[0], arguments[-2]
    raise InputError(
        f"cutoff = {cutoff:g}: {n_max} radial functions up to there can hardly be told apart; a"
        " larger cutoff or a smaller n_max is needed"
    )


def _whole(numbers, mp):
    """An array of Python integers in units of 2^-bits, from an mpmath matrix or from rows."""
    rows = numbers.tolist() if isinstance(numbers, mp.matrix) else numbers
    bits = mp.prec
    return np.array([[int(mp.nint(mp.ldexp(x, bits))) for x in row] for row in rows], dtype=object)


def _exact(x, mp):
    """x as an mpmath number. Its own conversion of floats takes Ctrl-C for an overflow (NaN)."""
    numerator, denominator = float(x).as_integer_ratio()
    return mp.mpf(numerator) / denominator


def _floats(whole, bits):
    return np.array(whole / 2**bits, dtype=np.float64)


# ---- the bases, on nodes ρ: (n_l, n_max, len(ρ)) float64, n_l = 1 where all l have the same


def _gaussian_type_orbitals(n_max, l_max, cutoff, rho, mp):
    """g_nl = Σ_a S_l^(-1/2)_na ρ^l exp(-α_al ρ²), decaying to 1e-3 at R_a = 1 ... rc.

    L. Himanen et al., Comput. Phys. Commun. 247, 106949 (2020): α_al = (ln 1000 + l ln R_a) / R_a².
    """
    bits = mp.prec
    rc, thousand = _exact(cutoff, mp), mp.log(1000)
    rho = [_exact(x, mp) for x in rho]
    ends = [1 + (rc - 1) * k / max(n_max - 1, 1) for k in range(n_max)]
    squares = [[(x / end) ** 2 for x in rho] for end in ends]
    # ρ^l exp(-α ρ²) grows by a factor with l
    powers = _whole([[mp.exp(-thousand * x) for x in row] for row in squares], mp)
    factors = _whole(
        [
            [rho_k * mp.exp(-mp.log(end) * x) for rho_k, x in zip(rho, row, strict=True)]
            for end, row in zip(ends, squares, strict=True)
        ],
        mp,
    )
    out = np.empty((l_max + 1, n_max, len(rho)))
    for l in range(l_max + 1):
        alphas = [(thousand + l * mp.log(end)) / end**2 for end in ends]
        power = -l - mp.mpf(3) / 2
        overlap = mp.matrix([[(a + b) ** power for b in alphas] for a in alphas])
        root = _inverse_root(_whole(overlap * mp.gamma(-power) / 2, mp), bits)
        out[l] = _floats(root.dot(powers) >> bits, bits)
        powers = (powers * factors) >> bits
    return out


def _polynomials(n_max, cutoff, rho, mp):
    """g_n = Σ_a S^(-1/2)_na (rc - ρ)^(a+2), a = 1 ... n_max."""
    bits = mp.prec
    rc, orders = _exact(cutoff, mp), range(1, n_max + 1)
    overlap = mp.matrix(
        [
            [2 * rc ** (s + 7) / ((s + 5) * (s + 6) * (s + 7)) for s in (a + b for b in orders)]
            for a in orders
        ]
    )
    root = _inverse_root(_whole(overlap, mp), bits)
    distance = _whole([[rc - _exact(x, mp) for x in rho]], mp)[0]
    powers = np.empty((n_max, len(rho)), dtype=object)
    powers[0] = (distance * distance * distance) >> 2 * bits
    for a in range(1, n_max):
        powers[a] = (powers[a - 1] * distance) >> bits
    return _floats(root.dot(powers) >> bits, bits)[None]


# ---- the integrals


class _Integrals:
    """f_nl / (R/rc)^l and its derivatives with respect to q, as sums over Gauss-Legendre nodes.

    In double precision, since nothing cancels if g_nl is known. With x = 2 eta ρ R, s = 2 eta ρ rc,
    so that x² = s² q, and k_l(x) = i_l(x) / x^l:  d k_l/dq = s²/2 k_(l+1).
    """

    def __init__(self, radial_basis, n_max, l_max, cutoff, eta, basis_cutoff=None):
        from scipy.special import roots_legendre  # slow to import, and for this alone

        basis_cutoff = basis_cutoff or cutoff
        self.l_max, self.cutoff, self.eta = l_max, cutoff, eta
        end, sharpest = basis_cutoff, eta
        if radial_basis == "gto":  # where the density has ended, or all functions have
            end = min(cutoff + 7 / math.sqrt(eta), 4 * basis_cutoff)
            sharpest = eta + math.log(1000)
        x, w = roots_legendre(max(100, int(50 + 7 * end * math.sqrt(sharpest))))
        self.rho = end * (x + 1) / 2
        if radial_basis == "gto":
            basis = _with_enough_bits(_gaussian_type_orbitals, n_max, l_max, basis_cutoff, self.rho)
        else:
            basis = _with_enough_bits(_polynomials, n_max, basis_cutoff, self.rho)
        self.weighted = 2 * np.pi * end * (w * self.rho**2)[:, None] * basis.transpose(0, 2, 1)

    def at(self, q):
        """(len(q), 3, l_max + 1, n_max)"""
        at_once = max(1, 200_000 // len(self.rho))  # (q, ρ), for each l
        parts = [self._at(q[k : k + at_once]) for k in range(0, len(q), at_once)]
        return np.concatenate(parts)

    def _at(self, q):
        s = 2 * self.eta * self.cutoff * self.rho
        beta = self.eta * self.cutoff**2
        bessel = _scaled_bessel(self.l_max + 2, s, q[:, None])
        bessel *= np.exp(-self.eta * (self.rho - self.cutoff * np.sqrt(q)[:, None]) ** 2)
        out = np.empty((len(q), 3, self.l_max + 1, self.weighted.shape[2]))
        for l in range(self.l_max + 1):
            weighted = self.weighted[min(l, len(self.weighted) - 1)]
            f0, f1, f2 = bessel[l], s / 2 * bessel[l + 1], s**2 / 4 * bessel[l + 2]
            out[:, 0, l] = f0 @ weighted
            out[:, 1, l] = (f1 - beta * f0) @ weighted
            out[:, 2, l] = (f2 - 2 * beta * f1 + beta**2 * f0) @ weighted
        return out


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
