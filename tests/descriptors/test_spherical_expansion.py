"""SphericalExpansion: the coefficients themselves. They turn with the structure, as they should."""

import numpy as np
import pytest
from ase import Atoms
from descriptors import soap_reference as ref
from descriptors.kit import STRUCTURES, ArgumentsKit, SettingsKit, cluster, silicon_carbide
from descriptors.soap_cases import (
    ENVIRONMENTS,
    EXPANSIONS,
    crowd,
    environment,
    make,
    reference,
    reference_tangent,
)

import torchml_core as tm
from torchml_core.testing import DESCRIPTOR_CHECKS, check_rotation, with_arrays


def expansion(name, **more):
    return make(tm.SphericalExpansion, name, **more)


class TestSettings(SettingsKit):
    @pytest.fixture(params=EXPANSIONS)
    def descriptor(self, request):
        return expansion(request.param)[0]

    @pytest.mark.parametrize("check", [c for c in DESCRIPTOR_CHECKS if c is not check_rotation])
    def test_check(self, descriptor, configuration, check):
        """All but one: see test_rotation."""
        check(descriptor, configuration, np.random.default_rng(1))


class TestArguments(ArgumentsKit):
    @pytest.fixture
    def descriptor(self):
        return expansion(next(iter(EXPANSIONS)))[0]


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", EXPANSIONS)
def test_equal_to_the_reference(name, structure):
    d, told = expansion(name)
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff)
    values, expected = d.compute(c), reference(ref.spherical_expansion, told, c)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", EXPANSIONS)
def test_tangent_equal_to_the_reference(name, structure):
    d, told = expansion(name)
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff)
    direction = np.random.default_rng(2).standard_normal(c.positions.shape)
    expected = reference_tangent(ref.spherical_expansion, told, c, direction)
    found = d.jvp(c, direction)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("place", ENVIRONMENTS)
@pytest.mark.parametrize("name", ["gto", "polynomial unsmoothed", "two channels"])
def test_environments_at_the_edge(name, place):
    d, told = expansion(name)
    c = ENVIRONMENTS[place]()
    expected = reference(ref.spherical_expansion, told, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    direction = np.random.default_rng(3).standard_normal(c.positions.shape)
    tangent = reference_tangent(ref.spherical_expansion, told, c, direction)
    found = d.jvp(c, direction)
    np.testing.assert_allclose(found, tangent, rtol=0, atol=1e-9 * np.abs(tangent).max())
    weights = np.random.default_rng(4).standard_normal(expected.shape)
    adjoint = (d.vjp(c, weights) * direction).sum()
    np.testing.assert_allclose(adjoint, (weights * tangent).sum(), rtol=1e-8)


@pytest.mark.parametrize(("n_max", "l_max"), [(3, 12), (8, 6)])
@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_each_order_to_its_own_scale(basis, n_max, l_max):
    """Functions of high n and l are small: their relative error must be small too.

    Each (n, l) to the largest of its own values, over neighbors at all distances.
    """
    d, told = expansion(basis, n_max=n_max, l_max=l_max, smoothing_width=0.5)
    c = crowd(25, d.cutoff, seed=2)
    expected = reference(ref.spherical_expansion, told, c)[0]
    found = d.compute(c)[0]
    first = 0
    for _ in range(2):
        for n in range(n_max):
            for l in range(l_max + 1):
                block = slice(first, first + 2 * l + 1)
                error = np.abs(found[block] - expected[block]).max()
                assert error <= 1e-9 * np.abs(expected[block]).max(), (n, l)
                first += 2 * l + 1
    assert first == d.width


def test_a_lone_neighbor_is_known_in_closed_form():
    """l = 0: 4π Y_00 times the integral, whichever way it lies; l = 1 along (y, z, x)."""
    d, told = expansion("gto", species=["Si"])
    v = np.array([0.4, -1.5, 1.1])
    R = np.linalg.norm(v)
    c = d.compute(environment([v], species=("Si",))).reshape(3, 9)
    for l, angular in ((0, [1.0]), (1, np.sqrt(3) * v[[1, 2, 0]] / R)):
        integrals = ref.radial_integrals("gto", 3, 4.2, l, told.eta, R)
        expected = np.sqrt(4 * np.pi) * np.outer(integrals, angular)
        found = c[:, l * l : (l + 1) ** 2]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10 * np.abs(c).max())


def rotation_of_harmonics(l, rotation):
    """The matrix D with Y(Rv) = D Y(v), solved from random directions."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((4 * l + 4, 3))
    before = np.array([ref.harmonics(l, v) for v in vectors])
    after = np.array([ref.harmonics(l, rotation @ v) for v in vectors])
    return np.linalg.lstsq(before, after, rcond=None)[0].T


@pytest.mark.parametrize("proper", [True, False])
@pytest.mark.parametrize("name", ["gto", "odd sizes", "two channels"])
def test_rotation(name, proper):
    """Coefficients of one l turn among themselves, under reflections too."""
    d, told = expansion(name)
    c = tm.Configuration.from_atoms(silicon_carbide(), d.cutoff)
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((3, 3)))[0]
    rotation *= np.sign(np.linalg.det(rotation)) * (1 if proper else -1)
    turned = with_arrays(c, positions=c.positions @ rotation.T)
    shape = (c.n_centers, -1, (told.l_max + 1) ** 2)
    before, after = d.compute(c).reshape(shape), d.compute(turned).reshape(shape)
    scale = np.abs(before).max()
    for l in range(told.l_max + 1):
        own = slice(l * l, (l + 1) ** 2)
        expected = before[..., own] @ rotation_of_harmonics(l, rotation).T
        np.testing.assert_allclose(after[..., own], expected, rtol=0, atol=1e-10 * scale)


def test_its_power_spectrum_is_soap():
    atoms = cluster()
    for name in ("gto", "two channels", "polynomial"):
        d, told = expansion(name)
        c = tm.Configuration.from_atoms(atoms, d.cutoff)
        coefficients = d.compute(c).reshape(c.n_centers, 2, told.n_max, -1)
        p = []
        for q, k, n, m in ref.power_spectrum_order(2, told.n_max, "full"):
            products = coefficients[:, q, n] * coefficients[:, k, m]
            for l in range(told.l_max + 1):
                own = products[:, l * l : (l + 1) ** 2]
                p.append(np.pi * np.sqrt(8 / (2 * l + 1)) * own.sum(axis=1))
        values = make(tm.SOAP, name)[0].compute(c)
        scale = np.abs(values).max()
        np.testing.assert_allclose(np.transpose(p), values, rtol=0, atol=1e-13 * scale)


def test_coefficients_add_up():
    """Of two neighbors: those of one and those of the other."""
    d = expansion("gto")[0]
    one, other = [0.4, -1.5, 1.1], [2.0, 0.1, 0.3]
    both = d.compute(environment([one, other], ["Si", "Si", "C"]))
    first = d.compute(environment([one], ["Si", "Si"]))
    second = d.compute(environment([other], ["Si", "C"]))
    np.testing.assert_allclose(both, first + second, rtol=0, atol=1e-14 * np.abs(both).max())


def test_widths_and_labels():
    d = tm.SphericalExpansion(["Si", "C"], 5.0, 3, 2)
    assert d.width == 2 * 3 * 9
    assert len(set(d.labels)) == d.width
    weighted = tm.SphericalExpansion(["Si", "C"], 5.0, 3, 2, species_weights=np.ones((2, 5)))
    assert weighted.width == 5 * 3 * 9


def test_isolated_atom():
    d = expansion("gto")[0]
    c = tm.Configuration.from_atoms(Atoms("Si"), 4.2)
    assert not d.compute(c).any()
