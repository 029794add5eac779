"""SOAP: the kit, the independent reference, what the settings mean, environments at the edge."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from descriptors import soap_reference as ref
from descriptors.kit import STRUCTURES, ArgumentsKit, SettingsKit, silicon_carbide
from descriptors.soap_cases import (
    ENVIRONMENTS,
    SOAPS,
    TWO_CHANNELS,
    crowd,
    environment,
    make,
    on_axes,
    reference,
    reference_tangent,
)
from structures import crystals_with_a_shell_at_the_cutoff, rattled_silicon

import torchml_core as tm


def soap(name, **more):
    return make(tm.SOAP, name, **more)


class TestSettings(SettingsKit):
    @pytest.fixture(params=SOAPS)
    def descriptor(self, request):
        return soap(request.param)[0]


class TestArguments(ArgumentsKit):
    @pytest.fixture
    def descriptor(self):
        return soap("unit norm")[0]


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", SOAPS)
def test_equal_to_the_reference(name, structure):
    d, told = soap(name)
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff)
    values, expected = d.compute(c), reference(ref.soap, told, c)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", SOAPS)
def test_tangent_equal_to_the_reference(name, structure):
    d, told = soap(name)
    c = tm.Configuration.from_atoms(STRUCTURES[structure](), d.cutoff)
    direction = np.random.default_rng(2).standard_normal(c.positions.shape)
    expected = reference_tangent(ref.soap, told, c, direction)
    found = d.jvp(c, direction)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize("place", ENVIRONMENTS)
@pytest.mark.parametrize("name", ["gto", "polynomial unsmoothed", "unit norm", "two channels"])
def test_environments_at_the_edge(name, place):
    """Neighbors on axes, at a cell's corner, by the hundred: values and derivatives."""
    d, told = soap(name)
    c = ENVIRONMENTS[place]()
    expected = reference(ref.soap, told, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    direction = np.random.default_rng(3).standard_normal(c.positions.shape)
    tangent = reference_tangent(ref.soap, told, c, direction)
    found = d.jvp(c, direction)
    np.testing.assert_allclose(found, tangent, rtol=0, atol=1e-9 * np.abs(tangent).max())
    weights = np.random.default_rng(4).standard_normal(expected.shape)
    adjoint = (d.vjp(c, weights) * direction).sum()
    np.testing.assert_allclose(adjoint, (weights * tangent).sum(), rtol=1e-8)


@pytest.mark.parametrize(
    ("n_max", "l_max"), [(1, 0), (1, 12), (2, 1), (4, 3), (7, 0), (5, 5), (8, 6), (9, 2)]
)
@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_sizes(basis, n_max, l_max):
    """Kernels take rows several at once: every remainder must be right."""
    d, told = soap(basis, n_max=n_max, l_max=l_max, smoothing_width=0.5)
    c = crowd(9, d.cutoff, seed=n_max)
    expected = reference(ref.soap, told, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    direction = np.random.default_rng(0).standard_normal(c.positions.shape)
    tangent = reference_tangent(ref.soap, told, c, direction)
    found = d.jvp(c, direction)
    np.testing.assert_allclose(found, tangent, rtol=0, atol=1e-9 * np.abs(tangent).max())
    weights = np.random.default_rng(4).standard_normal(expected.shape)
    adjoint = (d.vjp(c, weights) * direction).sum()
    np.testing.assert_allclose(adjoint, (weights * tangent).sum(), rtol=1e-8)
    contracted = np.einsum("pac,pa->c", d.jacobian(c).values, (direction - direction[0])[1:])
    np.testing.assert_allclose(contracted, found[0], rtol=0, atol=1e-11 * np.abs(tangent).max())


@pytest.mark.slow
@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_largest_basis(basis):
    """n_max 16, l_max 12: where roots in double precision have long given up."""
    d, told = soap(basis, n_max=16, l_max=12, cutoff=5.0, smoothing_width=0.5)
    c = crowd(40, d.cutoff)
    expected = reference(ref.soap, told, c)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    direction = np.random.default_rng(0).standard_normal(c.positions.shape)
    tangent = reference_tangent(ref.soap, told, c, direction)
    found = d.jvp(c, direction)
    np.testing.assert_allclose(found, tangent, rtol=0, atol=1e-9 * np.abs(tangent).max())


@pytest.mark.parametrize(("sigma", "cutoff"), [(0.1, 3.0), (1.5, 6.0)])
@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_narrow_and_wide_densities(basis, sigma, cutoff):
    """exp(2ηrR) alone would overflow for the narrow ones."""
    d, told = soap(basis, sigma=sigma, cutoff=cutoff, smoothing_width=0.5)
    c = crowd(12, cutoff)
    expected = reference(ref.soap, told, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize(("n_max", "l_max", "sigma", "cutoff"), [(16, 2, 4.0, 8.0), (16, 12, 2, 5)])
@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_wide_densities_of_many_functions(basis, n_max, l_max, sigma, cutoff):
    """Sharp functions hardly see a wide density: small numbers, which are differences of large."""
    sizes = {"n_max": n_max, "l_max": l_max, "sigma": sigma, "cutoff": cutoff}
    d, told = soap(basis, smoothing_width=0.5, **sizes)
    c = crowd(12, cutoff)
    expected = reference(ref.soap, told, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("basis", ["gto", "polynomial"])
@pytest.mark.parametrize("R", [1e-6, 1e-3, 0.05, 0.3])
def test_neighbors_very_near(basis, R):
    """The expansion about R = 0, where c of l vanishes as R^l."""
    d, told = soap(basis, smoothing_width=0.5)
    c = environment([[R * 0.6, 0, -R * 0.8], [1.0, 1.1, 1.2]])
    expected = reference(ref.soap, told, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    direction = np.random.default_rng(0).standard_normal(c.positions.shape)
    tangent = reference_tangent(ref.soap, told, c, direction)
    found = d.jvp(c, direction)
    np.testing.assert_allclose(found, tangent, rtol=0, atol=1e-9 * np.abs(tangent).max())


def test_four_species():
    species = ("H", "C", "N", "O")
    rng = np.random.default_rng(1)
    positions = rng.uniform(0, 5, (24, 3))
    atoms = Atoms(rng.choice(species, 24), positions=positions, cell=[6, 6.5, 7], pbc=True)
    c = tm.Configuration.from_atoms(atoms, 3.0, species)
    for cross_blocks in ("full", "upper"):
        d, told = soap("gto", species=species, cutoff=3.0, cross_blocks=cross_blocks)
        assert d.width == {"full": (4 * 6 + 6 * 9) * 3, "upper": 10 * 6 * 3}[cross_blocks]
        expected = reference(ref.soap, told, c)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * scale)
        direction = rng.standard_normal(c.positions.shape)
        tangent = reference_tangent(ref.soap, told, c, direction)
        scale = np.abs(tangent).max()
        np.testing.assert_allclose(d.jvp(c, direction), tangent, rtol=0, atol=1e-9 * scale)


# ---- what settings mean


@pytest.mark.parametrize(
    ("n_species", "n_max", "l_max", "full", "upper"),
    [(1, 8, 6, 252, 252), (4, 8, 6, 3696, 2520), (2, 5, 6, 385, 315), (3, 1, 0, 6, 6)],
)
def test_widths(n_species, n_max, l_max, full, upper):
    species = ["H", "C", "N", "O"][:n_species]
    for cross_blocks, width in (("full", full), ("upper", upper)):
        d = tm.SOAP(species, 5.0, n_max, l_max, cross_blocks=cross_blocks)
        assert d.width == width
        assert len(d.labels) == width


def test_upper_blocks_are_a_part_of_the_full_ones():
    (full, _), (upper, told) = soap("gto"), soap("upper")
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.2)
    order = ref.power_spectrum_order(2, told.n_max, "full")
    kept = [k for k, (_, _, n, m) in enumerate(order) if m >= n]
    values = full.compute(c).reshape(c.n_centers, len(order), -1)[:, kept]
    np.testing.assert_allclose(values.reshape(c.n_centers, -1), upper.compute(c), rtol=1e-13)


def test_normalizations_differ_by_the_square_of_the_cutoff():
    ours, theirs = soap("gto")[0], soap("libdescriptor")[0]
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.2)
    np.testing.assert_allclose(theirs.compute(c) * 4.2**2, ours.compute(c), rtol=1e-13)


def test_unit_norm_is_the_norm():
    plain, unit = soap("gto")[0], soap("unit norm")[0]
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.2)
    values = plain.compute(c)
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    np.testing.assert_allclose(unit.compute(c), values / norms, rtol=0, atol=1e-14)
    # and a gradient along the values themselves is none
    along = unit.vjp(c, unit.compute(c))
    scale = np.abs(unit.vjp(c, np.ones_like(values))).max()
    assert np.abs(along).max() < 1e-12 * scale


@pytest.mark.parametrize("name", SOAPS)
def test_isolated_atoms_are_zeros(name):
    """Of unit norm too: 0/0 is not to be had; nor for an atom whose neighbors are too far."""
    d = soap(name)[0]
    for c in (environment([]), environment([[0, 0, 4.3], [5, 0, 0]])):
        n = c.n_pairs
        weights = np.ones((1, d.width))
        for dtype in (np.float64, np.float32):
            np.testing.assert_array_equal(d.compute(c, dtype=dtype), np.zeros((1, d.width)))
            assert not d.vjp(c, weights.astype(dtype)).any()
            assert not d.jvp(c, np.ones((n + 1, 3), dtype)).any()
            assert not d.jacobian(c, dtype=dtype).values.any()


def test_channels_are_weighted_sums_of_densities():
    """All weights 1: a descriptor that is blind to species; the unit matrix: one of species."""
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.2)
    blind = soap("gto", species_weights=[[1.0], [1.0]])[0]
    atoms = silicon_carbide()
    atoms.symbols = "Si" * len(atoms)
    of_one = soap("gto", species=["Si"])[0]
    np.testing.assert_allclose(
        blind.compute(c), of_one.compute(tm.Configuration.from_atoms(atoms, 4.2)), rtol=1e-12
    )
    same = soap("gto", species_weights=np.eye(2))[0]
    scale = np.abs(same.compute(c)).max()
    np.testing.assert_allclose(
        same.compute(c), soap("gto")[0].compute(c), rtol=0, atol=1e-14 * scale
    )


def test_weights_of_zero_hide_a_species():
    d = soap("gto", species_weights=[[1.0], [0.0]])[0]
    c = environment([[1, 0, 1.1], [0.3, 2, 0.4]], ["Si", "C", "Si"])
    alone = environment([[0.3, 2, 0.4]], ["Si", "Si"])
    np.testing.assert_allclose(d.compute(c), d.compute(alone), rtol=1e-13)
    weights = np.ones((1, d.width))
    assert not d.pair_gradients(c, weights)[0].any()


def test_more_channels_than_species():
    d, told = soap("gto", species_weights=np.random.default_rng(0).standard_normal((2, 5)), n_max=2)
    c = on_axes()
    expected = reference(ref.soap, told, c)
    np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * np.abs(expected).max())


def test_weights_belong_to_species_by_name():
    one = soap("gto", species=["Si", "C"], species_weights=TWO_CHANNELS)[0]
    other = soap("gto", species=["C", "Si"], species_weights=TWO_CHANNELS[::-1])[0]
    c = tm.Configuration.from_atoms(silicon_carbide(), 4.2)
    values = one.compute(c)
    scale = np.abs(values).max()
    np.testing.assert_allclose(other.compute(c), values, rtol=0, atol=1e-13 * scale)


def test_the_centre_is_not_in_the_density():
    """Of its neighbor alone: a centre of another species changes nothing."""
    d = soap("gto")[0]
    one = environment([[0, 0, 2.0]], ["Si", "C"])
    other = environment([[0, 0, 2.0]], ["C", "C"])
    np.testing.assert_array_equal(d.compute(one), d.compute(other))


@pytest.mark.parametrize("name", ["gto", "polynomial unsmoothed"])
def test_entries_beyond_the_cutoff_do_not_count(name):
    d = soap(name)[0]
    near = d.compute(environment([[0, 0, 2.0]]))
    for R in (4.2 * (1 + 1e-9), 4.3, 50.0):
        values = d.compute(environment([[0, 0, 2.0], [R, 0, 0]]))
        np.testing.assert_array_equal(values, near)


def test_an_entry_at_the_cutoff_counts_unless_it_is_smoothed_away():
    """As in the lists of configurations, d <= cutoff; libdescriptor counts it too."""
    c = environment([[0, 0, 2.0], [4.2, 0, 0]])
    for name in ("gto", "polynomial unsmoothed"):
        d, told = soap(name)
        expected = reference(ref.soap, told, c)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(d.compute(c), expected, rtol=0, atol=1e-10 * scale)
        change = np.abs(d.compute(c) - d.compute(environment([[0, 0, 2.0]]))).max()
        assert (change > 1e-3 * scale) == (name == "polynomial unsmoothed")


def test_a_shell_at_the_cutoff_counts_for_all_atoms_of_a_crystal():
    """Whatever rounding makes of its distances: all atoms of copper are alike."""
    for atoms, cutoff in crystals_with_a_shell_at_the_cutoff():
        if atoms.symbols[0] == "Cu" and len(atoms) > 1:
            d = tm.SOAP(["Cu"], cutoff, 2, 1, radial_basis="polynomial", smoothing=None)
            c = tm.Configuration.from_atoms(atoms, cutoff + 0.5)
            expected = d.compute(tm.Configuration.from_atoms(atoms, cutoff))
            np.testing.assert_allclose(d.compute(c), expected, rtol=1e-9, atol=1e-12)
            assert np.ptp(expected, axis=0).max() < 1e-9 * expected.max()


def test_float32_of_a_crystal():
    d = tm.SOAP(["Si"], 5.0, 8, 6)
    c = tm.Configuration.from_atoms(rattled_silicon(2), 5.0)
    double, single = d.compute(c), d.compute(c, dtype=np.float32)
    assert np.abs(single - double).max() < 1e-5 * np.abs(double).max()
    weights = np.random.default_rng(0).standard_normal(double.shape)
    double, single = d.vjp(c, weights), d.vjp(c, weights.astype(np.float32))
    assert np.abs(single - double).max() < 1e-5 * np.abs(double).max()


@pytest.mark.parametrize(("n_max", "l_max", "size"), [(1, 0, 9), (3, 2, 3), (8, 6, 2), (8, 6, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_jacobian_too_large(n_max, l_max, size, dtype):
    """Blocks of more than 4 MiB in all are checked while they are stored, to the last number."""
    c = tm.Configuration.from_atoms(rattled_silicon(size), 5.0)
    large = float(np.finfo(dtype).max ** 0.75)
    for weights in ([1, large], [large, 1]):  # the last or the first values alone are infinite
        d = tm.SOAP(["Si"], 5.0, n_max, l_max, species_weights=[weights])
        with pytest.raises(tm.InputError, match="too large for float"):
            d.jacobian(c, dtype=dtype)


# widths that fill lines of the caches, or do not, in either precision
@pytest.mark.parametrize(
    ("n_max", "l_max", "size", "unit_norm"), [(8, 6, 9, False), (5, 4, 13, False), (8, 6, 9, True)]
)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_past_the_caches(n_max, l_max, size, unit_norm, dtype):
    """More than 4 MiB of values are stored past the caches, and checked on the way."""
    d = tm.SOAP(["Si"], 4.0, n_max, l_max, unit_norm=unit_norm)
    cell = bulk("Si", cubic=True)
    values = d.compute(tm.Configuration.from_atoms(cell * (size, size, size), 4.0), dtype=dtype)
    assert values.nbytes > 2**22
    expected = d.compute(tm.Configuration.from_atoms(cell, 4.0), dtype=dtype)
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    expected = np.tile(expected, (size**3, 1))
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * np.abs(expected).max())
    large = float(np.finfo(dtype).max ** 0.75)
    for weights in ([1, large], [large, 1]):  # the last or the first values alone are infinite
        d = tm.SOAP(["Si"], 4.0, n_max, l_max, species_weights=[weights], unit_norm=unit_norm)
        with pytest.raises(tm.InputError, match="too large for float"):
            d.compute(tm.Configuration.from_atoms(cell * (size, size, size), 4.0), dtype=dtype)


@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_unit_norm_of_a_neighbor_that_is_about_to_leave(dtype, gap):
    """Its density fades as gap², the values as gap⁴: norms that small must not become 0/0."""
    d = soap("unit norm")[0]
    c = environment([[0, 0, 4.2 - gap]])
    values = d.compute(c, dtype=dtype)
    assert np.isfinite(values).all()
    norm = np.linalg.norm(values.astype(float))
    assert norm == 0 or norm == pytest.approx(1, rel=1e-5)
    if dtype == np.float64:
        assert norm > 0
    weights = np.ones(values.shape, dtype)
    gradient = d.vjp(c, weights)
    assert np.isfinite(gradient).all()
    assert np.isfinite(d.jacobian(c, dtype=dtype).values).all()
