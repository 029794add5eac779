"""The radial functions of Xi: orthonormal sums of spherical Bessel functions, tabulated.

With u_n the (n+1)-th positive zero of the spherical Bessel function j_l::

    f_n(R) = √(2/(rc³ (u_n² + u_{n+1}²)))
             [u_{n+1}/j_{l+1}(u_n) j_l(u_n R/rc) - u_n/j_{l+1}(u_{n+1}) j_l(u_{n+1} R/rc)]
    e_n = u_{n-1}² u_{n+1}² / ((u_{n-1}² + u_n²)(u_n² + u_{n+1}²))
    d_0 = 1,  d_n = 1 - e_n/d_{n-1}
    g_0 = f_0,  g_n = (f_n + √(1 - d_n) g_{n-1})/√d_n

The g_n of one l are orthonormal on (0, rc) with the weight R², and g_n and its derivative vanish at
rc. (E. Kocer, J. K. Mason, H. Erturk, AIP Advances 10, 015021 (2020), after J. Chem. Phys. 150,
154102 (2019).)
"""

import itertools
from functools import lru_cache

import numpy as np

from torchml_core.descriptors.density.radial_table import fit_table

TOLERANCES = 2e-13, 1e-11  # of the table; gradients are then right to about 3e-11
SERIES_TERMS = 14


@lru_cache(maxsize=32)
def bessel_table(q, cutoff):
    """Return the RadialTable of g_nl / (R/rc)^l for l, n = 0 ... q."""
    sums = [_sums(l, q - l) for l in range(q + 1)]
    scale = cutoff**-1.5

    def at(squares):
        """(len(squares), 3, q + 1, q + 1): with derivatives with respect to (R/rc)²."""
        out = np.zeros((len(squares), 3, q + 1, q + 1))
        for l, (zeros, factors) in enumerate(sums):
            z = zeros * np.sqrt(squares)[:, None]
            for derivative in range(3):
                power = zeros ** (l + 2 * derivative) * (-0.5) ** derivative
                bessel = _bessel_over_power(l + derivative, z) * power
                out[:, derivative, l, : q - l + 1] = scale * (bessel @ factors.T)
        return out

    largest_zero = max(zeros[-1] for zeros, _ in sums)
    return fit_table(at, cutoff, cutoff / min(largest_zero, 4.0), tolerances=TOLERANCES)


def _sums(l, n_most):
    """The zeros u (n_most + 2,), and g_n = Σ_k factors[n, k] j_l(u_k R/rc) / rc^1.5."""
    u = zeros_of_bessel(l, n_most + 2)
    factors = np.zeros((n_most + 1, n_most + 2))
    d = 1.0
    for n in range(n_most + 1):
        slopes = [_spherical(l + 1, u[k]) for k in (n, n + 1)]
        norm = np.sqrt(2 / (u[n] ** 2 + u[n + 1] ** 2))
        factors[n, n : n + 2] = norm * u[n + 1] / slopes[0], -norm * u[n] / slopes[1]
        if n > 0:
            before, here, after = u[n - 1] ** 2, u[n] ** 2, u[n + 1] ** 2
            d = 1 - before * after / ((before + here) * (here + after)) / d
            factors[n] = (factors[n] + np.sqrt(1 - d) * factors[n - 1]) / np.sqrt(d)
    return u, factors


def zeros_of_bessel(l, n):
    """Return the first n positive zeros of j_l.

    Those of j_0 are multiples of π; one of j_l is between each two of j_(l-1).
    """
    from scipy.optimize import brentq  # slow to import, and for this alone

    zeros = np.pi * np.arange(1, n + l + 1)
    for k in range(1, l + 1):
        ends = itertools.pairwise(zeros)
        zeros = np.array(
            [brentq(lambda x, k=k: _spherical(k, x), a, b, xtol=1e-15, rtol=1e-15) for a, b in ends]
        )
    return zeros


def _spherical(l, x):
    from scipy.special import spherical_jn  # slow to import, and for this alone

    return spherical_jn(l, x)


def _bessel_over_power(l, z):
    """j_l(z) / z^l, also at 0."""
    near = np.minimum(z, 1.0)
    series = term = np.full(z.shape, 1.0 / np.prod(np.arange(1.0, 2 * l + 2, 2)))
    for k in range(1, SERIES_TERMS):
        term = term * near**2 / (-2.0 * k * (2 * l + 2 * k + 1))
        series = series + term
    far = np.maximum(z, 1.0)
    return np.where(z < 1, series, _spherical(l, far) / far**l)
