"""Radial functions looked up in their table, seen through a neighbor along z: f_nl(R) Y_l0."""

import functools
import math

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm
from torchml_core.descriptors.density.radial_basis import RADIAL_BASES, _Integrals, radial_table

RC, N, L, ETA = 5.0, 5, 4, 2.0


def dimer(r):
    return tm.Configuration.from_atoms(Atoms("Si2", positions=[[0, 0, 0], [0, 0, r]]), RC + 1)


def along_z(r, basis, **settings):
    """f_nl(R) fc(R) and its derivative, (L + 1, N) each."""
    d = tm.SphericalExpansion(["Si"], RC, N, L, eta=ETA, radial_basis=basis, **settings)
    c = dimer(r)
    values, slopes = d.compute(c)[0], d.jacobian(c).values[0, 2]
    take = [l * l + l for l in range(L + 1)]
    norm = np.sqrt((2 * np.arange(L + 1) + 1) / (4 * np.pi))[:, None]
    return tuple(x.reshape(N, -1)[:, take].T / norm for x in (values, slopes))


@functools.cache
def integrals(basis):
    return _Integrals(basis, N, L, RC, ETA)


def exact(r, basis):
    """f_nl(R) and its derivative, of the integrals that the table is made of."""
    q = (r / RC) ** 2
    by_q = integrals(basis).at(np.array([q]))[0]
    l = np.arange(L + 1)[:, None]
    power = (r / RC) ** l
    return power * by_q[0], l / r * power * by_q[0] + power * by_q[1] * 2 * r / RC**2


@pytest.mark.parametrize("basis", RADIAL_BASES)
@pytest.mark.parametrize("r", [0.01, 0.6, 2.345, 3.7, 4.999, RC])
def test_value_and_slope(basis, r):
    scale = np.max([np.abs(exact(x, basis)) for x in np.linspace(0.1, RC, 99)], axis=0)
    found, expected = along_z(r, basis, smoothing=None), exact(r, basis)
    for k, tolerance in ((0, 2e-11), (1, 1e-9)):
        assert np.max(np.abs(found[k] - expected[k]) / scale[k]) < tolerance


@pytest.mark.parametrize("basis", RADIAL_BASES)
def test_every_node_and_both_sides_of_it(basis):
    """No jump where one interval ends and the next one begins."""
    table = radial_table(basis, N, L, RC, ETA)
    for node in (1, table.n_intervals // 2, table.n_intervals - 1):
        s = table.softening + node / table.per_interval
        r = math.sqrt(s * s - table.softening**2)
        left, right = (along_z(r * (1 + x), basis, smoothing=None) for x in (-1e-13, 1e-13))
        for a, b in zip(left, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * np.abs(a).max())


@pytest.mark.parametrize(("width", "r"), [(0.5, 4.2), (0.5, 4.75), (2.0, 4.0), (5.0, 2.5)])
def test_smoothing_is_a_factor(width, r):
    value, slope = along_z(r, "gto", smoothing=None)
    x = math.pi * max(0.0, r - RC + width) / width
    fc, dfc = (math.cos(x) + 1) / 2, -math.pi / width * math.sin(x) / 2
    smoothed, its_slope = along_z(r, "gto", smoothing_width=width)
    scale = np.abs(value).max()
    np.testing.assert_allclose(smoothed, value * fc, rtol=1e-12, atol=1e-14 * scale)
    np.testing.assert_allclose(its_slope, slope * fc + value * dfc, rtol=1e-11, atol=1e-13 * scale)


def test_nothing_at_the_cutoff_and_beyond():
    for r in (RC, np.nextafter(RC, 9), RC + 0.5):
        for x in along_z(r, "gto"):
            assert np.abs(x).max() < 1e-15
    for x in along_z(RC * (1 + 1e-9), "gto", smoothing=None):
        np.testing.assert_array_equal(x, 0)
    assert np.abs(along_z(RC, "gto", smoothing=None)[0]).max() > 1e-3
