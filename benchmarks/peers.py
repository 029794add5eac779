"""Neighbor lists of other packages: functions of (atoms, cutoff) that return full ijSDd lists.

Packages that are not installed are left out (``pip install torchml_core[peers]``).
"""

import functools
import importlib.util

import numpy as np

import torchml_core as tm


def ours(atoms, cutoff):
    return tm.neighbor_list("ijSDd", atoms, cutoff, n_threads=1)


def ours_reused(atoms, cutoff, workspace=tm.NeighborWorkspace()):  # noqa: B008 (meant to be kept)
    return tm.neighbor_list("ijSDd", atoms, cutoff, n_threads=1, out=workspace)


@functools.cache
def _vesin(cutoff):
    import vesin

    return vesin.NeighborList(cutoff=cutoff, full_list=True)


def vesin(atoms, cutoff):
    return _vesin(cutoff).compute(
        points=atoms.positions,
        box=np.array(atoms.cell),
        periodic=atoms.pbc,
        quantities="ijSDd",
    )


def matscipy(atoms, cutoff):
    from matscipy.neighbours import neighbour_list

    return neighbour_list("ijSDd", atoms, float(cutoff))


def matscipy_neighbours(atoms, cutoff):
    from matscipy_neighbours import neighbour_list

    return neighbour_list("ijSDd", atoms, float(cutoff))


def neighborlist_rs(atoms, cutoff):
    """Return a half list without vectors, which is less than the others return."""
    import neighborlist_rs

    neighborlist_rs.set_num_threads(1)
    return neighborlist_rs.build_from_ase(atoms, cutoff)


def ase(atoms, cutoff):
    from ase.neighborlist import neighbor_list

    return neighbor_list("ijSDd", atoms, cutoff)


PEERS = {
    peer.__name__: peer
    for peer in (vesin, matscipy, matscipy_neighbours, neighborlist_rs, ase)
    if importlib.util.find_spec(peer.__name__)
}
