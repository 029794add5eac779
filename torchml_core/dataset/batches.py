"""Batches of a data set: several structures as one configuration, with what they are labeled with.

Neighbor lists and values of the descriptor are made once and kept; a batch joins those of its
structures, which takes little time beside the kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from torchml_core import checks
from torchml_core.configuration_checks import check_species
from torchml_core.dataset.combined import combined, parts_of
from torchml_core.descriptors.base import Descriptor
from torchml_core.errors import InputError
from torchml_core.torch_device import execution_device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from torchml_core.configuration import Configuration
    from torchml_core.dataset.dataset import Dataset
    from torchml_core.dataset.feature_file import FeatureFile

ATOMS_AT_ONCE = 2000  # whose values are computed in one call


@dataclass(frozen=True, eq=False)
class Batch:
    """Some structures of a data set as one configuration.

    A label that a structure lacks is 0 here, and its mask is False.

    Attributes
    ----------
    made_with : Descriptor
    configuration : Configuration
        Without a cell. Its atoms are those of the first structure, then of the second, ...
    indices : (n_structures,) int64 tensor
        Of the examples in the data set.
    descriptor : (n_atoms, width) tensor
        The values; it does not require a gradient.
    species : (n_atoms,) int64 tensor
        Codes of elements.
    n_atoms : (n_structures,) int64 tensor
    structure : (n_atoms,) int64 tensor
        The structure that each atom belongs to, counted from 0.
    cells : (n_structures, 3, 3) float64 tensor
    volumes : (n_structures,) float64 tensor
        In Å³; 0 where the cell has none. Such structures have no stress.
    energy : (n_structures,) float64 tensor
        In eV, of the whole structure.
    forces : (n_atoms, 3) tensor of the descriptor's dtype
        In eV/Å.
    stress : (n_structures, 6) float64 tensor
        In eV/Å³, xx yy zz yz xz xy, tension positive.
    has_energy, has_forces, has_stress : (n_structures,) bool tensor
        Which labels there are.
    weight : (n_structures,) float64 tensor
    kinds : tuple of str
        Of each structure.
    """

    made_with: Descriptor
    configuration: Configuration
    indices: torch.Tensor
    descriptor: torch.Tensor
    species: torch.Tensor
    n_atoms: torch.Tensor
    structure: torch.Tensor
    cells: torch.Tensor
    volumes: torch.Tensor
    energy: torch.Tensor
    forces: torch.Tensor
    stress: torch.Tensor
    has_energy: torch.Tensor
    has_forces: torch.Tensor
    has_stress: torch.Tensor
    weight: torch.Tensor
    kinds: tuple[str, ...]

    def to(self, device: torch.device | str | int) -> Batch:
        """Return the batch with all tensors on a device, for a network there.

        The configuration stays where it is: descriptors are computed on the processor.
        """
        tensors: dict[str, Any] = {
            field.name: value.to(device)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return replace(self, **tensors)

    @property
    def n_structures(self) -> int:
        return len(self.n_atoms)

    def __repr__(self):
        c = self.configuration
        return f"<Batch: {self.n_structures} structures, {c.n_centers} atoms, {c.n_pairs} pairs>"


class Batches:
    """What :meth:`Dataset.batches` returns: an iterable of :class:`Batch`.

    Each iteration is an epoch: with a seed, structures are put in another random order each time.

    Attributes
    ----------
    data : Dataset
    descriptor : Descriptor
    species : tuple of str
        The order of the species codes.
    """

    def __init__(
        self,
        data: Dataset,
        descriptor: Descriptor,
        size: int,
        *,
        by: str = "structures",
        seed: int | None = None,
        dtype: object = "float64",
        species: Sequence[str] | None = None,
        n_threads: int | None = None,
        features: FeatureFile | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        if not isinstance(descriptor, Descriptor):
            checks.refuse("descriptor", descriptor, "a Descriptor")
        self.data, self.descriptor = data, descriptor
        known = descriptor.species or (data.species if species is None else species)
        self.species = check_species(known) if known else ()  # none in an empty data set
        missing = [s for s in data.species if s not in self.species]
        if missing:
            what = "descriptor: its species" if descriptor.species else "species: they"
            raise InputError(
                f"{what} are {', '.join(self.species)}; {missing[0]}, which the"
                " data have, is needed too"
            )
        self._size = checks.whole("size", size, 1)
        self._by = checks.one_of("by", by, ("structures", "atoms"))
        self._seed = None if seed is None else checks.whole("seed", seed, 0, 2**63 - 1)
        if isinstance(dtype, torch.dtype):
            dtype = str(dtype).removeprefix("torch.")
        self._dtype = checks.real_dtype("dtype", dtype)
        self._device = execution_device(device)
        self._epoch = 0
        self._values: Sequence[np.ndarray] = []  # of each example
        if features is not None:
            features.require(descriptor, self._dtype)
            self._values = _Stored(features, data, self._dtype)
        else:
            for part in parts_of(range(len(data)), self._n_atoms(), ATOMS_AT_ONCE):
                self._values += self._computed(part, n_threads)

    @property
    def dtype(self) -> torch.dtype:
        """Of the values and forces."""
        return getattr(torch, self._dtype.name)

    def __len__(self) -> int:
        """Return the number of batches of the next epoch."""
        return len(self._composition(self._epoch))

    def __iter__(self) -> Iterator[Batch]:
        epoch, self._epoch = self._epoch, self._epoch + 1
        return self.of_epoch(epoch)

    def of_epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch, counted from 0; always the same ones for a seed."""
        for part in self._composition(checks.whole("epoch", epoch, 0)):
            yield self.batch(part)

    def batch(self, indices: list[int]) -> Batch:
        """Return a batch of these examples."""
        examples = [self.data[k] for k in indices]
        lists = [self._configuration(k) for k in indices]
        n_atoms = np.array([c.n_centers for c in lists])
        codes = [c.codes(self.species)[c.centers] for c in lists]
        cells = np.array([e.atoms.cell.array for e in examples]).reshape(-1, 3, 3)
        has = {
            name: torch.tensor([getattr(e, name) is not None for e in examples])
            for name in ("energy", "forces", "stress")
        }
        forces = [
            np.zeros((e.n_atoms, 3)) if e.forces is None else e.forces.astype(self._dtype)
            for e in examples
        ]
        stresses = [np.zeros(6) if e.stress is None else e.stress for e in examples]
        values = np.concatenate([self._values[k] for k in indices])
        batch = Batch(
            made_with=self.descriptor,
            configuration=combined(lists),
            indices=torch.tensor(indices),
            descriptor=torch.from_numpy(values),
            species=torch.from_numpy(np.concatenate(codes).astype(np.int64)),
            n_atoms=torch.from_numpy(n_atoms),
            structure=torch.from_numpy(np.repeat(np.arange(len(lists)), n_atoms)),
            cells=torch.from_numpy(cells),
            volumes=torch.from_numpy(_volumes(cells)),
            energy=torch.tensor([e.energy or 0.0 for e in examples], dtype=torch.float64),
            forces=torch.from_numpy(np.concatenate(forces).astype(self._dtype)),
            stress=torch.from_numpy(np.array(stresses, dtype=np.float64)),
            has_energy=has["energy"],
            has_forces=has["forces"],
            has_stress=has["stress"],
            weight=torch.tensor([e.weight for e in examples], dtype=torch.float64),
            kinds=tuple(e.kind for e in examples),
        )
        return batch if self._device.type == "cpu" else batch.to(self._device)

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values of all atoms (n, width), and their species codes int64 (n,)."""
        codes = [self._configuration(k).species for k in range(len(self.data))]
        sizes = self._n_atoms()
        own = [c[:n].astype(np.int64) for c, n in zip(codes, sizes, strict=True)]
        if not own:
            return np.zeros((0, self.descriptor.width)), np.zeros(0, dtype=np.int64)
        return np.concatenate(list(self._values)), np.concatenate(own)

    def __repr__(self):
        per = f"{self._size} {self._by}"
        return f"<Batches: {len(self)} of {per}, {len(self.data)} structures, {self._dtype}>"

    def _configuration(self, index):
        return self.data.configuration(index, self.descriptor.cutoff, self.species)

    def _n_atoms(self):
        return [example.n_atoms for example in self.data]

    def _computed(self, indices, n_threads):
        """The values of each of these examples."""
        lists = [self._configuration(k) for k in indices]
        values = self.descriptor.compute(combined(lists), n_threads=n_threads)
        values = values.astype(self._dtype)
        return np.split(values, np.cumsum([c.n_centers for c in lists])[:-1])

    def _composition(self, epoch):
        """The indices of each batch."""
        order = np.arange(len(self.data))
        if self._seed is not None:
            order = np.random.default_rng([self._seed, epoch]).permutation(order)
        sizes = self._n_atoms() if self._by == "atoms" else [1] * len(order)
        return parts_of(order.tolist(), sizes, self._size)


class _Stored(Sequence):
    """Values of each example, read from a file of features when they are used."""

    def __init__(self, features, data, dtype):
        self._features, self._dtype = features, dtype
        self._places = [features.place_of(example) for example in data]
        features.require_complete()

    def __len__(self):
        return len(self._places)

    def __getitem__(self, k):
        return self._features.values(self._places[k]).astype(self._dtype, copy=False)


def _volumes(cells):
    """|det| of each cell; 0 where vectors are missing or depend on each other."""
    volumes = np.abs(np.linalg.det(cells))
    flat = volumes <= 1e-12 * np.prod(np.linalg.norm(cells, axis=2), axis=1)
    return np.where(flat, 0.0, volumes)
