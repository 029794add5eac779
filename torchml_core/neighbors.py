"""Neighbor lists in the form that ASE, matscipy and vesin give them."""

import numpy as np

from torchml_core.errors import InputError
from torchml_core.pairs import find_pairs
from torchml_core.structure import as_structure, check_length

QUANTITIES = "ijSDd"


def neighbor_list(
    quantities,
    structure=None,
    cutoff=None,
    *,
    positions=None,
    cell=None,
    pbc=None,
    half=False,
    self_interaction=False,
    n_threads=None,
):
    """List all pairs of atoms nearer than a cutoff, periodic images included.

    Parameters
    ----------
    quantities : str
        What to return, in this order, of ``i`` center, ``j`` neighbor, ``S`` cell shift,
        ``D`` vector, ``d`` distance.
    structure : ase.Atoms, optional
        Or positions, cell and pbc as arrays.
    cutoff : float
        In Å; pairs with d < cutoff are listed.
    half : bool
        Each pair once instead of from both ends: i < j, or for an atom and its own image one of
        S and -S.
    self_interaction : bool
        List each atom as its own neighbor too, with S = 0.
    n_threads : int, optional

    Returns
    -------
    tuple of arrays, or one array for one quantity
        i, j : (n_pairs,) int32, ascending in i; S : (n_pairs, 3) int32; D : (n_pairs, 3)
        float64, ``positions[j] - positions[i] + S @ cell``; d : (n_pairs,) float64, its length.

    Raises
    ------
    InputError
        Quantities that are not known, a cutoff that is not positive and finite, or a structure
        that :func:`torchml_core.structure.as_structure` refuses.
    """
    if not isinstance(quantities, str) or not quantities or set(quantities) - set(QUANTITIES):
        raise InputError(f"quantities = {quantities!r}: letters of {QUANTITIES!r} are needed")
    structure = as_structure(structure, positions=positions, cell=cell, pbc=pbc)
    cutoff = check_length(cutoff, "cutoff")
    pairs = find_pairs(structure, cutoff, n_threads=n_threads)
    found = {"i": pairs.i, "j": pairs.j, "S": pairs.S}
    if half:
        found = _select(found, _first_of_two(**found))
    if self_interaction:
        found = _with_selves(found, len(structure))
    if "D" in quantities or "d" in quantities:
        found["D"] = structure.positions[found["j"]] - structure.positions[found["i"]]
        if structure.pbc.any():
            found["D"] += found["S"] @ (structure.cell * structure.pbc[:, None])
    if "d" in quantities:
        found["d"] = np.sqrt(np.einsum("pk,pk->p", found["D"], found["D"]))
    if len(quantities) == 1:
        return found[quantities]
    return tuple(found[quantity] for quantity in quantities)


def _first_of_two(i, j, S):
    """Of each pair and its reverse, which one a half list keeps."""
    forward = np.where(S[:, 0] != 0, S[:, 0], np.where(S[:, 1] != 0, S[:, 1], S[:, 2])) > 0
    return (i < j) | ((i == j) & forward)


def _select(found, mask):
    return {name: array[mask] for name, array in found.items()}


def _with_selves(found, n_atoms):
    atoms = np.arange(n_atoms, dtype=np.int32)
    selves = {"i": atoms, "j": atoms, "S": np.zeros((n_atoms, 3), dtype=np.int32)}
    joined = {name: np.concatenate([selves[name], found[name]]) for name in found}
    order = np.argsort(joined["i"], kind="stable")
    return {name: array[order] for name, array in joined.items()}
