"""The power spectrum as products of the coefficients that SphericalExpansion gives."""

import itertools

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm

RC = 4.0
POSITIONS = np.random.default_rng(3).uniform(-1.6, 1.6, (9, 3))
SETTINGS = [  # sizes that fill vectors and tiles, and that do not
    (1, 0), (1, 12), (2, 3), (3, 1), (4, 4), (5, 6), (7, 2), (8, 6), (9, 3), (13, 1), (16, 12),
]  # fmt: skip
WEIGHTS = [[1.0, -0.5, 0.0], [0.25, 2.0, 3.0]]


@pytest.fixture(scope="module")
def configuration():
    return tm.Configuration.from_atoms(Atoms("SiCSiSiCSiCCSi", positions=POSITIONS), RC)


def products(c, cross_blocks):
    """(n_centers, width) of coefficients (n_centers, n_channels, n_max, (l_max + 1)²)."""
    n_channels, n_max, n_lm = c.shape[1:]
    l_max = round(n_lm**0.5) - 1
    columns = []
    for q, other in itertools.combinations_with_replacement(range(n_channels), 2):
        for n in range(n_max):
            full = q != other and cross_blocks == "full"
            for m in range(0 if full else n, n_max):
                for l in range(l_max + 1):
                    part = slice(l * l, (l + 1) ** 2)
                    sums = np.sum(c[:, q, n, part] * c[:, other, m, part], axis=1)
                    columns.append(np.pi * np.sqrt(8 / (2 * l + 1)) * sums)
    return np.stack(columns, axis=1)


@pytest.mark.parametrize("cross_blocks", ["full", "upper"])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("n_max", "l_max"), SETTINGS)
def test_products(configuration, n_max, l_max, weights, cross_blocks):
    common = dict(radial_basis="polynomial", species_weights=weights)
    c = tm.SphericalExpansion(["Si", "C"], RC, n_max, l_max, **common).compute(configuration)
    c = c.reshape(configuration.n_centers, -1, n_max, (l_max + 1) ** 2)
    d = tm.SOAP(["Si", "C"], RC, n_max, l_max, cross_blocks=cross_blocks, **common)
    expected = products(c, cross_blocks)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(d.compute(configuration), expected, rtol=1e-11, atol=1e-13 * scale)
    np.testing.assert_allclose(
        d.compute(configuration, dtype=np.float32), expected, rtol=1e-4, atol=1e-5 * scale
    )


@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("n_max", "l_max"), SETTINGS)
def test_verbs_agree(configuration, n_max, l_max, weights, unit_norm):
    """vjp, pair_gradients and jvp are what the Jacobian says; its own test is the kit's."""
    d = tm.SOAP(
        ["Si", "C"], RC, n_max, l_max, radial_basis="polynomial", species_weights=weights,
        unit_norm=unit_norm,
    )  # fmt: skip
    rng = np.random.default_rng(1)
    c, jacobian = configuration, d.jacobian(configuration)
    dE_dD = rng.standard_normal((c.n_centers, d.width))
    dr = rng.standard_normal((c.n_particles, 3))
    matrix = jacobian.to_scipy()
    expected = (matrix.T @ dE_dD.ravel()).reshape(-1, 3)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(d.vjp(c, dE_dD), expected, rtol=1e-9, atol=1e-11 * scale)
    expected = (matrix @ dr.ravel()).reshape(c.n_centers, -1)
    np.testing.assert_allclose(
        d.jvp(c, dr), expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max()
    )


def test_nothing_is_written_beyond_a_row(configuration):
    """Whole vectors of l are stored: the last ones of a row must not reach into the next."""
    d = tm.SOAP(["Si", "C"], RC, 3, 4)
    c = configuration
    all_rows = d.compute(c)
    for row in range(c.n_centers):
        entries = slice(c.offsets[row], c.offsets[row + 1])
        contributing = np.arange(c.n_particles) == c.centers[row]
        one = tm.Configuration(
            c.positions, c.species, contributing, c.centers[row : row + 1],
            [0, entries.stop - entries.start], c.neighbors[entries],
            species_names=c.species_names,
        )  # fmt: skip
        np.testing.assert_array_equal(d.compute(one)[0], all_rows[row])
