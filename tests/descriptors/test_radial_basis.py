"""Radial functions of the density expansion: orthonormal, and their integrals as tabulated."""

import math

import mpmath
import numpy as np
import pytest
from scipy.special import roots_legendre

import torchml_core as tm
from torchml_core.descriptors.density import radial_basis
from torchml_core.descriptors.density import radial_table as fits
from torchml_core.descriptors.density.radial_basis import RADIAL_BASES, radial_table


@pytest.mark.parametrize("cutoff", [1.05, 11.0])
@pytest.mark.parametrize("n_max", [1, 8, pytest.param(16, marks=pytest.mark.slow)])
@pytest.mark.parametrize("basis", RADIAL_BASES)
def test_functions_are_orthonormal(basis, n_max, cutoff):
    """In double precision S^(-1/2) would be wrong by 3e-2 at n_max 7."""
    end = cutoff if basis == "polynomial" else 4 * cutoff
    x, w = roots_legendre(250)
    rho = end * (x + 1) / 2
    if basis == "gto":
        functions = radial_basis._with_enough_bits(
            radial_basis._gaussian_type_orbitals, n_max, 4, cutoff, rho
        )
    else:
        functions = radial_basis._with_enough_bits(radial_basis._polynomials, n_max, cutoff, rho)
    weight = end / 2 * w * rho**2
    for of_l in functions:
        np.testing.assert_allclose((of_l * weight) @ of_l.T, np.eye(n_max), atol=2e-13)


@pytest.mark.parametrize("n", [1, 3, 12])
def test_inverse_root_of_a_hilbert_matrix(n):
    mp = mpmath.MPContext()
    mp.prec = bits = 400
    rows = [[mp.mpf(1) / (a + b + 1) for b in range(n)] for a in range(n)]
    whole = radial_basis._whole(rows, mp)
    root = radial_basis._inverse_root(whole, bits)
    assert np.abs(root - root.T).max() < 2 ** (bits - 150)
    identity = root.dot(whole).dot(root) >> 2 * bits
    error = identity - (1 << bits) * np.eye(n, dtype=object)
    assert np.abs(error).max() < 2 ** (bits - 150)


def test_the_precision_of_other_threads_is_left_alone():
    """mpmath's own precision is one for all threads: two tables at once would spoil each other."""
    before = mpmath.mp.prec
    assert radial_basis._with_enough_bits(lambda *_: mpmath.mp.prec, 1, 5.0, None) == before


@pytest.mark.parametrize("l", [0, 3])
@pytest.mark.parametrize("R", [0.7, 3.1])
def test_integrals_of_orbitals_are_the_closed_form(l, R):
    """∫ ρ^(l+2) e^(-pρ²) i_l(qρ) dρ = √π/4 (q/2)^l p^(-l-3/2) e^(q²/4p), with one function."""
    eta, rc = 1.3, 4.0
    alpha = math.log(1000)  # of n_max = 1: it decays at 1 Å
    norm = (math.gamma(l + 1.5) / 2 * (2 * alpha) ** (-l - 1.5)) ** -0.5
    p = alpha + eta
    expected = math.pi**1.5 * norm * (eta * R) ** l * p ** (-l - 1.5)
    expected *= math.exp((eta * R) ** 2 / p - eta * R * R)
    integrals = radial_basis._Integrals("gto", 1, l, rc, eta).at(np.array([(R / rc) ** 2]))
    np.testing.assert_allclose(integrals[0, 0, l, 0] * (R / rc) ** l, expected, rtol=1e-13)


@pytest.mark.parametrize(
    ("n_max", "l_max", "cutoff", "sigma"),
    [
        (8, 6, 5.0, 0.5),
        pytest.param(16, 2, 5.0, 0.3, marks=pytest.mark.slow),
        (3, 12, 1.5, 0.5),
        pytest.param(2, 1, 9.0, 0.1, marks=pytest.mark.slow),
        (4, 3, 3.0, 30.0),
    ],
)
@pytest.mark.parametrize("basis", RADIAL_BASES)
def test_tables_keep_their_promise(basis, n_max, l_max, cutoff, sigma):
    """At places that are neither nodes nor where the construction looked."""
    eta = 1 / (2 * sigma**2)
    table = radial_table(basis, n_max, l_max, cutoff, eta)
    assert table.value_error <= radial_basis.VALUE_TOLERANCE
    assert table.slope_error <= radial_basis.SLOPE_TOLERANCE
    t = 0.31
    a = table.softening
    s = a + (np.arange(table.n_intervals) + t) / table.per_interval
    q = (s * s - a * a) / cutoff**2
    exact = radial_basis._Integrals(basis, n_max, l_max, cutoff, eta).at(q)[:, 0]
    spline = hermite(table.nodes[:-1], table.nodes[1:], t)
    power = np.sqrt(q)[:, None, None] ** np.arange(l_max + 1)[:, None]
    errors = np.abs(power * (spline - exact)) / np.max(np.abs(power * exact), axis=0)
    assert errors.max() < 1e-10


def hermite(left, right, t):
    """By the polynomial of degree 5 that takes both ends' values and two derivatives."""
    conditions = [
        [math.perm(k, d) * x ** (k - d) if k >= d else 0.0 for k in range(6)]
        for x in (0.0, 1.0)
        for d in range(3)
    ]
    ends = np.concatenate([left, right], axis=1)
    coefficients = np.einsum("kc,ic...->ik...", np.linalg.inv(conditions), ends)
    return sum(coefficients[:, k] * t**k for k in range(6))


def test_equal_settings_share_their_table():
    one, other = (tm.SOAP(["Si"], 5.0, 3, 2, cross_blocks=x) for x in ("full", "upper"))
    assert one._kernel_settings([1] * 3)["table"] is other._kernel_settings([1] * 3)["table"]


def test_too_sharp_for_a_table(monkeypatch):
    for module in (radial_basis, fits):
        monkeypatch.setattr(module, "MOST_INTERVALS", 100)
    with pytest.raises(tm.InputError, match=r"sigma = 0.06 .* too small for cutoff = 5"):
        radial_table("polynomial", 2, 1, 5.0, 1 / (2 * 0.06**2))


@pytest.mark.slow
def test_functions_that_cannot_be_told_apart():
    with pytest.raises(tm.InputError, match=r"cutoff = 1: 16 radial functions .* smaller n_max"):
        radial_table("gto", 16, 0, 1 + 1e-15, 2.0)


@pytest.mark.slow
@pytest.mark.parametrize(("cutoff", "sigma"), [(8.0, 4.0), (5.0, 50.0)])
def test_functions_that_all_but_vanish(cutoff, sigma):
    """A wide density hardly sees functions that oscillate; their digits end early."""
    table = radial_table("gto", 16, 2, cutoff, 1 / (2 * sigma**2))
    assert table.n_intervals <= 128


@pytest.mark.parametrize("basis", RADIAL_BASES)
def test_ctrl_c_is_no_overflow(basis, monkeypatch):
    """Mpmath's conversion of floats returns NaN if Ctrl-C interrupts it; it is not used."""

    def interrupted(number):
        raise KeyboardInterrupt

    arguments = (basis, 3, 2, 4.0625, 0.5, 4.0625)
    expected = radial_basis._Integrals(*arguments).weighted
    monkeypatch.setattr(math, "frexp", interrupted)
    assert np.array_equal(radial_basis._Integrals(*arguments).weighted, expected)
