"""The kernel's functions of one point on literal values: a dimer, and a right-angled trimer."""

import numpy as np
import pytest
from ase import Atoms

import torchml_core as tm
from torchml_core.testing import with_arrays

RC = 5.0


def dimer(r):
    return Atoms("Si2", positions=[[0, 0, 0], [0, 0, r]])


def fc(r):
    return 0.5 * (np.cos(np.pi * r / RC) + 1)


def first_value(functions, atoms, **settings):
    d = tm.SymmetryFunctions(["Si"], RC, functions, **settings)
    return d.compute(tm.Configuration.from_atoms(atoms, RC, ["Si"]))[0]


def test_g1_g2_g3_of_a_dimer():
    values = first_value(
        [("g3", [[0.8], [-2.5]]), ("g1", []), ("g2", [[0.3, 0.0], [1.5, 2.5]])], dimer(2.0)
    )
    # exp(-1.2) = 0.30119421191220214, exp(-0.375) = 0.6872892787909722,
    # cos(1.6) = -0.029199522301288815, cos(5) = 0.28366218546322625
    expected = [
        -0.029199522301288815,
        0.28366218546322625,
        1,
        0.30119421191220214,
        0.6872892787909722,
    ]
    np.testing.assert_allclose(values, np.array(expected) * 0.6545084971874737, rtol=1e-14)


def test_g4_g5_of_a_right_angle():
    """Legs of 1.5 and 2: cosθ = 0, the long side 2.5."""
    atoms = Atoms("Si3", positions=[[0, 0, 0], [1.5, 0, 0], [0, 2, 0]])
    rows = [[1, 1, 0.01], [4, -1, 0.05], [3.5, 0.5, 0.0]]
    legs = fc(1.5) * fc(2)
    np.testing.assert_allclose(
        first_value([("g4", rows), ("g5", rows)], atoms),
        [
            np.exp(-0.125) * legs * fc(2.5),
            np.exp(-0.625) / 8 * legs * fc(2.5),
            2**-2.5 * legs * fc(2.5),
            np.exp(-0.0625) * legs,
            np.exp(-0.3125) / 8 * legs,
            2**-2.5 * legs,
        ],
        rtol=1e-14,
    )


@pytest.mark.parametrize("lam", [-1.0, 1.0, 0.3, -2.0, 2.0])
@pytest.mark.parametrize("zeta", [0.5, 1.0, 2.0, 3.0, 3.5, 7.0, 16.0, 33.0, 64.0])
def test_angular_part_at_sixty_degrees(zeta, lam):
    """cosθ = 1/2, all sides 2."""
    atoms = Atoms("Si3", positions=[[0, 0, 0], [2, 0, 0], [1, np.sqrt(3), 0]])
    (value,) = first_value([("g5", [[zeta, lam, 0.0]])], atoms)
    base = 1 + lam / 2
    expected = 2 ** (1 - zeta) * base**zeta * fc(2) ** 2 if base > 0 else 0
    np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_base_not_positive_counts_nothing():
    """At 60° λ = -2 makes 0, λ = -3 something negative: neither values nor slopes."""
    atoms = Atoms("Si3", positions=[[0, 0, 0], [2, 0, 0], [1, np.sqrt(3) - 1e-9, 0]])
    c = tm.Configuration.from_atoms(atoms, RC, ["Si"])
    d = tm.SymmetryFunctions(["Si"], RC, [("g4", [[2.5, -3, 0.0], [1, -3, 0.1], [0.5, -4, 0]])])
    np.testing.assert_array_equal(d.compute(c)[0], 0)
    weights = np.zeros((3, 3))
    weights[0] = 1
    np.testing.assert_array_equal(d.vjp(c, weights), 0)


@pytest.mark.parametrize("angle", [0.0, np.pi])
@pytest.mark.parametrize("type", ["g4", "g5"])
def test_neighbors_in_line_have_finite_derivatives(type, angle):
    """θ = 0 and 180°, where sinθ = 0 and, for one λ, the base is 0 too."""
    far = [2.5 * np.cos(angle), 0, 0]
    c = tm.Configuration.from_atoms(Atoms("Si3", positions=[[0, 0, 0], [1.7, 0, 0], far]), RC)
    rows = [[zeta, lam, 0.02] for zeta in (0.5, 1, 1.5, 2, 16) for lam in (-1, 1)]
    d = tm.SymmetryFunctions(["Si"], RC, [(type, rows)])
    values = d.jacobian(c).values
    assert np.isfinite(values).all()
    np.testing.assert_allclose(values[:, 1:], 0, atol=1e-14)  # across the line: by symmetry


def test_two_neighbors_at_one_place_that_are_nobodys_neighbors():
    """Ghosts j and k at R_jk = 0 (their own rows do not exist): the limit, not NaN."""
    positions = np.array([[0, 0, 0], [1.5, 0, 0], [1.5, 0, 0]], dtype=float)
    c = tm.Configuration(positions, [0, 0, 0], [True, False, False], [0], [0, 2], [1, 2])
    d = tm.SymmetryFunctions(["Si"], RC, [("g4", [[2, 1, 0.1]])])
    apart = with_arrays(c, positions=positions + np.array([[0, 0, 0], [0, 0, 0], [0, 1e-9, 0]]))
    weights = np.ones((1, 1))
    np.testing.assert_allclose(d.compute(c), d.compute(apart), rtol=1e-13)
    np.testing.assert_allclose(d.vjp(c, weights), d.vjp(apart, weights), atol=1e-8)


def test_extreme_parameters_are_finite():
    rows = [[5000.0, 1.0, 0.0], [5000.5, -1.0, 1e5], [1e-3, 1.0, 0.0], [2.0**40, 1.0, 0.0]]
    atoms = Atoms("Si3", positions=[[0, 0, 0], [1.5, 0, 0], [1.5, 0.1, 0]])
    functions = [("g2", [[1e6, 0.0], [0.0, 1e3]]), ("g4", rows)]
    c = tm.Configuration.from_atoms(atoms, RC)
    d = tm.SymmetryFunctions(["Si"], RC, functions)
    for dtype in (np.float64, np.float32):
        assert np.isfinite(d.compute(c, dtype=dtype)).all()
        assert np.isfinite(d.jacobian(c, dtype=dtype).values).all()


VERBS = {
    "compute": lambda d, c, dtype: d.compute(c, dtype=dtype),
    "pair_gradients": lambda d, c, dtype: d.pair_gradients(c, np.ones((3, 1), dtype)),
    "vjp": lambda d, c, dtype: d.vjp(c, np.ones((3, 1), dtype)),
    "vjp, virial": lambda d, c, dtype: d.vjp(c, np.ones((3, 1), dtype), virial=True)[1],
    "jvp": lambda d, c, dtype: d.jvp(c, np.eye(3, dtype=dtype)),
    "jacobian": lambda d, c, dtype: d.jacobian(c, dtype=dtype).values,
}


@pytest.mark.parametrize("verb", VERBS)
def test_overflow_in_float32_is_said(verb):
    d = tm.SymmetryFunctions(["Si"], RC, [("g5", [[100.0, 5.0, 0.0]])])
    c = tm.Configuration.from_atoms(
        Atoms("Si3", positions=[[0, 0, 0], [1.5, 0, 0], [1.5, 0.1, 0]]), RC
    )
    assert np.abs(VERBS[verb](d, c, np.float64)).max() > 1e46
    with pytest.raises(tm.InputError, match="too large for float32"):
        VERBS[verb](d, c, np.float32)
