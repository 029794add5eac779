"""Makes the plan of the kernels from the compact functions of one element.

All of them are one block of the kernel, since they share the radial parts of the neighbors and the
bins into which the ends of their intervals divide the distances (kernel/compact.pyx). c4 and c5 are
divided further into one block of triplets for each channel, in which functions share angular parts
(*terms*), and those with one radial part are a *group* of rows.
"""

import itertools
import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class CompactFamily:
    """The compact functions of one element.

    Attributes
    ----------
    functions : list of CompactFunction
    components : list of int
        The index of the value of each.
    species : tuple of str
        Of the descriptor.
    numbers : (n_species,) array
        Weight of a neighbor in a function of all neighbors (``neighbors`` None), if there is one.
    centers : (n_species,) bool array
        Which atoms have these functions.
    """

    functions: list
    components: list
    species: tuple
    numbers: np.ndarray
    centers: np.ndarray

    @property
    def reach(self):
        """(n_species, n_species): the largest cutoff of the pairs that have one, else 0."""
        cutoffs = np.zeros((len(self.species), len(self.species)))
        for f in self.functions:
            neighbors = self.species if f.neighbors is None else f.neighbors
            for name in neighbors:
                reached = cutoffs[self.centers, self.species.index(name)]
                cutoffs[self.centers, self.species.index(name)] = np.maximum(reached, f.cutoff)
        return cutoffs

    def distinguishes(self, s):
        """What these functions can tell of species s: equal for species that are equivalent."""
        is_named = any(self.species[s] in (f.neighbors or ()) for f in self.functions)
        return self.species[s] if is_named else None, self.numbers[s], self.centers[s]


def compact_block(family, members):
    """Return the block of the kernel and the components of its sums.

    ``members``: one species of each class.
    """
    radials, components = {}, []
    members = [int(s) for s in members]
    rows = _radial_rows(family, members, radials, components)
    triplets = _triplet_blocks(family, members, radials, components)
    breaks = sorted({end for left, right, *_ in radials for end in (left, right) if end > 0})
    return {
        "breaks": breaks,
        "radials": list(radials),
        "first_bin": [breaks.index(left) + 1 if left > 0 else 0 for left, *_ in radials],
        "last_bin": [breaks.index(right) + 1 for _, right, *_ in radials],
        **rows,
        "triplets": triplets,
        "n_sums": len(components),
    }, np.array(components, dtype=np.int32)


def _radial(f):
    return (*f.radial, f.core, f.asymmetric)


def _number(numbered, key):
    """The number of a key, in the order in which keys are first requested."""
    return numbered.setdefault(key, len(numbered))


def _radial_rows(family, members, radials, components):
    """c2: one sum for each function, one row for each class of neighbors that it has."""
    rows = []
    for f, component in zip(family.functions, family.components, strict=True):
        if f.type != "c2":
            continue
        for c, s in enumerate(members):
            if f.neighbors is None:
                weight = family.numbers[s]
            else:
                weight = float(_class_of(family, members, f.neighbors[0]) == c)
            if weight:
                rows.append((c, _number(radials, _radial(f)), len(components), weight))
        components.append(component)
    rows = sorted(rows)
    names = ("row_class", "row_radial", "row_sum", "row_weight")
    return {name: [row[k] for row in rows] for k, name in enumerate(names)}


def _class_of(family, members, name):
    """The class of a species that functions name: it has only this species."""
    return members.index(family.species.index(name))


def _triplet_blocks(family, members, radials, components):
    by_channel = {}
    for f, component in zip(family.functions, family.components, strict=True):
        if f.type != "c2":
            neighbors = f.neighbors and tuple(sorted(f.neighbors))
            by_channel.setdefault((f.type, neighbors), []).append((f, component))
    return [
        _triplet_block(family, members, radials, components, type, neighbors, own)
        for (type, neighbors), own in by_channel.items()
    ]


def _triplet_block(family, members, radials, components, type, neighbors, own):
    angles, groups = {}, {}
    for f, component in own:
        left, right = (math.radians(angle) for angle in f.angular)
        term = _number(angles, (left, right, f.core, False))
        groups.setdefault(_number(radials, _radial(f)), []).append((term, component))
    block = {
        "with_jk": type == "c4",
        "first_sum": len(components),
        **_pairs(family, members, neighbors),
        "angles": list(angles),
        "radial": list(groups),
        "group": np.cumsum([0, *map(len, groups.values())]),
        "term": [term for rows in groups.values() for term, _ in rows],
    }
    components += [component for rows in groups.values() for _, component in rows]
    return block


def _pairs(family, members, neighbors):
    """The pairs of classes of a channel, with their weights."""
    if neighbors is None:
        pairs = itertools.combinations_with_replacement(range(len(members)), 2)
        numbers = [family.numbers[s] for s in members]
        pairs = [(a, b, numbers[a] * numbers[b]) for a, b in pairs]
    else:
        a, b = sorted(_class_of(family, members, name) for name in neighbors)
        pairs = [(a, b, 1.0)]
    names = ("first_class", "second_class", "weight")
    return {name: [pair[k] for pair in pairs] for k, name in enumerate(names)}
