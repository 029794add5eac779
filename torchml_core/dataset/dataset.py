"""Dataset: the examples of a training set, read from files, and what training needs of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from ase.data import atomic_numbers

from torchml_core import checks, files
from torchml_core.configuration import Configuration
from torchml_core.dataset.example import NAMES, Example
from torchml_core.dataset.feature_file import as_features
from torchml_core.dataset.labels import Labels
from torchml_core.errors import InputError
from torchml_core.structure_files.structures import read_structures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import ase
    import torch

    from torchml_core.annotations import PathLike
    from torchml_core.dataset.batches import Batches
    from torchml_core.dataset.feature_file import FeatureFile
    from torchml_core.descriptors.base import Descriptor


class Dataset:
    """Examples in memory, with their neighbor lists once these have been made.

    Made by :meth:`read` from files or by :meth:`from_atoms`; a sequence of :class:`Example`.

    Parameters
    ----------
    examples : sequence of Example

    Attributes
    ----------
    examples : tuple of Example
    species : tuple of str
        The elements that occur, by atomic number.
    kinds : tuple of str
        The kinds of structures that occur, in alphabetical order.
    """

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = tuple(examples)
        for example in self.examples:
            if not isinstance(example, Example):
                checks.refuse("examples", example, "a sequence of Example")
        symbols = {s for example in self.examples for s in set(example.atoms.symbols)}
        self.species = tuple(sorted(symbols, key=atomic_numbers.__getitem__))
        self.kinds = tuple(sorted({example.kind for example in self.examples}))
        self._configurations: dict[tuple, Configuration] = {}
        self._features: FeatureFile | None = None

    @classmethod
    def read(
        cls,
        paths: PathLike | Sequence[PathLike],
        *,
        energy_key: str | None = None,
        forces_key: str | None = None,
        stress_key: str | None = None,
        kind_key: str | None = None,
        weight_key: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> Dataset:
        """Read files that ASE can read.

        Parameters
        ----------
        paths : path-like or sequence of path-like
            Each with ASE's index after ``@`` if only some of its structures are meant. Compressed
            files (``.gz``, ``.bz2``, ``.xz``) may be given.
        energy_key, forces_key, stress_key : str, optional
            The names of energies (eV), forces (eV/Å) and stresses (eV/Å³, six numbers or a matrix,
            tension positive) in the files. None: what ASE reads as results of a calculator, which
            in extended XYZ are ``energy``, ``forces`` and ``stress``. Labels may be missing.
        kind_key : str, optional
            The name of the kind of structure. None: ``config_type``, or else ``name`` with all its
            numbers replaced by ``#``.
        weight_key : str, optional
            The name of the weight of each structure, 1 for those that have none. None: all are 1.
        weights : dict of str to float, optional
            The weight of each kind, 1 for those that are not named; it is multiplied by that of the
            structure.

        Raises
        ------
        MissingFileError
            If there is no such file.
        InputError
            If a structure cannot be read, or a label is not finite or has the wrong shape (the
            message begins with ``file@index``); if no structure has what a key names, or weights
            name a kind that does not occur.
        """
        labels = Labels(energy_key, forces_key, stress_key, kind_key, weight_key, weights)
        sources = paths if isinstance(paths, (list, tuple)) else [paths]
        examples = []
        for item in read_structures([str(files.as_path("paths", path)) for path in sources]):
            examples.append(_labeled(labels, item.atoms(), item.place))
        data = cls(examples)
        labels.require_used(data.kinds)
        return data

    @classmethod
    def from_atoms(
        cls,
        structures: Iterable[ase.Atoms],
        *,
        energy_key: str | None = None,
        forces_key: str | None = None,
        stress_key: str | None = None,
        kind_key: str | None = None,
        weight_key: str | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> Dataset:
        """Take ase.Atoms objects, with the results of their calculators as labels.

        Parameters
        ----------
        structures : iterable of ase.Atoms
        energy_key, forces_key, stress_key, kind_key, weight_key, weights : optional
            As for :meth:`read`.
        """
        labels = Labels(energy_key, forces_key, stress_key, kind_key, weight_key, weights)
        data = cls(
            [_labeled(labels, atoms, f"structures[{k}]") for k, atoms in enumerate(structures)]
        )
        labels.require_used(data.kinds)
        return data

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.examples[index]

    def __getstate__(self):
        return self.__dict__ | {"_configurations": {}}  # large, and quickly made again

    def __repr__(self):
        n_atoms = sum(example.n_atoms for example in self.examples)
        labels = ", ".join(f"{self.count(name)} {name}" for name in NAMES if self.count(name))
        return (
            f"<Dataset: {len(self)} structures, {n_atoms} atoms of {' '.join(self.species)};"
            f" {labels or 'no labels'}>"
        )

    def count(self, name: str) -> int:
        """Return how many examples have a label, "energy", "forces" or "stress"."""
        checks.one_of("name", name, NAMES)
        return sum(getattr(example, name) is not None for example in self.examples)

    def select(self, indices: Iterable[int]) -> Dataset:
        """Return a Dataset of some of the examples; neighbor lists are shared."""
        chosen = Dataset([self.examples[k] for k in indices])
        chosen._configurations, chosen._features = self._configurations, self._features
        return chosen

    def with_features(self, features: FeatureFile | PathLike | None) -> Dataset:
        """Return a Dataset of the same examples, whose batches use stored values.

        So everything that makes batches uses them, such as :class:`~torchml_core.training.Trainer`;
        its descriptor must be that of the file.

        Parameters
        ----------
        features : FeatureFile or path-like, or None
            None: values are computed.

        Raises
        ------
        InputError
            If the file does not have all of the examples.
        """
        found = None if features is None else as_features(features)
        if found is not None:
            for example in self.examples:
                found.place_of(example)
        made = self.select(range(len(self)))
        made._features = found
        return made

    def split(self, fraction: float, *, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Split into a large and a small part.

        Parameters
        ----------
        fraction : float
            Of the examples of each kind that go into the second part, at least 0 and less than 1;
            the number is rounded, and at least one example of each kind stays in the first part.
        seed : int
            Of the random choice.

        Returns
        -------
        (Dataset, Dataset)
        """
        fraction = checks.number("fraction", fraction)
        if not 0 <= fraction < 1:
            checks.refuse("fraction", fraction, "at least 0 and less than 1")
        random = np.random.default_rng(checks.whole("seed", seed, 0, 2**63 - 1))
        second: list[int] = []
        for kind in self.kinds:
            own = [k for k, example in enumerate(self.examples) if example.kind == kind]
            n = min(round(fraction * len(own)), len(own) - 1)
            second += random.permutation(own)[:n].tolist()
        rest = sorted(set(range(len(self))) - set(second))
        return self.select(rest), self.select(sorted(second))

    def configuration(
        self, index: int, cutoff: float, species: Sequence[str] | None = None
    ) -> Configuration:
        """Return the configuration of an example; it is made once for each cutoff.

        Parameters
        ----------
        index : int
        cutoff : float
            In Å.
        species : sequence of str, optional
            The order of the species codes; by default the order of ``species`` of the data set.
        """
        example = self.examples[index]
        species = self.species if species is None else tuple(species)
        key = example, float(cutoff), species
        made = self._configurations.get(key)
        if made is None:
            try:
                made = Configuration.from_atoms(example.atoms, cutoff, species)
            except InputError as error:
                raise InputError(f"{example.label}: {error}") from None
            self._configurations[key] = made
        return made

    def batches(
        self,
        descriptor: Descriptor,
        size: int,
        *,
        by: str = "structures",
        seed: int | None = None,
        dtype: object = "float64",
        species: Sequence[str] | None = None,
        n_threads: int | None = None,
        features: FeatureFile | PathLike | None = None,
        device: torch.device | str = "cpu",
    ) -> Batches:
        """Return batches of examples, each of them one configuration with the descriptor's values.

        Neighbor lists and values are computed here, once. Their memory, that of the lists (4 bytes
        a pair) and of n_atoms × width numbers, is all that is kept.

        Parameters
        ----------
        descriptor : Descriptor
            Its species must include those of the data.
        size : int
            How many structures, or atoms, are in a batch; the last one has the rest. A structure
            with more atoms is a batch of its own.
        by : {"structures", "atoms"}
            What size counts.
        seed : int, optional
            Of the random order, another one in each epoch. None: the order of the data.
        dtype : {"float64", "float32"} or torch.dtype
            Of the values and forces.
        species : sequence of str, optional
            The order of the species codes, where the descriptor does not know species (Xi). None:
            that of the data.
        n_threads : int, optional
            For the values.
        features : FeatureFile or path-like, optional
            A file with the values of this descriptor for these structures (:func:`featurize`),
            which are then read when a batch is made, and not kept in memory. None: that of
            :meth:`with_features`, if there is one.
        device : torch.device or str
            That the tensors of a batch are on, as the network's parameters; see :meth:`Batch.to`.

        Returns
        -------
        Batches
            An iterable of :class:`~torchml_core.dataset.batches.Batch`. Each iteration is an epoch.

        Raises
        ------
        InputError
            If an argument cannot be used; if features are of another descriptor, lack a structure,
            or are less precise than dtype.

        Examples
        --------
        >>> import torchml_core as tm
        >>> data = tm.dataset.Dataset.read("examples/structures/silicon.extxyz")
        >>> d = tm.SymmetryFunctions(["Si"], 4.0, [("g2", [[0.1, 0.0], [1.0, 2.0]])])
        >>> for batch in data.batches(d, 16, seed=0):
        ...     print(batch.n_structures, batch.descriptor.shape[1])
        1 2
        """
        from torchml_core.dataset.batches import Batches  # imports torch

        return Batches(
            self,
            descriptor,
            size,
            by=by,
            seed=seed,
            dtype=dtype,
            species=species,
            n_threads=n_threads,
            features=self._features if features is None else as_features(features),
            device=device,
        )

    def reference_energies(self, isolated: Mapping[str, float] | None = None) -> dict[str, float]:
        """Return an energy for each element, which models add to what they learn.

        Parameters
        ----------
        isolated : dict of str to float, optional
            Energies of isolated atoms, in eV, which are then returned for the elements that occur.
            None: the energy of each element is that of its single atoms in the data without a
            periodic direction, if all elements have one; else the least-squares fit of all energies
            by composition, of smallest norm where compositions do not determine it.

        Raises
        ------
        InputError
            If isolated lacks an element.
        """
        if isolated is not None:
            missing = [s for s in self.species if s not in isolated]
            if missing:
                raise InputError(f"isolated has no energy of {missing[0]}; one is needed")
            return {s: checks.number(f"isolated[{s!r}]", isolated[s]) for s in self.species}
        atoms = {
            example.atoms.get_chemical_symbols()[0]: example.energy
            for example in self.examples
            if example.n_atoms == 1 and not example.atoms.pbc.any() and example.energy is not None
        }
        if self.species and set(atoms) == set(self.species):
            return {s: float(atoms[s]) for s in self.species}
        return self._fitted_energies()

    def _fitted_energies(self):
        known = [example for example in self.examples if example.energy is not None]
        if not known:
            return dict.fromkeys(self.species, 0.0)
        counts = np.array(
            [[e.atoms.symbols.count(s) / e.n_atoms for s in self.species] for e in known]
        )
        energies = np.array([e.energy / e.n_atoms for e in known])
        # singular values of compositions that differ by rounding alone are 0
        fitted = np.linalg.lstsq(counts, energies, rcond=1e-8)[0]
        return dict(zip(self.species, fitted.tolist(), strict=True))


def _labeled(labels, atoms, place):
    try:
        return labels.of(atoms, place)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
