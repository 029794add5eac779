"""Forces and stress of a model from differences of its energies: the check that needs no theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core.errors import InputError
from torchml_core.portable.prediction import volume_of_stress
from torchml_core.voigt import VOIGT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ase import Atoms
    from numpy.typing import ArrayLike

    from torchml_core.annotations import Doubles


# Central differences of fourth order: f'(0) = sum of weight × f(step × point) / step.
POINTS = np.array([-2, -1, 1, 2])
WEIGHTS = np.array([1, -8, 8, -1]) / 12
# Of positions in Å, or of strain: others are lost in rounding errors, or are no small changes.
SMALLEST_STEP, LARGEST_STEP = 1e-8, 0.1


def finite_difference_forces(
    model: Any, atoms: Atoms, *, step: float = 2e-4, indices: Sequence[int] | None = None
) -> Doubles:
    """Forces on atoms by central differences of the energy, fourth order.

    Parameters
    ----------
    model : PortableModel
        Or anything with ``evaluate(atoms, forces=False, virial=False).energy``.
    atoms : ase.Atoms
        Left as it is.
    step : float
        In Å. Small, so that hardly a pair crosses a cutoff, where second derivatives may jump.
    indices : sequence of int, optional
        Atoms to do; None: all.

    Returns
    -------
    (n_indices, 3) float64
        In eV/Å, to be compared with ``model.evaluate(atoms).fold().forces[indices]``.
    """
    step = _check_arguments(model, atoms, step)
    n_atoms = len(atoms)
    chosen = np.arange(n_atoms) if indices is None else indices
    chosen = checks.integers("indices", chosen, least=-n_atoms, most=n_atoms - 1)
    forces = np.empty((len(chosen), 3))
    for row, atom in enumerate(chosen):
        for axis in range(3):

            def energy(displacement, atom=atom, axis=axis):
                moved = atoms.copy()
                moved.positions[atom, axis] += displacement
                return _energy(model, moved)

            forces[row, axis] = -_derivative(energy, step)
    return forces


def finite_difference_stress(model: Any, atoms: Atoms, *, step: float = 1e-4) -> Doubles:
    """Stress by central differences of the energy with respect to strain, fourth order.

    Parameters
    ----------
    model : PortableModel
        Or anything with ``evaluate(atoms, forces=False, virial=False).energy``.
    atoms : ase.Atoms
        Left as it is.
    step : float
        Strain, without unit.

    Returns
    -------
    (6,) float64
        ``(1/V) dE/dstrain`` in eV/Å³, ASE's sign and order xx yy zz yz xz xy. A shear is half
        in either off-diagonal element.

    Raises
    ------
    InputError
        If no direction is periodic, or the cell has no volume.
    """
    step = _check_arguments(model, atoms, step)
    volume = volume_of_stress(atoms.cell, atoms.pbc)
    if volume is None:
        raise InputError(
            f"atoms: a cell with a volume and a periodic direction is needed, but pbc = {atoms.pbc}"
        )
    stress = np.empty(6)
    for component, (a, b) in enumerate(zip(*VOIGT, strict=True)):

        def energy(size, a=a, b=b):
            strain = np.zeros((3, 3))
            strain[a, b] += size / 2
            strain[b, a] += size / 2
            return _energy(model, strained(atoms, strain))

        stress[component] = _derivative(energy, step) / volume
    return stress


def _check_arguments(model: Any, atoms: Atoms, step: float) -> float:
    """Return the step; InputError for what cannot be used."""
    if not callable(getattr(model, "evaluate", None)):
        checks.refuse("model", model, "a PortableModel, or what evaluates structures as it does,")
    if not hasattr(atoms, "get_positions"):
        checks.refuse("atoms", atoms, "an ase.Atoms")
    requirement = f"a number from {SMALLEST_STEP:g} to {LARGEST_STEP:g}"
    step = checks.number("step", step, requirement)
    if not SMALLEST_STEP <= step <= LARGEST_STEP:
        checks.refuse("step", step, requirement)
    return step


def strained(atoms: Atoms, strain: ArrayLike) -> Atoms:
    """Return a copy of atoms with cell and positions deformed by ``1 + strain``."""
    deformed, deformation = atoms.copy(), np.eye(3) + np.asarray(strain)
    deformed.set_cell(atoms.cell @ deformation.T, scale_atoms=False)
    deformed.positions = atoms.positions @ deformation.T
    return deformed


def _energy(model, atoms):
    return model.evaluate(atoms, forces=False, virial=False).energy


def _derivative(function, step):
    return (
        sum(weight * function(step * point) for weight, point in zip(WEIGHTS, POINTS, strict=True))
        / step
    )
