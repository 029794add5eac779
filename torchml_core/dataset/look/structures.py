"""What is unusual in structures: no atoms, close atoms, fragments, rare elements, duplicates."""

from __future__ import annotations

import itertools

import numpy as np
from ase.data import atomic_numbers, covalent_radii

from torchml_core.dataset.findings import Finding
from torchml_core.dataset.occurrences import FEW, Occurrences

CLOSE = 0.55  # of the sum of covalent radii
FEW_ATOMS = 10
SAME = 1e-6  # relative differences of values of equal structures: coordinates in files are rounded
SAME_ENERGY, SAME_FORCE = 1e-3, 1e-2  # eV/atom, eV/Å: labels of duplicates that may differ by this


def empty(data):
    """Structures without atoms."""
    labels = tuple(example.label for example in data if not example.n_atoms)
    if not labels:
        return []
    text = f"{n_structures(labels)} without atoms; leave them out"
    return [Finding("empty", text, labels)]


class Distances:
    """Collects, structure by structure, what distances tell.

    Parameters
    ----------
    species : tuple of str
    cutoff : float
        Of the lists, in Å.
    """

    def __init__(self, species, cutoff):
        self._species, self._cutoff = species, cutoff
        radii = np.array([covalent_radii[atomic_numbers[s]] for s in species])
        self._least = CLOSE * (radii[:, None] + radii)
        self._close, self._smallest, self._apart = [], (np.inf, ""), []
        self._atoms = np.zeros(len(species), dtype=int)
        self._occurrences = Occurrences(species)

    def add(self, labels, c, sizes):
        """Look at structures.

        Parameters
        ----------
        labels : sequence of str
        c : Configuration
            Of all of them together.
        sizes : sequence of int
            Their numbers of atoms.
        """
        codes, n = c.codes(self._species), len(self._species)
        rows = np.repeat(np.arange(c.n_centers), np.diff(c.offsets))
        a, b = codes[c.centers][rows], codes[c.neighbors]
        structure = np.repeat(np.arange(len(sizes)), sizes)
        self._atoms += np.bincount(codes[c.centers], minlength=n)
        self._occurrences.add(c, sizes)
        vectors = c.positions[c.neighbors] - c.positions[c.centers][rows]
        squares = np.einsum("ij,ij->i", vectors, vectors)
        close = np.flatnonzero(squares < self._least[a, b] ** 2)
        if len(close):
            self._close += [labels[k] for k in np.unique(structure[rows[close]])]
            k = close[np.argmin(squares[close])]
            names = self._species[a[k]], self._species[b[k]]
            self._smallest = min(self._smallest, (float(squares[k] ** 0.5), "-".join(names)))
        apart = (_n_parts(c, structure) > 1) & (np.asarray(sizes) > 1)
        self._apart += [labels[k] for k in np.flatnonzero(apart)]

    def findings(self):
        """All that was found."""
        found = []
        if self._close:
            text = (
                f"{n_structures(self._close)} with atoms that are unusually close, for example"
                f" {self._smallest[1]} at {self._smallest[0]:.2f} Å; check the unit of length and"
                " the cell, or leave them out unless such distances are meant"
            )
            found.append(Finding("close atoms", text, tuple(self._close)))
        if self._apart:
            text = (
                f"{n_structures(self._apart)} with parts that are more than {self._cutoff:g} Å"
                " apart; a model with this cutoff treats them as if each were alone"
            )
            found.append(Finding("fragments", text, tuple(self._apart)))
        return found + self._rare()

    def _rare(self):
        few = [
            f"{s} ({n})"
            for s, n in zip(self._species, self._atoms, strict=True)
            if n < FEW_ATOMS and len(self._species) > 1
        ]
        seen = self._occurrences
        absent, few_pairs = seen.absent_pairs(), seen.few_pairs()
        found = []
        if few:
            text = (
                f"only a few atoms of {', '.join(few)}; models know little about them: add"
                " structures, or leave these out"
            )
            found.append(Finding("rare elements", text))
        if few_pairs:
            text = (
                f"only a few structures with neighbors {', '.join(few_pairs)} within"
                f" {self._cutoff:g} Å; energies of others with them may be far off: {FEW} of each,"
                " or more, are needed"
            )
            found.append(Finding("rare elements", text))
        if absent:
            text = (
                f"no neighbors {', '.join(absent)} within {self._cutoff:g} Å; models know nothing"
                " about them: add structures if they will occur"
            )
            found.append(Finding("rare elements", text))
        return found


def _n_parts(c, structure):
    """(n_structures,) numbers of connected parts, where structure has the one of each atom."""
    from scipy.sparse import csr_array  # slow to import
    from scipy.sparse.csgraph import connected_components

    row_of = np.empty(c.n_particles, dtype=np.int32)
    row_of[c.centers] = np.arange(c.n_centers)
    links = np.ones(c.n_pairs), row_of[c.parents[c.neighbors]], c.offsets
    graph = csr_array(links, (c.n_centers, c.n_centers))
    parts = connected_components(graph, directed=False)[1]
    return np.bincount(structure[np.unique(parts, return_index=True)[1]])


class Fingerprints:
    """Numbers of structures that are equal if these are, however they are moved or ordered.

    These are sums of an atom's values with random weights, in ascending order for each element.
    """

    def __init__(self, width):
        self._weights = np.random.default_rng(0).uniform(0.5, 1.5, width)
        self._groups = {}  # of a composition: [(numbers, indices)]

    def add(self, index, example, values):
        """Add the values (n_atoms, width) of an example."""
        numbers = example.atoms.numbers
        found = np.arctan(values) @ self._weights
        found = found[np.lexsort((found, numbers))]
        key = tuple(np.sort(numbers).tolist()), tuple(example.atoms.pbc.tolist())
        self._groups.setdefault(key, []).append((found, index))

    def groups(self):
        """Lists of indices of structures that are equal, each with at least two."""
        out = []
        for members in self._groups.values():
            members.sort(key=lambda member: member[0].sum())
            open_groups = []  # those whose sum is near
            for found, index in members:
                limit = SAME * max(np.abs(found).max(), 1e-3)
                near = found.sum() - limit * len(found)
                open_groups = [group for group in open_groups if group[0].sum() >= near]
                for first, indices in open_groups:
                    if np.abs(first - found).max() <= limit:
                        indices.append(index)
                        break
                else:
                    open_groups.append((found, [index]))
                    out.append(open_groups[-1][1])
        return sorted(sorted(group) for group in out if len(group) > 1)


def duplicates(data, groups):
    """Findings of groups of equal structures."""
    equal, contradicting = [], []
    for group in groups:
        labels = [data[k].label for k in group]
        (contradicting if _differ([data[k] for k in group]) else equal).append(labels)
    found = []
    if equal:
        text = (
            "structures that occur more than once (also moved, rotated, or with atoms in another"
            f" order): {len(equal)}; they count as often as they occur, and may be in training and"
            " test sets: leave out all but one"
        )
        found.append(Finding("duplicates", text, tuple(itertools.chain(*equal))))
    if contradicting:
        text = (
            f"structures that occur more than once with different labels: {len(contradicting)};"
            " check with which settings they were computed, and leave out all but one"
        )
        found.append(Finding("contradictions", text, tuple(itertools.chain(*contradicting))))
    return found


def _differ(examples):
    """Whether energies differ, or the lengths of forces in order (they may be rotated)."""
    energies = [e.energy / e.n_atoms for e in examples if e.energy is not None]
    if energies and np.ptp(energies) > SAME_ENERGY:
        return True
    lengths = [np.sort(np.linalg.norm(e.forces, axis=1)) for e in examples if e.forces is not None]
    return bool(lengths and np.ptp(lengths, axis=0).max() > SAME_FORCE)


def n_structures(labels):
    return "1 structure" if len(labels) == 1 else f"{len(labels)} structures"
