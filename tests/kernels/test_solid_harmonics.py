"""Solid harmonics, seen through the coefficients of one neighbor: f_nl(R) Y_lm."""

import math

import numpy as np
import pytest
from ase import Atoms
from scipy.special import sph_harm_y

import torchml_core as tm

RC, L = 5.0, 12


def expansion(l_max=L):
    return tm.SphericalExpansion(["Si"], RC, 1, l_max, radial_basis="polynomial", smoothing=None)


def dimer(r):
    return tm.Configuration.from_atoms(Atoms("Si2", positions=[[0, 0, 0], r]), RC + 1)


def harmonics(r, l_max=L):
    """Y_lm of the direction of r, at l² + l + m, from values along r and along z."""
    d = expansion(l_max)
    values = d.compute(dimer(r))[0]
    along_z = d.compute(dimer([0, 0, np.linalg.norm(r)]))[0]
    out = np.empty(len(values))
    for l in range(l_max + 1):
        radial = along_z[l * l + l] / math.sqrt((2 * l + 1) / (4 * math.pi))
        out[l * l : (l + 1) ** 2] = values[l * l : (l + 1) ** 2] / radial
    return out


def test_literal_polynomials():
    x, y, z = np.array([2.0, -1.0, 2.0]) / 3
    expected = [
        math.sqrt(1 / (4 * math.pi)),
        *(math.sqrt(3 / (4 * math.pi)) * k for k in (y, z, x)),
        math.sqrt(15 / (4 * math.pi)) * x * y,
        math.sqrt(15 / (4 * math.pi)) * y * z,
        math.sqrt(5 / (16 * math.pi)) * (3 * z * z - 1),
        math.sqrt(15 / (4 * math.pi)) * x * z,
        math.sqrt(15 / (16 * math.pi)) * (x * x - y * y),
        math.sqrt(35 / (32 * math.pi)) * y * (3 * x * x - y * y),
    ]
    found = harmonics([2.0, -1.0, 2.0], 3)
    np.testing.assert_allclose(found[:10], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_all_l_against_scipy(seed):
    r = np.random.default_rng(seed).standard_normal(3)
    theta, phi = math.acos(r[2] / np.linalg.norm(r)), math.atan2(r[1], r[0])
    expected = []
    for l in range(L + 1):
        for m in range(-l, l + 1):
            y = sph_harm_y(l, abs(m), theta, phi) * (-1) ** m * (math.sqrt(2) if m else 1)
            expected.append(y.imag if m < 0 else y.real)
    np.testing.assert_allclose(harmonics(r), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_gradient_on_an_axis(axis, sign):
    """By central differences: where angles would have a pole."""
    d, h = expansion(), 1e-5
    r = 2.1 * sign * np.eye(3)[axis]
    block = d.jacobian(dimer(r)).values[0]
    for k in range(3):
        step = h * np.eye(3)[k]
        difference = (d.compute(dimer(r + step))[0] - d.compute(dimer(r - step))[0]) / (2 * h)
        np.testing.assert_allclose(block[k], difference, atol=1e-7 * np.abs(block).max())


def test_addition_theorem_in_both_precisions():
    """Σ_m Y_lm² = (2l+1)/4π."""
    found = harmonics([0.3, -0.2, 1.9])
    for l in range(L + 1):
        total = np.sum(found[l * l : (l + 1) ** 2] ** 2)
        np.testing.assert_allclose(total, (2 * l + 1) / (4 * math.pi), rtol=1e-11)
    d = expansion()
    double = d.compute(dimer([0.3, -0.2, 1.9]))[0]
    single = d.compute(dimer([0.3, -0.2, 1.9]), dtype=np.float32)[0]
    for l in range(L + 1):
        part = slice(l * l, (l + 1) ** 2)
        np.testing.assert_allclose(single[part], double[part], atol=5e-6 * max(abs(double[part])))
