"""The slow SOAP that others are measured by, measured itself (by DScribe: test_dscribe.py)."""

import math

import mpmath
import numpy as np
import pytest
from descriptors import soap_reference as ref
from scipy.special import gammaln, lpmv


def test_harmonics_are_those_of_associated_legendre_functions():
    rng = np.random.default_rng(0)
    for v in [*rng.standard_normal((5, 3)), [0, 0, 1.0], [0, 0, -2.0], [0, 3.0, 0], [1.0, 0, 0]]:
        v = np.asarray(v)
        cosine, phi = v[2] / np.linalg.norm(v), math.atan2(v[1], v[0])
        for l in range(13):
            for m, value in zip(range(-l, l + 1), ref.harmonics(l, v), strict=True):
                a = abs(m)
                size = (2 * l + 1) / (4 * np.pi) * np.exp(gammaln(l - a + 1) - gammaln(l + a + 1))
                turn = math.cos(a * phi) if m > 0 else math.sin(a * phi)
                # lpmv has the phase (-1)^m, which these harmonics have not
                expected = (-1) ** a * math.sqrt(size) * lpmv(a, l, cosine)
                expected *= math.sqrt(2) * turn if m else 1
                assert value == pytest.approx(expected, rel=1e-11, abs=1e-11)


def test_harmonics_of_first_order_are_y_z_x():
    np.testing.assert_allclose(
        ref.harmonics(1, np.array([0.1, 0.2, 0.3])) / math.sqrt(3 / (4 * math.pi)),
        np.array([0.2, 0.3, 0.1]) / math.sqrt(0.14),
        rtol=1e-14,
    )


@pytest.mark.parametrize(("basis", "l"), [("polynomial", 0), ("gto", 4)])
@pytest.mark.parametrize("n_max", [1, 5, 16])
def test_bases_are_orthonormal(basis, l, n_max):
    r, weighted = ref.quadrature(basis, n_max, 5.0, l, 0.5)
    with mpmath.workdps(ref.DIGITS):
        g = [ref.radial_function(basis, n_max, 5.0, l, mpmath.mpf(point)) for point in r]
    overlap = weighted @ np.array(g, dtype=float)
    np.testing.assert_allclose(overlap, np.eye(n_max), rtol=0, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("basis", "l", "R"),
    [("polynomial", 0, 1e-3), ("polynomial", 6, 4.9), ("gto", 1, 0.4), ("gto", 6, 4.9)],
)
def test_radial_integrals_are_those_of_mpmath(basis, l, R):
    n_max, cutoff, eta = 2, 5.0, 2.0
    found = ref.radial_integrals(basis, n_max, cutoff, l, eta, R)
    end = [0, 1, 2, 3, 4, cutoff] + ([6, 8, 11] if basis == "gto" else [])
    with mpmath.workdps(20):
        for n in range(n_max):

            def integrand(r, n=n):
                g = ref.radial_function(basis, n_max, cutoff, l, r)[n]
                x = 2 * eta * r * R
                i_l = mpmath.sqrt(mpmath.pi / (2 * x)) * mpmath.besseli(l + 0.5, x) if x else l == 0
                return r * r * g * i_l * mpmath.exp(-eta * (r * r + R * R))

            expected = mpmath.quad(integrand, end, maxdegree=4)
            assert found[n] == pytest.approx(float(expected), rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("l", [0, 3, 12])
@pytest.mark.parametrize("R", [0.0, 0.7, 4.5])
def test_gto_integrals_are_those_in_closed_form(l, R):
    """√π/4 (ηR)^l (α+η)^-(l+3/2) exp(-αη R²/(α+η)) for each primitive: DScribe's way."""
    n_max, cutoff, eta = 6, 5.0, 2.0
    alpha, C = ref.gto_coefficients(n_max, cutoff, l)
    with mpmath.workdps(ref.DIGITS):
        primitives = [
            mpmath.sqrt(mpmath.pi)
            / 4
            * mpmath.mpf(eta * R) ** l
            * (a + eta) ** (-l - 1.5)
            * mpmath.exp(-a * eta * mpmath.mpf(R) ** 2 / (a + eta))
            for a in alpha
        ]
        expected = [
            float(mpmath.fdot((C[a, n], primitives[a]) for a in range(n_max))) for n in range(n_max)
        ]
    found = ref.radial_integrals("gto", n_max, cutoff, l, eta, R)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("basis", ["polynomial", "gto"])
@pytest.mark.parametrize("l", [0, 2, 9])
def test_slopes_of_integrals_are_their_differences(basis, l):
    def value(R):
        return ref.radial_integrals(basis, 5, 5.0, l, 2.0, R)

    h = 1e-3
    difference = (8 * (value(2 + h) - value(2 - h)) - value(2 + 2 * h) + value(2 - 2 * h)) / (
        12 * h
    )
    slope = value(2 + 1e-30j).imag / 1e-30
    np.testing.assert_allclose(slope, difference, rtol=0, atol=1e-9 * np.abs(slope).max())
