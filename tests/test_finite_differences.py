"""Finite differences of an energy whose derivatives are known."""

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.finite_differences import finite_difference_forces, finite_difference_stress

B = np.array([[1.0, 0.2, -0.3], [0.2, 0.5, 0.7], [-0.3, 0.7, -2.0]])


class Quadratic:
    """Sum of x B x, which depends on the axes: each component of the stress is another."""

    def evaluate(self, atoms, *, forces, virial):
        assert not forces
        assert not virial
        return SimpleNamespace(energy=np.einsum("ia,ab,ib", atoms.positions, B, atoms.positions))


def test_forces_and_stress_of_a_quadratic_energy():
    atoms = rattled_silicon(1)
    before = atoms.copy()
    x = atoms.positions
    forces = finite_difference_forces(Quadratic(), atoms, indices=[2, -1])
    np.testing.assert_allclose(forces, -2 * x[[2, -1]] @ B, rtol=0, atol=1e-7)
    assert finite_difference_forces(Quadratic(), atoms).shape == (8, 3)
    gradient = 2 * x.T @ x @ B / atoms.get_volume()  # with respect to strain
    symmetric = (gradient + gradient.T) / 2
    expected = [symmetric[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
    stress = finite_difference_stress(Quadratic(), atoms)
    np.testing.assert_allclose(stress, expected, rtol=0, atol=1e-9)
    assert atoms == before


@pytest.mark.parametrize("step", [1e-9, 0.2, 0, -1e-4, np.nan, "small", None])
def test_steps_that_are_too_small_or_large(step):
    for function in (finite_difference_forces, finite_difference_stress):
        with pytest.raises(tm.InputError, match="step = .*: a number from 1e-08 to 0.1 is needed"):
            function(Quadratic(), rattled_silicon(1), step=step)


def test_stress_needs_a_periodic_direction():
    with pytest.raises(tm.InputError, match="atoms: a cell with a volume and a periodic"):
        finite_difference_stress(Quadratic(), Atoms("Si"))


@pytest.mark.parametrize("indices", [[8], [-9], [0.5], [[0]]])
def test_atoms_that_are_not_there(indices):
    with pytest.raises(tm.InputError, match="indices"):
        finite_difference_forces(Quadratic(), rattled_silicon(1), indices=indices)
