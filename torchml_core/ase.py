"""The ASE calculator of a portable model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from torchml_core.portable.model import PortableModel
from torchml_core.portable.prediction import volume_of_stress
from torchml_core.verlet import VerletList

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ase import Atoms

    from torchml_core.annotations import PathLike


class TorchMLCalculator(Calculator):
    """Energies, forces and stress of a portable model for ASE.

    Parameters
    ----------
    model : PortableModel or path-like
        The model, or the folder that holds one.
    skin : float
        In Å: neighbor lists are kept until an atom has moved by half of it. Results do not
        depend on it, only speed does.
    n_threads : int, optional
        For lists and descriptors; torch has its own setting.

    Notes
    -----
    ``energy`` and ``free_energy`` (the same) in eV; ``energies`` where the model has them;
    ``forces`` in eV/Å; ``stress`` in eV/Å³, ASE's sign and order, for structures with a periodic
    direction and a cell that has a volume: slabs relax in their plane; ``stresses``, which add up
    to ``stress``, for descriptor models only (see :class:`Prediction`). What a model cannot give
    raises UnsupportedError.
    """

    # a list, as in ASE
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012

    def __init__(
        self,
        model: PortableModel | PathLike,
        *,
        skin: float = 0.5,
        n_threads: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model = model if isinstance(model, PortableModel) else PortableModel.load(model)
        self.n_threads = n_threads
        self.verlet = VerletList(
            self.model.cutoff,
            skin,
            species=self.model.species,
            n_layers=self.model.parameters.n_layers,
            n_threads=n_threads,
        )

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """Return what has changed since the last calculation: exactly, and of model inputs only.

        ASE's own way looks at charges and magnetic moments too, and takes as long as the lists.
        """
        if self.atoms is None:
            return list(all_changes)
        fields = {
            "positions": lambda of: of.positions,
            "numbers": lambda of: of.numbers,
            "cell": lambda of: of.cell.array,
            "pbc": lambda of: of.pbc,
        }
        return [
            name for name, of in fields.items() if not np.array_equal(of(self.atoms), of(atoms))
        ]

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute the properties that are requested, and those that come at no extra cost."""
        if atoms is not None:
            self.atoms = atoms.copy()  # all of ASE's own that is of use: no folder is looked for
        wanted = set(properties)
        derivatives = bool(wanted & {"forces", "stress", "stresses"})
        prediction = self.model.evaluate(
            self.verlet.update(self.atoms),
            forces=derivatives,
            virial=derivatives,
            n_threads=self.n_threads,
        ).fold()
        self.results = {"energy": prediction.energy, "free_energy": prediction.energy}
        if "energies" in wanted:
            self.results["energies"] = prediction.particle_energies
        if derivatives:
            self.results["forces"] = prediction.forces
        has_stress = volume_of_stress(self.atoms.cell, self.atoms.pbc) is not None
        if "stress" in wanted or (derivatives and has_stress):
            self.results["stress"] = prediction.stress
        if "stresses" in wanted:
            self.results["stresses"] = prediction.stresses
