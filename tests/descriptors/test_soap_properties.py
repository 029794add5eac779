"""What holds for every environment and every setting (hypothesis), and at the cutoff."""

import functools
import itertools

import numpy as np
import pytest
from descriptors.soap_cases import environment
from hypothesis import assume, given
from hypothesis import strategies as st
from quick import examples

import torchml_core as tm

CUTOFF = 4.0


@functools.cache
def descriptor(basis, smoothing="cosine", **more):
    return tm.SOAP(["Si", "C"], CUTOFF, 4, 3, radial_basis=basis, smoothing=smoothing, **more)


BASES = st.sampled_from(["gto", "polynomial"])
COORDINATE = st.floats(-CUTOFF, CUTOFF, allow_subnormal=False)
NEIGHBOR = st.tuples(st.tuples(COORDINATE, COORDINATE, COORDINATE), st.sampled_from(["Si", "C"]))


@st.composite
def neighborhoods(draw, min_size=1):
    """(positions, symbols) of neighbors, none nearer to the centre than 0.3."""
    drawn = draw(st.lists(NEIGHBOR, min_size=min_size, max_size=7))
    positions = np.array([v for v, _ in drawn], dtype=float)
    distances = np.linalg.norm(positions, axis=1)
    assume(np.all(distances > 0.3))
    between = np.linalg.norm(positions[:, None] - positions, axis=-1)
    assume(np.all(between[np.triu_indices(len(positions), 1)] > 1e-3))
    return positions, [s for _, s in drawn]


def place(positions, symbols):
    return environment(positions, ["Si", *symbols])


def rotation(seed, sign):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))[0]
    return q * np.sign(np.linalg.det(q)) * sign


def assert_close(found, expected, tolerance, scale=None):
    scale = np.abs(expected).max() if scale is None else scale
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale + 1e-300)


def away_from_the_cutoff(positions):
    """Turning a vector may move it over the cutoff by a rounding error."""
    return np.all(np.abs(np.linalg.norm(positions, axis=1) - CUTOFF) > 1e-9)


@examples(60)
@given(neighborhoods(), BASES, st.integers(0, 1000), st.sampled_from([1, -1]))
def test_rotations_and_reflections_change_no_value(neighbors, basis, seed, sign):
    positions, symbols = neighbors
    assume(away_from_the_cutoff(positions))
    d, turn = descriptor(basis), rotation(seed, sign)
    before, after = place(positions, symbols), place(positions @ turn.T, symbols)
    values = d.compute(before)
    assert_close(d.compute(after), values, 1e-10)
    weights = np.random.default_rng(seed).standard_normal(values.shape)
    gradient = d.pair_gradients(before, weights)
    assert_close(d.pair_gradients(after, weights), gradient @ turn.T, 1e-9)


@examples(40)
@given(neighborhoods(), BASES, st.randoms(use_true_random=False))
def test_the_order_of_neighbors_does_not_matter(neighbors, basis, random):
    positions, symbols = neighbors
    order = list(range(len(symbols)))
    random.shuffle(order)
    d = descriptor(basis)
    values = d.compute(place(positions, symbols))
    shuffled = d.compute(place(positions[order], [symbols[k] for k in order]))
    assert_close(shuffled, values, 1e-12)


def gram(values):
    """(l_max + 1, 8, 8): p of one l, by species and n on either side."""
    n, l_max = 4, 3
    matrix = np.zeros((l_max + 1, 2, n, 2, n))
    k = 0
    for q, p in ((0, 0), (0, 1), (1, 1)):
        for a in range(n):
            for b in range(a if q == p else 0, n):
                matrix[:, q, a, p, b] = matrix[:, p, b, q, a] = values[k : k + l_max + 1]
                k += l_max + 1
    assert k == len(values)
    return matrix.reshape(l_max + 1, 2 * n, 2 * n)


@examples(40)
@given(neighborhoods(), BASES)
def test_values_are_those_of_a_gram_matrix(neighbors, basis):
    """Positive semidefinite, of rank 2 l + 1 at most."""
    values = descriptor(basis).compute(place(*neighbors))[0]
    eigenvalues = np.linalg.eigvalsh(gram(values))
    assert eigenvalues.min() >= -1e-12 * np.abs(values).max()
    for l, own in enumerate(eigenvalues):
        assert np.abs(own[: max(0, 8 - (2 * l + 1))]).max(initial=0) <= 1e-12 * np.abs(values).max()


@examples(40)
@given(neighborhoods(), st.floats(0.2, 5.0))
def test_lengths_have_no_unit_in_the_polynomial_space(neighbors, scale):
    """Lengths times s: what does not depend on the choice of g_n grows as s³ (libdescriptor: s).

    The g_n themselves are mixed: S^(-1/2) is not that of powers of another unit.
    """
    positions, symbols = neighbors
    assume(away_from_the_cutoff(positions))
    for normalization, power in (("dscribe", 3), ("libdescriptor", 1)):
        one = descriptor("polynomial", normalization=normalization)
        expected = np.linalg.eigvalsh(gram(one.compute(place(positions, symbols))[0]))
        other = scaled(normalization, scale).compute(place(positions * scale, symbols))[0]
        found = np.linalg.eigvalsh(gram(other))
        assert_close(found, expected * scale**power, 1e-9)


def scaled(normalization, scale):
    return tm.SOAP(
        ["Si", "C"],
        CUTOFF * scale,
        4,
        3,
        radial_basis="polynomial",
        sigma=0.5 * scale,
        smoothing_width=0.5 * scale,
        normalization=normalization,
    )


@examples(60)
@given(neighborhoods(), BASES, st.integers(0, 1000))
def test_gradients_are_differences(neighbors, basis, seed):
    positions, symbols = neighbors
    distances = np.linalg.norm(positions, axis=1)
    kinks = np.abs(distances[:, None] - [CUTOFF, CUTOFF - 0.5])
    assume(np.all(kinks > 2e-3))  # second derivatives jump there
    d = descriptor(basis)
    rng = np.random.default_rng(seed)
    weights = rng.standard_normal((1, d.width))
    direction = rng.standard_normal(positions.shape)
    direction /= np.linalg.norm(direction)

    def energy(step):
        return np.sum(weights * d.compute(place(positions + step * direction, symbols)))

    h = 3e-4
    difference = (8 * (energy(h) - energy(-h)) - energy(2 * h) + energy(-2 * h)) / (12 * h)
    gradient = d.pair_gradients(place(positions, symbols), weights)
    scale = max(np.abs(gradient).max(), abs(energy(0)))
    assert abs((gradient * direction).sum() - difference) <= 1e-7 * scale + 1e-12


@examples(40)
@given(neighborhoods(), BASES, st.floats(0.0, 100.0))
def test_what_is_beyond_the_cutoff_does_not_exist(neighbors, basis, further):
    positions, symbols = neighbors
    d = descriptor(basis, "cosine")
    far = np.vstack([positions, [0.0, -(CUTOFF + further), 0.0]])
    values = d.compute(place(positions, symbols))
    np.testing.assert_array_equal(d.compute(place(far, [*symbols, "C"])), values)


# ---- at the cutoff


def dimer_and_witness(R):
    """A neighbor at distance R, and one that stays: cross terms are seen."""
    return environment([[0.6 * R, 0, 0.8 * R], [0.3, 1.9, 0.2]], ["Si", "C", "Si"])


def values_and_slope(d, R):
    """Values, and their derivative by R."""
    c = dimer_and_witness(R)
    return d.compute(c)[0], np.array([0.6, 0, 0.8]) @ d.jacobian(c).values[0]


EDGES = {"cutoff": CUTOFF, "where smoothing begins": CUTOFF - 0.5}


@pytest.mark.parametrize("unit_norm", [False, True])
@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_values_and_gradients_are_continuous(basis, edge, unit_norm):
    """Steps across an edge shrink in proportion to their size: no jump is left in the limit."""
    d, R = descriptor(basis, unit_norm=unit_norm), EDGES[edge]
    scale_value = np.abs(d.compute(dimer_and_witness(2.0))).max()
    scale_slope = np.abs(values_and_slope(d, R - 0.25)[1]).max()
    for h in (1e-3, 1e-5, 1e-7):
        (value_in, slope_in), (value_out, slope_out) = (
            values_and_slope(d, R + s * h) for s in (-1, 1)
        )
        assert np.abs(value_out - value_in).max() <= 4 * h * (scale_value + scale_slope)
        # the second derivative is bounded: π²/2w² of the density at most, 20 here, on either side
        assert np.abs(slope_out - slope_in).max() <= 100 * h * (scale_value + scale_slope)


@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_smoothed_values_and_gradients_vanish_at_the_cutoff(basis):
    d = descriptor(basis)
    without = d.compute(environment([[0.3, 1.9, 0.2]], ["Si", "Si"]))[0]
    size = np.abs(without).max()
    value, slope = values_and_slope(d, CUTOFF - 1e-9)
    assert np.abs(value - without).max() <= 1e-14 * size
    assert 0 < np.abs(slope).max() <= 1e-7 * size


def test_without_smoothing_there_is_a_jump():
    """What libdescriptor does: the test above can fail, and this is where."""
    for basis in ("gto", "polynomial"):
        d = descriptor(basis, None)
        inside, _ = values_and_slope(d, CUTOFF - 1e-9)
        outside, _ = values_and_slope(d, CUTOFF + 1e-9)
        assert np.abs(inside - outside).max() > 1e-3 * np.abs(outside).max()


@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_the_work_of_gradients_is_the_difference_of_values(basis):
    """Along a path that comes in from beyond the cutoff to 2 Å: what molecular dynamics needs.

    By Gauss-Legendre between the edges, where all derivatives exist.
    """
    d = descriptor(basis)
    x, w = np.polynomial.legendre.leggauss(40)
    edges = [CUTOFF + 0.3, CUTOFF, CUTOFF - 0.5, 3.0, 2.5, 2.0]
    work = np.zeros(d.width)
    for a, b in itertools.pairwise(edges):
        for point, weight in zip((a + b) / 2 + (b - a) / 2 * x, (b - a) / 2 * w, strict=True):
            work += weight * values_and_slope(d, point)[1]
    change = values_and_slope(d, edges[-1])[0] - values_and_slope(d, edges[0])[0]
    assert_close(work, change, 1e-10)


@pytest.mark.parametrize("basis", ["gto", "polynomial"])
def test_unsmoothed_and_smoothed_agree_where_smoothing_has_not_begun(basis):
    plain, smooth = descriptor(basis, None), descriptor(basis)
    for R in (2.2, 3.1, 3.499):
        for one, other in zip(values_and_slope(plain, R), values_and_slope(smooth, R), strict=True):
            assert_close(one, other, 1e-9)
