"""The density expansion: sums over neighbors, species and channels."""

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm

RC = 4.0
RNG = np.random.default_rng(7)
NEIGHBORS = RNG.uniform(-1, 1, (40, 3)) * 2.2


def expansion(n_max=3, l_max=4, species=("Si",), **settings):
    return tm.SphericalExpansion(species, RC, n_max, l_max, **settings)


def around_one(symbols, positions, dtype=np.float64, **settings):
    """Values of an atom in the origin, whose neighbors alone are given."""
    d = expansion(**settings)
    n = len(positions)
    contributing = np.arange(n + 1) == 0
    names = list(d.species)
    codes = [0] + [names.index(name) for name in symbols]
    c = tm.Configuration(
        np.vstack([np.zeros((1, 3)), positions]), codes, contributing, [0], [0, n],
        np.arange(1, n + 1), species_names=names,
    )  # fmt: skip
    return d.compute(c, dtype=dtype)[0]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 40])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_any_number_of_neighbors_is_the_sum_over_them(n, dtype):
    """Whether or not they fill whole vectors."""
    whole = around_one(["Si"] * n, NEIGHBORS[:n], dtype)
    parts = sum(around_one(["Si"], NEIGHBORS[k : k + 1]) for k in range(n))
    tolerance = 1e-13 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(whole, parts, atol=tolerance * np.abs(parts).max())


@pytest.mark.parametrize(("n_max", "l_max"), [(1, 0), (1, 12), (2, 1), (5, 3), (9, 2), (16, 12)])
def test_awkward_sizes_hold_the_same_numbers(n_max, l_max):
    """With polynomials and n_max alone changing nothing: every l is by itself."""
    kept = dict(n_max=n_max, radial_basis="polynomial")
    largest = around_one(["Si"] * 9, NEIGHBORS[:9], l_max=12, **kept).reshape(n_max, -1)
    found = around_one(["Si"] * 9, NEIGHBORS[:9], l_max=l_max, **kept).reshape(n_max, -1)
    np.testing.assert_allclose(
        found, largest[:, : (l_max + 1) ** 2], rtol=1e-9, atol=2e-11 * np.abs(found).max()
    )


def test_species_are_blocks_of_their_own():
    symbols = ["C", "Si", "Si", "C", "Si"]
    both = around_one(symbols, NEIGHBORS[:5], species=("Si", "C")).reshape(2, -1)
    silicon = around_one(["Si"] * 3, NEIGHBORS[[1, 2, 4]])
    carbon = around_one(["Si"] * 2, NEIGHBORS[[0, 3]])
    np.testing.assert_allclose(both[0], silicon, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(both[1], carbon, rtol=1e-12, atol=1e-14)


def test_channels_are_weighted_sums_of_species():
    symbols = ["C", "Si", "Si", "C", "Si"]
    weights = np.array([[1.0, -0.5, 0.0], [0.25, 2.0, 3.0]])
    both = around_one(symbols, NEIGHBORS[:5], species=("Si", "C")).reshape(2, -1)
    channels = around_one(
        symbols, NEIGHBORS[:5], species=("Si", "C"), species_weights=weights
    ).reshape(3, -1)
    np.testing.assert_allclose(channels, weights.T @ both, rtol=1e-12, atol=1e-13)


def test_order_of_the_neighbors_does_not_matter():
    order = RNG.permutation(40)
    np.testing.assert_allclose(
        around_one(["Si"] * 40, NEIGHBORS[order]), around_one(["Si"] * 40, NEIGHBORS), atol=1e-13
    )


def test_gradient_of_one_coefficient_is_its_row_of_the_jacobian():
    d = expansion(5, 3, ["Si", "C"], species_weights=[[1.0, 0.5], [0.0, 2.0]])
    c = tm.Configuration.from_atoms(Atoms("SiC6", positions=NEIGHBORS[:7] * 0.8), RC)
    jacobian = d.jacobian(c).values
    for component in (0, 17, d.width - 1):
        weights = np.zeros((c.n_centers, d.width))
        weights[:, component] = 1
        np.testing.assert_allclose(
            d.pair_gradients(c, weights), jacobian[:, :, component], rtol=1e-11, atol=1e-13
        )
