"""Configuration: particles, ghosts and neighbor lists, from a structure or from another driver."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks
from torchml_core._folding import atoms_of, fold_rows
from torchml_core._moving import Mover
from torchml_core._one_step import plain_particles
from torchml_core.configuration_checks import (
    check_all_rows,
    check_cell,
    check_centers,
    check_lists,
    check_parents,
    check_shifts,
    check_species,
)
from torchml_core.errors import InputError
from torchml_core.graph import MOST_LAYERS, graph_of_checked
from torchml_core.pairs import most_particles, search_pairs
from torchml_core.structure import as_structure, kinds_of
from torchml_core.torch_threads import settle_torch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import torch
    from numpy.typing import ArrayLike

    from torchml_core.annotations import Array, StructureLike


# Arguments that Configuration.unchecked does not require.
_NOT_KNOWN = dict.fromkeys(
    ("parents", "shifts", "species_names", "cell", "pbc", "cutoff", "n_layers", "all_rows")
)


class Configuration:
    """What a model is evaluated on: particles, some of them ghosts, and neighbor lists.

    The KIM-API's word and meaning. *Contributing* particles are the real atoms, whose energy
    counts; the others are *ghosts*, periodic images or atoms of another rank. They may come in
    any order. Use :meth:`from_atoms` for a structure; call the constructor from a driver that
    has particles and lists already.

    Parameters
    ----------
    positions : (n_particles, 3) float64
        In Å (or the model's unit of length).
    species : (n_particles,) int32
        Species codes, each an index into ``species_names``; never atomic numbers.
    contributing : (n_particles,) bool
        True for particles whose energy counts.
    centers : (n_centers,) int32
        The contributing particles, each once, in any order: row k of the lists is that of
        particle ``centers[k]``.
    offsets : (n_centers + 1,) int64
        Row k is ``neighbors[offsets[k]:offsets[k + 1]]``.
    neighbors : (n_pairs,) int32
        Full lists of particle indices, ghosts included; a particle never in its own row. They
        may hold more than a model needs (a skin): entries beyond its cutoff never count.
    parents : (n_particles,) int32, optional
        The particle that each one is an image of; itself where contributing. Needed by
        :meth:`fold`.
    shifts : (n_particles, 3) int32, optional
        ``positions = positions[parents] + shifts @ cell``; zero where contributing.
    species_names : sequence of str, optional
        What the codes mean. With it, descriptors and models match species by name.
    cell : (3, 3) float64, optional
        Cell vectors in rows. Needed for stress.
    pbc : (3,) bool, optional
        Which cell vectors are periodic.
    cutoff : float, optional
        The lists hold every pair up to this distance; a descriptor or model that needs more
        is refused. None: taken on trust.
    n_layers : int, optional
        Staged graphs of this many layers, each of ``cutoff``, find all their particles here.
        None: taken on trust.
    all_rows : (particles, offsets, neighbors), optional
        Lists as above with a row for every particle, ghosts too, in any order: those that a
        staged graph is made of. None: it searches for its edges.

    Raises
    ------
    InputError
        If a shape, an index or a value cannot be right; the message says which.

    Notes
    -----
    Arrays of the right dtype are kept, not copied: change them only together with the lists.
    """

    def __init__(
        self,
        positions: ArrayLike,
        species: ArrayLike,
        contributing: ArrayLike,
        centers: ArrayLike,
        offsets: ArrayLike,
        neighbors: ArrayLike,
        *,
        parents: ArrayLike | None = None,
        shifts: ArrayLike | None = None,
        species_names: Sequence[str] | None = None,
        cell: ArrayLike | None = None,
        pbc: ArrayLike | None = None,
        cutoff: float | None = None,
        n_layers: int | None = None,
        all_rows: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None,
    ) -> None:
        self.positions = checks.positions("positions", positions)
        n = len(self.positions)
        self.species = checks.integers("species", species, (n,), least=0)
        self.contributing = checks.flags("contributing", contributing, (n,))
        self.centers = check_centers(centers, self.contributing)
        self.offsets, self.neighbors = check_lists(self.centers, offsets, neighbors, n)
        self.parents = None
        if parents is not None:
            self.parents = check_parents(parents, self.contributing)
        self.shifts = None if shifts is None else check_shifts(shifts, self.contributing)
        if species_names is not None:
            species_names = check_species(species_names, "species_names")
        self.species_names = species_names
        if self.species_names is not None and n and self.species.max() >= len(self.species_names):
            raise InputError(
                f"species[{self.species.argmax()}] = {self.species.max()}: a code of one of"
                f" {checks.shown(list(self.species_names))} is needed"
            )
        self.cell, self.pbc = check_cell(cell, pbc)
        self.cutoff = None if cutoff is None else checks.positive("cutoff", cutoff)
        self.n_layers = None
        if n_layers is not None:
            self.n_layers = checks.whole("n_layers", n_layers, 1, MOST_LAYERS)
        self.all_rows = None if all_rows is None else check_all_rows(all_rows, n)

    @classmethod
    def unchecked(cls, **arrays: Any) -> Configuration:
        """Make a configuration from arrays that are known to be right, without checks or copies.

        Parameters
        ----------
        **arrays
            Those of the constructor, each of the dtype, shape and order that it documents, C-
            contiguous; NumPy arrays all. Whatever is wrong with them shows as a wrong result or
            a crash.
        """
        return cls._of_attributes(_NOT_KNOWN | arrays)

    @classmethod
    def _of_attributes(cls, attributes):
        made = cls.__new__(cls)
        made.__dict__ = attributes
        return made

    @classmethod
    def from_atoms(
        cls,
        structure: StructureLike | None = None,
        cutoff: float | None = None,
        species: Sequence[str] | None = None,
        *,
        n_layers: int = 1,
        n_threads: int | None = None,
        positions: ArrayLike | None = None,
        cell: ArrayLike | None = None,
        pbc: ArrayLike | None = None,
        symbols: Sequence[str] | None = None,
    ) -> Configuration:
        """Make the configuration of a structure: its atoms, the ghosts they need, and the lists.

        The atoms are the first particles, in their order and at their positions; ghosts follow.

        Parameters
        ----------
        structure : ase.Atoms, optional
            Or positions (with cell and pbc) and symbols, as in
            :func:`torchml_core.structure.as_structure`.
        cutoff : float
            In Å; pairs up to and including this distance are listed, where relative differences up
            to 1e-10 count as equal.
        species : sequence of str, optional
            The species codes' meaning: atoms get the index of their symbol. None: the symbols
            of this structure, alphabetically.
        n_layers : int
            Number of hops of ``cutoff`` that ghosts must cover, for staged graphs.
        n_threads : int, optional

        Returns
        -------
        Configuration

        Raises
        ------
        InputError
            No atoms, a symbol that is not in species, a cutoff that is not positive and finite,
            or a structure that :func:`torchml_core.structure.as_structure` refuses.
        """
        if structure is not None and positions is cell is pbc is symbols is None:
            attributes = plain_particles(
                structure, cutoff, species, n_layers, n_threads, _codes_of, most_particles
            )
            if attributes is not None:
                return cls._of_attributes(attributes)
        # something has to be converted, or is wrong
        structure = as_structure(
            structure, positions=positions, cell=cell, pbc=pbc, symbols=symbols
        )
        cutoff = checks.positive("cutoff", cutoff)
        n_layers = checks.whole("n_layers", n_layers, 1, MOST_LAYERS)
        if len(structure) == 0:
            raise InputError("structure has no atoms; at least one is needed")
        codes, names = _species_codes(structure, species)

        with search_pairs(
            structure, cutoff, inclusive=True, n_threads=n_threads, bytes_per_pair=4
        ) as search:
            arrays = search.particles(
                structure.positions, structure.cell, codes, n_layers, most_particles()
            )
        if arrays is None:
            raise InputError(
                f"cutoff = {cutoff:g}, n_layers = {n_layers}: fewer ghosts are needed; there is not"
                " enough memory for these, or their shifts do not fit 32 bits"
            )
        return cls.unchecked(
            **arrays,
            species_names=names,
            cell=structure.cell,
            pbc=structure.pbc,
            cutoff=cutoff,
            n_layers=n_layers,
        )

    @property
    def n_particles(self) -> int:
        """Number of particles, ghosts included."""
        return len(self.positions)

    @property
    def n_centers(self) -> int:
        """Number of contributing particles, which is the number of rows of the lists."""
        return len(self.centers)

    @property
    def n_pairs(self) -> int:
        """Number of entries of the lists."""
        return len(self.neighbors)

    def __repr__(self):
        ghost = self.n_particles - self.n_centers
        return f"<Configuration: {self.n_centers} atoms, {ghost} ghosts, {self.n_pairs} pairs>"

    def pair_centers(self) -> Array:
        """Return (n_pairs,) int32, the center of each pair."""
        return np.repeat(self.centers, np.diff(self.offsets))

    def with_positions(self, atom_positions: ArrayLike) -> Configuration:
        """Return the same particles and lists with the atoms moved, and their ghosts with them.

        Parameters
        ----------
        atom_positions : (n_atoms, 3) float64
            New positions of the contributing particles, in the order of the particles.
        """
        positions = checks.positions("atom_positions", atom_positions)
        if len(positions) != self.n_centers:
            raise InputError(
                f"atom_positions has {len(positions)} rows; one for each of the {self.n_centers}"
                " atoms is needed"
            )
        return self._with(self._place(positions))

    def codes(self, names: Sequence[str]) -> Array:
        """Return the species codes with respect to another list of names.

        Parameters
        ----------
        names : sequence of str
            The species of a descriptor or model.

        Returns
        -------
        (n_particles,) int32
            ``names.index(...)`` of each particle's species. Where this configuration does not
            know its names, its codes as they are.

        Raises
        ------
        InputError
            A particle's species is not among the names.
        """
        if isinstance(names, tuple) and names == self.species_names:  # by far the most frequent
            return self.species
        names = check_species(names, "names")
        if self.species_names is None:
            if self.n_particles and self.species.max() >= len(names):
                raise InputError(
                    f"species[{self.species.argmax()}] = {self.species.max()}: a code of one of the"
                    f" {len(names)} species {checks.shown(list(names))} is needed"
                )
            return self.species
        if names == self.species_names:
            return self.species
        table = np.array(
            [names.index(name) if name in names else -1 for name in self.species_names],
            dtype=np.int32,
        )
        codes = table[self.species]
        if (codes < 0).any():
            particle = int(np.argmax(codes < 0))
            name = self.species_names[self.species[particle]]
            raise InputError(
                f"species: particle {particle} is {name}, not one of {checks.shown(list(names))}"
            )
        return codes

    def require_cutoff(self, cutoff: float, what: str) -> None:
        """Raise InputError if the lists are known to end before the cutoff that ``what`` needs."""
        cutoff = checks.number("cutoff", cutoff)
        if self.cutoff is not None and self.cutoff < cutoff:
            raise InputError(
                f"the configuration's lists end at cutoff {self.cutoff:g}, but {what} needs"
                f" {cutoff:g}: a configuration made with at least this cutoff is needed"
            )

    def require_parents(self) -> None:
        """Raise InputError if the parents of ghosts are not known."""
        if self.parents is None and not self.contributing.all():
            raise InputError("parents: needed here, but this configuration does not have them")

    def fold(self, per_particle: ArrayLike) -> Array:
        """Add the values of ghosts to those of the atoms that they are images of.

        Parameters
        ----------
        per_particle : (n_particles, ...) array

        Returns
        -------
        (n_atoms, ...) array
            In the order of the contributing particles.
        """
        values = checks.as_array("per_particle", per_particle, "an array of numbers")
        if values.dtype.kind not in "biufc":
            raise InputError(f"per_particle is of dtype {values.dtype}; numbers are needed")
        if values.ndim == 0 or len(values) != self.n_particles:
            raise InputError(
                f"per_particle has shape {values.shape}; ({self.n_particles}, ...) is needed"
            )
        if values.dtype == np.float64 and self.parents is not None:  # as results are
            return self._fold(values)
        folded = np.zeros((self.n_centers, *values.shape[1:]), dtype=values.dtype)
        np.add.at(folded, self.atoms_of_particles(), values)
        return folded

    def staged_graph(self, cutoff: float, n_layers: int) -> list[Array]:
        """Return the staged graph: one edge list per layer, the innermost first.

        See :func:`torchml_core.graph.staged_graph`. Where the configuration knows its cutoff
        and layers, a graph that would lack particles is refused with InputError.
        """
        cutoff = checks.positive("cutoff", cutoff)
        n_layers = checks.whole("n_layers", n_layers, 1, MOST_LAYERS)
        self.require_cutoff(cutoff, "the staged graph")
        if self.n_layers is not None and self.n_layers < n_layers and np.any(self.pbc):
            raise InputError(
                f"the configuration's ghosts reach {self.n_layers} layers, but the staged graph"
                f" needs {n_layers}: a configuration made with n_layers={n_layers} is needed"
            )
        return graph_of_checked(self.positions, self.contributing, cutoff, n_layers, self.all_rows)

    def particle_positions(
        self, positions: torch.Tensor, cell: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return all particles' positions as a differentiable torch function of the atoms'.

        Parameters
        ----------
        positions : (n_atoms, 3) torch.Tensor
            In the order of the contributing particles.
        cell : (3, 3) torch.Tensor, optional
            Cell vectors in rows; needed where there are ghosts with shifts.

        Returns
        -------
        (n_particles, 3) torch.Tensor
            ``positions[parents] + shifts @ cell``, of the dtype and device of positions.
        """
        import torch  # not needed by anything else here

        if not isinstance(positions, torch.Tensor) or not positions.is_floating_point():
            what = getattr(positions, "dtype", type(positions).__name__)
            raise InputError(f"positions is a {what}; a torch.Tensor of floating type is needed")
        if tuple(positions.shape) != (self.n_centers, 3):
            raise InputError(
                f"positions has shape {tuple(positions.shape)}; ({self.n_centers}, 3) is needed"
            )
        if not torch.compiler.is_compiling():
            settle_torch()
        atoms = torch.from_numpy(self.atoms_of_particles()).to(positions.device)
        particles = positions[atoms]
        # with a cell, no branch depends on the shifts: torch.compile makes one graph
        if self.shifts is None or (cell is None and not self.shifts.any()):
            return particles
        if not isinstance(cell, torch.Tensor) or tuple(cell.shape) != (3, 3):
            raise InputError("cell: a torch.Tensor of shape (3, 3) is needed to place the ghosts")
        return particles + torch.from_numpy(self.shifts).to(positions) @ cell

    def atoms_of_particles(self) -> Array:
        """Return (n_particles,) int64, the atom that each particle is an image of.

        Atoms are numbered among the contributing particles, as in :meth:`fold`.
        """
        self.require_parents()
        if self.parents is None:
            return np.arange(self.n_particles)
        return (np.cumsum(self.contributing, dtype=np.int64) - 1)[self.parents]

    def _fold(self, values):
        """As fold, of float64 with a row for each particle."""
        if self.parents is None:
            return self.fold(values)
        return fold_rows(values, self.parents, self.contributing, self.n_centers)

    def _with(self, positions):
        return self._of_attributes(self.__dict__ | {"positions": positions})

    def _place(self, atom_positions):
        """Positions of all particles, computed from those of the contributing ones."""
        return self._mover()(atom_positions)

    def _mover(self):
        """The Mover that computes all positions, valid while lists and cell stay the same."""
        if self.parents is None or self.shifts is None:
            raise InputError("parents, shifts: both are needed to move ghosts with their atoms")
        if self.cell is None and self.shifts.any():
            raise InputError("cell: it is needed to move ghosts that are shifted")
        moves = np.zeros((self.n_particles, 3))
        if self.cell is not None:
            # as floats: numpy multiplies matrices of whole numbers slowly
            moves = np.ascontiguousarray(self.shifts.astype(np.float64) @ self.cell)
        return Mover(atoms_of(self.parents, self.contributing), moves)


def _species_codes(structure, species):
    """(n_atoms,) int32 codes, and the names that they are indices into."""
    if structure.kinds is None:
        raise InputError("symbols: they are needed with positions in place of a structure")
    # those of a structure need no check
    names = structure.kind_names if species is None else check_species(species)
    codes = _code_of_kinds(structure.kind_names, names)[structure.kinds]
    if len(codes) and codes.min() < 0:
        atom = int(np.argmax(codes < 0))
        symbol = structure.kind_names[structure.kinds[atom]]
        raise InputError(
            f"species: atom {atom} is {symbol}, not one of {checks.shown(list(names))}"
        )
    return codes, names


def _codes_of(numbers, species):
    """Codes of atomic numbers, and the names that they are indices into; None if they are wrong."""
    if type(species) is list:
        species = tuple(species)
    if species is not None and type(species) is not tuple:
        return None
    try:
        return _codes_of_elements(numbers, species)
    except (InputError, TypeError):  # which the checks say with the atom's number
        return None


@functools.lru_cache(maxsize=128)
def _codes_of_elements(numbers, species):
    """(119,) int32, of elements that are not among the numbers too; and the names."""
    table, kind_names = kinds_of(numbers)
    names = kind_names if species is None else check_species(species)
    codes = _code_of_kinds(kind_names, names)
    if len(codes) and codes.min() < 0:
        return None
    return codes[table], names


@functools.lru_cache(maxsize=128)
def _code_of_kinds(kind_names, names):
    """(n_kinds,) int32, the code of each kind, or -1."""
    return np.array([names.index(name) if name in names else -1 for name in kind_names], np.int32)
