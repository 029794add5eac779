"""The cutoff functions, seen through g1 of a dimer, which is fc(R)."""

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm

RC = 5.0


def value_and_slope(kind, r):
    """fc(r) and dfc/dr as the kernel has them."""
    d = tm.SymmetryFunctions(["Si"], RC, [("g1", [])], cutoff_function=kind)
    c = tm.Configuration.from_atoms(Atoms("Si2", positions=[[0, 0, 0], [r, 0, 0]]), RC + 1)
    gradient = d.pair_gradients(c, np.ones((2, 1)))
    return d.compute(c)[0, 0], gradient[0, 0]


# Written out by hand for x = r/rc = 1/5, 1/2, 4/5.
LITERALS = {
    "cos": [
        (1.0, 0.9045084971874737, -np.pi / 10 * 0.5877852522924731),
        (2.5, 0.5, -np.pi / 10),
        (4.0, 0.09549150281252633, -np.pi / 10 * 0.5877852522924731),
    ],
    "poly1": [(1.0, 0.896, -0.192), (2.5, 0.5, -0.3), (4.0, 0.104, -0.192)],
    "poly2": [(1.0, 0.94208, -0.1536), (2.5, 0.5, -0.375), (4.0, 0.05792, -0.1536)],
    "poly3": [(1.0, 0.966656, -0.114688), (2.5, 0.5, -0.4375), (4.0, 0.033344, -0.114688)],
}


@pytest.mark.parametrize("kind", LITERALS)
def test_literal_values_and_slopes(kind):
    for r, value, slope in LITERALS[kind]:
        np.testing.assert_allclose(value_and_slope(kind, r), (value, slope), rtol=1e-14)


@pytest.mark.parametrize("r", [0.5, 2.5, 4.9])
def test_tanh(r):
    """tanh³(1 - x): not 1 at r = 0, and with a slope there."""
    t = np.tanh(1 - r / RC)
    expected = t**3, -3 * t**2 * (1 - t**2) / RC
    np.testing.assert_allclose(value_and_slope("tanh3", r), expected, rtol=1e-13)
    assert value_and_slope("tanh3", RC) == (0, 0)


@pytest.mark.parametrize("kind", LITERALS)
def test_nothing_at_the_cutoff_and_beyond(kind):
    for r in (RC, np.nextafter(RC, 9), RC + 0.5):
        assert value_and_slope(kind, r) == (0, 0)


@pytest.mark.parametrize("kind", LITERALS)
def test_goes_to_nothing_smoothly(kind):
    value, slope = value_and_slope(kind, RC - 1e-6)
    assert 0 <= value < 1e-12
    assert -1e-6 < slope <= 0


@pytest.mark.parametrize("kind", LITERALS)
def test_goes_to_one_smoothly(kind):
    value, slope = value_and_slope(kind, 1e-6)
    assert 1 - 1e-12 < value <= 1
    assert -1e-6 < slope <= 0


def test_unknown_kind():
    with pytest.raises(tm.InputError, match="cutoff_function = 'tanh'"):
        tm.SymmetryFunctions(["Si"], RC, [("g1", [])], cutoff_function="tanh")
