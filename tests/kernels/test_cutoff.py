"""The cutoff functions, seen through g1 of a dimer, which is fc(R)."""

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm
from torchml_core.descriptors.symmetry_functions import Function

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
    "poly4": [
        (1.0, 0.98041856, -0.08257536),
        (2.5, 0.5, -0.4921875),
        (4.0, 0.01958144, -0.08257536),
    ],
    "exp": [
        (1.0, np.exp(-1 / 24), -np.exp(-1 / 24) * 25 * 5 / 24**2 * 2 / 5),
        (2.5, np.exp(-1 / 3), -np.exp(-1 / 3) * 16 / 9 / 5),
        (4.0, np.exp(-16 / 9), -np.exp(-16 / 9) * (25 / 9) ** 2 * 1.6 / 5),
    ],
}


@pytest.mark.parametrize("kind", LITERALS)
def test_literal_values_and_slopes(kind):
    for r, value, slope in LITERALS[kind]:
        np.testing.assert_allclose(value_and_slope(kind, r), (value, slope), rtol=1e-14)


@pytest.mark.parametrize("kind", LITERALS)
def test_an_inner_part_is_flat(kind):
    """1 up to inner rc, and from there the same function of what is left."""
    inner = 0.25

    def found(r):
        f = Function("g2", ("Si",), RC, 0.0)
        d = tm.ElementSymmetryFunctions({"Si": [f]}, cutoff_function=kind, inner=inner)
        c = tm.Configuration.from_atoms(Atoms("Si2", positions=[[0, 0, 0], [r, 0, 0]]), RC + 1)
        return d.compute(c)[0, 0], d.pair_gradients(c, np.ones((2, 1)))[0, 0]

    for r in (0.4, 1.2):
        assert found(r) == (1, 0)
    for r, value, slope in LITERALS[kind]:
        outer = RC * inner + r * (1 - inner)
        np.testing.assert_allclose(found(outer), (value, slope / (1 - inner)), rtol=1e-12)


@pytest.mark.parametrize(("kind", "at_zero"), [("tanh3", np.tanh(1) ** 3), ("tanh3_normalized", 1)])
@pytest.mark.parametrize("r", [0.5, 2.5, 4.9])
def test_tanh(kind, at_zero, r):
    """tanh³(1 - x): with a slope at r = 0, and 1 there only if normalized."""
    t = np.tanh(1 - r / RC)
    factor = at_zero / np.tanh(1) ** 3
    expected = factor * t**3, factor * -3 * t**2 * (1 - t**2) / RC
    np.testing.assert_allclose(value_and_slope(kind, r), expected, rtol=1e-13)
    assert value_and_slope(kind, RC) == (0, 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_hard_is_one_below_the_cutoff_of_its_function(dtype):
    """And 0 at the cutoff, whatever it is, also for neighbors that other functions have."""
    cutoffs = [2.0, 2.1, 2.3, 2.7, 3.0, 3.1, 4.0]
    functions = [Function("g2", ("Si",), rc, 0.0) for rc in cutoffs]
    d = tm.ElementSymmetryFunctions({"Si": functions}, cutoff_function="hard")
    for r in cutoffs:
        atoms = Atoms("Si2", positions=[[0, 0, 0], [r, 0, 0]])
        c = tm.Configuration.from_atoms(atoms, d.cutoff)
        np.testing.assert_array_equal(
            d.compute(c, dtype=dtype)[0], [float(rc > r) for rc in cutoffs]
        )
        assert (d.vjp(c, np.ones((2, d.width), dtype=dtype)) == 0).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_exp_near_the_cutoff(dtype):
    """Where 1/(1 - x²) is large or infinite."""
    d = tm.SymmetryFunctions(["Si"], RC, [("g1", [])], cutoff_function="exp")
    for below in 10.0 ** -np.arange(1, 16):
        atoms = Atoms("Si2", positions=[[0, 0, 0], [RC * (1 - below), 0, 0]])
        c = tm.Configuration.from_atoms(atoms, RC)
        assert 0 <= d.compute(c, dtype=dtype)[0, 0] <= np.exp(1 - 1 / (2 * below)) * 1.01 + 1e-36
        assert np.abs(d.vjp(c, np.ones((2, 1), dtype=dtype))).max() < 1


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
