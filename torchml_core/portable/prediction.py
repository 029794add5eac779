"""The results of a model for a configuration."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from torchml_core.errors import InputError, UnsupportedError
from torchml_core.voigt import as_voigt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from torchml_core.annotations import Doubles
    from torchml_core.configuration import Configuration
    from torchml_core.portable.extrapolation import Extrapolation, Outside


class Prediction:
    """Energy, forces and virial of a configuration, over its particles or folded onto its atoms.

    Made by :meth:`PortableModel.evaluate`. Reading a quantity that was not requested, or that the
    model does not give, raises an error that says so.

    Attributes
    ----------
    energy : float
        Energy of the contributing particles, in eV (or the model's unit).
    particle_energies : (n_particles,) float64
        The model's energy of each particle, 0 for ghosts; their sum is ``energy``.
        UnsupportedError if the model returns only the total.
    forces : (n_particles, 3) float64
        -dE/dr in eV/Å, also for ghosts: minus the derivative of the energy with respect to the
        position of this particle alone.
    virial : (3, 3) float64
        W = -sum over pairs of r_ij ⊗ dE/dr_ij = sum over particles of r ⊗ f, in eV: minus the
        derivative of the energy with respect to strain.
    particle_virials : (n_particles, 3, 3) float64
        Half of each pair's share of the virial, for each of its two particles; their sum is
        ``virial``. Descriptor models only, UnsupportedError for others.
    stress : (6,) float64
        -W / volume in eV/Å³, symmetrized, in ASE's sign (tension positive) and Voigt order
        xx yy zz yz xz xy. For slabs and wires, too, it follows ASE's own calculators: the volume is
        that of the cell, including the vacuum. Components along non-periodic directions come from
        the forces on free surfaces and vanish once those are relaxed.
        UnsupportedError without a periodic direction, or if the cell has no volume.
    stresses : (n_particles, 6) float64
        ``particle_virials`` in the same units and order; their sum is ``stress``.
    extrapolation : list of Extrapolation or None
        The values of the descriptor that are outside of the training range of the atom's element:
        records ``(atom, component, value, range)``, by atom and component. None if the model does
        not know a range. Outside means as in n2p2: below the smallest value in the training data,
        or above the largest, by more than 2.2e-13 (and 1e-14 of the limit, for rounding).
    n_particles : int
        Length of the per-particle arrays: after :meth:`fold`, the number of atoms.
    """

    def __init__(
        self,
        configuration: Configuration,
        values: Mapping[str, Any],
        outside: Sequence[Outside] | None = None,
        *,
        folded: bool = False,
    ) -> None:
        """Keep ``values``: each a number, an array, a function that makes it, or an error."""
        self._configuration = configuration
        self._values = values
        self._outside = outside
        self._folded = folded
        self.n_particles = configuration.n_centers if folded else configuration.n_particles

    energy = property(lambda self: self._get("energy"))
    particle_energies = property(lambda self: self._get("particle_energies"))
    forces = property(lambda self: self._get("forces"))
    virial = property(lambda self: self._get("virial"))
    particle_virials = property(lambda self: self._get("particle_virials"))

    @property
    def stress(self) -> Doubles:
        return self._as_stress(self.virial)

    @property
    def stresses(self) -> Doubles:
        return self._as_stress(self.particle_virials)

    @property
    def extrapolation(self) -> list[Extrapolation] | None:
        if self._outside is None:
            return None
        records = [own.record(n) for own in self._outside for n in range(len(own))]
        if len(self._outside) > 1:  # of the members of a committee, with different ranges
            records = sorted(set(records), key=lambda record: (record[0], record.component_index))
        return records

    def fold(self) -> Prediction:
        """Return the prediction over atoms: values of ghosts are added to the atoms they image.

        Returns
        -------
        Prediction
            Its arrays have one row per atom, in the order of the contributing particles; energy,
            virial and stress are the same.

        Raises
        ------
        InputError
            If the configuration does not have the parents of its ghosts.
        """
        if self._folded:
            return self
        return Prediction(
            self._configuration, self._values_to_fold(), self._folded_outside(), folded=True
        )

    def __repr__(self):
        over = f"{self.n_particles} {'atoms' if self._folded else 'particles'}"
        return f"<Prediction: energy {self.energy:.6f} over {over}>"

    def _get(self, name):
        value = self._values[name]
        if isinstance(value, Exception):
            raise type(value)(*value.args)  # a copy, with a new traceback
        if callable(value):
            value = self._values[name] = value()
        return value

    def _values_to_fold(self):
        self._configuration.require_parents()
        values = dict(self._values)
        for name in ("particle_energies", "forces", "particle_virials"):
            if not isinstance(values[name], Exception):
                values[name] = functools.partial(self._fold_later, name)
        return values

    def _folded_outside(self):
        if self._outside is None:
            return None
        atoms = np.cumsum(self._configuration.contributing) - 1
        return [own.folded(atoms) for own in self._outside]

    def _fold_later(self, name):
        return self._configuration._fold(self._get(name))

    def _as_stress(self, virial):
        stress = self._stress_or_none(virial)
        if stress is None:
            pbc = self._configuration.pbc
            periodic = "unknown" if pbc is None else np.asarray(pbc).tolist()
            raise UnsupportedError(
                "stress: a cell with a volume and a periodic direction is needed; here pbc is "
                f"{periodic} (the virial needs neither)"
            )
        return stress

    def _stress_or_none(self, virial):
        """None without a periodic direction, or if the cell has no volume."""
        volume = volume_of_stress(self._configuration.cell, self._configuration.pbc)
        if volume is None:
            return None
        return -as_voigt(virial) / volume


def volume_of_stress(cell, pbc):
    """Return the volume that a virial is divided by to give a stress, in Å³; None without stress.

    There is a stress if a direction is periodic and the cell, including its non-periodic vectors,
    has a volume, as in ASE's own calculators.
    """
    if cell is None or pbc is None or True not in pbc.tolist():
        return None
    return _volume(np.asarray(cell, dtype=np.float64).tobytes())


@functools.lru_cache(maxsize=16)  # needed in each step of a simulation
def _volume(cell):
    cell = np.frombuffer(cell).reshape(3, 3)
    volume = abs(np.linalg.det(cell))
    return float(volume) if volume > 1e-12 * np.prod(np.linalg.norm(cell, axis=1)) else None


def not_asked(name):
    """The error for a quantity that was left out."""
    return InputError(f"{name} was not computed: ask for it with evaluate(..., {name}=True)")


def not_given(name, why):
    """The error for a quantity that the model cannot give."""
    return UnsupportedError(f"{name}: {why}")
