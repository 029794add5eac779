"""Makes the plan of the kernels from families of symmetry functions.

The kernels need functions that share an exponential, or a power, next to each other; users need
the values in the given order. So a plan is made once, here: equivalent species become one *class*,
equal (zeta, lambda) one *angular term*, rows of equal eta one *group* (of a multiple of four rows,
which the kernels compute together), and each sum gets the index of its value.
"""

import itertools
from dataclasses import dataclass

import numpy as np

from torchml_core.descriptors.symmetry_functions.compact_planning import (
    CompactFamily,
    compact_block,
)
from torchml_core.descriptors.symmetry_functions.packing import SymmetryFunctionKernel

ROWS_AT_ONCE = 4


@dataclass(frozen=True, eq=False)
class Family:
    """Functions of one type that share all but their rows of parameters.

    Attributes
    ----------
    type : int
        1 ... 5.
    rows : list of tuple
        The parameters: g1 (), g2 (eta, Rs), g3 (kappa,), g4 and g5 (zeta, lambda, eta).
    channels : (n_species,) or (n_species, n_species) int array
        The channel to which a neighbor (g1-g3), or a pair of them (g4, g5), contributes; -1: none.
    components : (n_channels, n_rows) int array
        The index of the value of each.
    cutoffs : (n_species, n_species) array
    cutoff_function : str
        A key of ``kernels.cutoff.CUTOFF_FUNCTIONS``.
    inner : float
        Fraction of the cutoff up to which the cutoff function is 1.
    weights : (n_species,) array
        Weight of a neighbor.
    centers : (n_species,) bool array
        Which atoms have these functions.
    shift : float
        Rs of g4 and g5.
    """

    type: int
    rows: list
    channels: np.ndarray
    components: np.ndarray
    cutoffs: np.ndarray
    cutoff_function: str
    weights: np.ndarray
    centers: np.ndarray
    inner: float = 0.0
    shift: float = 0.0

    @property
    def reach(self):
        """(n_species, n_species): the cutoff of the pairs that have one, else 0."""
        return np.where((self.channels >= 0).any(), self.cutoffs, 0)

    def distinguishes(self, s):
        """What these functions can tell of species s: equal for species that are equivalent."""
        cutoffs, channels = self.cutoffs[s].tobytes(), self.channels[s].tobytes()
        return channels, cutoffs, self.weights[s], self.centers[s]


def make_kernel(width, families):
    """Return the kernel that computes some families, which have ``width`` values together.

    They are of class Family or CompactFamily.
    """
    classes, members = _classes(families)
    pair_cutoffs = _Numbered()
    blocks, components, first = [], [], 0
    for family in families:
        if isinstance(family, CompactFamily):
            block, block_components = compact_block(family, members)
            block["type"] = "compact"
        else:
            plan = _radial if family.type <= 3 else _angular
            block, block_components = plan(family, members)
            block["type"] = family.type
            block["pair_cutoff"] = pair_cutoffs[
                family.cutoff_function,
                family.inner,
                tuple(map(tuple, family.cutoffs[np.ix_(members, members)])),
                tuple(family.weights[members]),
            ]
        block["centers"] = family.centers[members].astype(np.int32)
        block["first"] = first
        blocks.append(block)
        components.append(block_components)
        first += len(block_components)
    reach = np.max([family.reach for family in families], axis=0)
    return SymmetryFunctionKernel(
        width, reach, classes, list(pair_cutoffs), blocks, np.concatenate(components)
    )


class _Numbered(dict):
    """Numbers items in the order in which they are first requested."""

    def __missing__(self, key):
        self[key] = len(self)
        return self[key]


def _classes(families):
    """(n_species,) class of each species, and one species of each class.

    Species are in one class if no family distinguishes them.
    """
    number = _Numbered()
    classes = [
        number[tuple(family.distinguishes(s) for family in families)]
        for s in range(len(families[0].centers))
    ]
    members = np.array([classes.index(c) for c in range(len(number))])
    return np.array(classes, dtype=np.int32), members


def _radial(family, members):
    parameters = np.array(family.rows, dtype=np.float64).reshape(len(family.rows), -1)
    block = {"channels": family.channels[members].astype(np.int32), "n_rows": len(family.rows)}
    if family.type == 2:
        block["eta"], block["Rs"] = parameters.T
    elif family.type == 3:
        (block["kappa"],) = parameters.T
    return block, np.asarray(family.components, dtype=np.int32).ravel()


def _angular(family, members):
    # those of one lambda next to each other: they share a logarithm
    terms = sorted({(zeta, lam) for zeta, lam, _ in family.rows}, key=lambda term: term[::-1])
    number = {term: n for n, term in enumerate(terms)}
    etas = {}
    for k, (zeta, lam, eta) in enumerate(family.rows):
        etas.setdefault(eta, []).append((number[zeta, lam], k))
    rows, padded_terms, group = [], [], [0]
    for group_rows in etas.values():
        padding = -len(group_rows) % ROWS_AT_ONCE
        rows += [k for _, k in group_rows] + [-1] * padding
        padded_terms += [t for t, _ in group_rows] + [group_rows[-1][0]] * padding
        group.append(len(rows))
    zeta, lam = np.array(terms).T
    pairs = sorted(
        (int(family.channels[members[a], members[b]]), a, b)
        for a, b in itertools.combinations_with_replacement(range(len(members)), 2)
        if family.channels[members[a], members[b]] >= 0
    )
    channel, first, second = np.array(pairs, dtype=np.int32).reshape(-1, 3).T
    block = {
        "shift": family.shift,
        "channel": channel,
        "first_class": first,
        "second_class": second,
        "n_rows": len(rows),
        "zeta": zeta,
        "whole_zeta": np.where((zeta == np.floor(zeta)) & (zeta < 2**30), zeta, 0),
        "lambda": lam,
        "eta": np.array(list(etas)),
        "group": group,
        "term": padded_terms,
    }
    components = np.asarray(family.components, dtype=np.int32)
    components = np.column_stack([components, np.full(len(components), -1, dtype=np.int32)])
    return block, components[:, rows].ravel()  # row -1 is the column of -1
