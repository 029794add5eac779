"""The ASE calculator of a portable model or a committee."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes

from torchml_core import checks
from torchml_core._arrays import are_same
from torchml_core.portable.committee import Committee
from torchml_core.portable.extrapolation import ExtrapolationMonitor
from torchml_core.portable.model import PortableModel
from torchml_core.verlet import VerletList

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Sequence

    from torchml_core.annotations import PathLike


DEVIATIONS = ("energy_std", "forces_std", "stress_std")


class _Seen(NamedTuple):
    """What a model sees of Atoms. (A copy of all of them takes as long as a small network.)"""

    positions: Any
    numbers: Any
    cell: Any
    pbc: Any

    @classmethod
    def of(cls, atoms):
        """Copies, which do not change with the Atoms."""
        return cls(*(array.copy() for array in cls._arrays(atoms)))

    @staticmethod
    def _arrays(atoms):
        return atoms.positions, atoms.numbers, atoms.cell.array, atoms.pbc

    def atoms(self):
        return Atoms(**self._asdict())

    def changes(self, atoms):
        """The names of what is not the same now."""
        both = zip(self._fields, self, self._arrays(atoms), strict=True)
        return [name for name, before, now in both if not are_same(before, now)]


class TorchMLCalculator(Calculator):
    """Energies, forces and stress of a portable model or a committee for ASE.

    Parameters
    ----------
    model : PortableModel, Committee or path-like
        The model, or the folder that holds one.
    skin : float
        In Å: neighbor lists are kept until an atom has moved by half of it. Results do not
        depend on it, only speed does.
    n_threads : int, optional
        For lists and descriptors; torch has its own setting.
    deviations : bool
        For a committee: whether ``forces_std`` and ``stress_std`` are computed whenever forces are,
        which takes one chain rule for each member. False: only when they are requested,
        ``calculator.get_property("forces_std", atoms)``.
    extrapolation : {"warn", "ignore", "raise"}
        What is done if a value of the descriptor is outside of the training range, where the model
        knows it. "warn": an ExtrapolationWarning for the first value of each component of each
        element. "raise": an ExtrapolationError for the first value.

    Attributes
    ----------
    atoms : ase.Atoms or None
        What the results are of: positions, numbers, cell and boundary conditions, which is all that
        a model sees. A new object each time.
    extrapolations : collections.Counter
        How many values were outside in all structures, by ``(element, component)``.

    Notes
    -----
    ``energy`` and ``free_energy`` (the same) in eV; ``energies`` where the model has them;
    ``forces`` in eV/Å; ``stress`` in eV/Å³, ASE's sign and order, for structures with a periodic
    direction and a cell that has a volume: slabs relax in their plane; ``stresses``, which add up
    to ``stress``, for descriptor models only (see :class:`Prediction`). What a model cannot give
    raises UnsupportedError.

    For a committee these are means, and ``results`` has standard deviations in the same units:
    ``energy_std``; with forces also ``forces_std``, (n, 3) of each component; with the stress also
    ``stress_std``. See :class:`CommitteePrediction`.
    """

    # a list, as in ASE
    implemented_properties = ["energy", "free_energy", "energies", "forces", "stress", "stresses"]  # noqa: RUF012

    def __init__(
        self,
        model: PortableModel | Committee | PathLike,
        *,
        skin: float = 0.5,
        n_threads: int | None = None,
        deviations: bool = True,
        extrapolation: str = "warn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(model, (PortableModel, Committee)):
            model = PortableModel.load(model)
        self.model: PortableModel | Committee = model
        self.n_threads = n_threads
        self.deviations = checks.flag("deviations", deviations)
        self._monitor = ExtrapolationMonitor(extrapolation)
        if isinstance(model, Committee):
            self.implemented_properties = [*type(self).implemented_properties, *DEVIATIONS]
        self.verlet = VerletList(
            self.model.cutoff,
            skin,
            species=self.model.species,
            n_layers=self.model.n_layers,
            n_threads=n_threads,
        )

    @property
    def extrapolations(self) -> Counter[tuple[str, str]]:
        return self._monitor.counts

    @property
    def atoms(self) -> Atoms | None:  # type: ignore[override]  # an attribute in ASE
        return None if self._seen is None else self._seen.atoms()

    @atoms.setter
    def atoms(self, atoms: Atoms | None) -> None:
        self._seen = None if atoms is None else _Seen.of(atoms)

    def check_state(self, atoms: Atoms, tol: float = 0.0) -> list[str]:
        """Return what has changed since the last calculation: exactly, and of model inputs only.

        ASE's own way looks at charges and magnetic moments too, and takes as long as the lists.
        """
        if self._seen is None:
            return list(all_changes)
        return self._seen.changes(atoms)

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute the properties that are requested, and those that come at no extra cost."""
        if atoms is None:
            atoms = self.atoms
        else:
            self.atoms = atoms
        wanted = set(properties)
        derivatives = bool(wanted & {"forces", "stress", "stresses", "forces_std", "stress_std"})
        prediction = self.model.evaluate(
            self.verlet.update(atoms),  # type: ignore[arg-type]  # None is refused there
            forces=derivatives,
            virial=derivatives,
            n_threads=self.n_threads,
        ).fold()
        once = system_changes or not self.results or self._monitor.action == "raise"
        if prediction._outside and once:  # for a structure, whatever is asked for later
            self._monitor.warn(prediction)
        self.results = {"energy": prediction.energy, "free_energy": prediction.energy}
        if "energies" in wanted:
            self.results["energies"] = prediction.particle_energies
        if derivatives:
            self.results["forces"] = prediction.forces
        stress = prediction._stress_or_none(prediction.virial) if derivatives else None
        if stress is not None:
            self.results["stress"] = stress
        elif "stress" in wanted:
            self.results["stress"] = prediction.stress  # which says why there is none
        if "stresses" in wanted:
            self.results["stresses"] = prediction.stresses
        if isinstance(self.model, Committee):
            self._add_deviations(prediction, wanted)

    def _add_deviations(self, prediction, wanted):
        self.results["energy_std"] = prediction.energy_std
        for name in ("forces", "stress"):
            if f"{name}_std" in wanted or (self.deviations and name in self.results):
                self.results[f"{name}_std"] = getattr(prediction, f"{name}_std")
