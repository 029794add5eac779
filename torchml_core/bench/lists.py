"""Full neighbor lists with ``ijSDd``, ours and other packages'."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

import torchml_core as tm
from torchml_core.bench.comparison import Agreement, Case, Comparison, Program
from torchml_core.bench.structures import random_atoms, silicon, slab

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase import Atoms

FRESH = "ours"
MOST_OF_ASE = 100  # atoms; ASE's search is slow
MIXING = np.uint64(0x9E3779B97F4A7C15)


@functools.cache
def _vesin(cutoff):
    import vesin

    return vesin.NeighborList(cutoff=cutoff, full_list=True)


def vesin(atoms, cutoff, _):
    return _vesin(cutoff).compute(
        points=atoms.positions, box=np.array(atoms.cell), periodic=atoms.pbc, quantities="ijSDd"
    )


def matscipy(atoms, cutoff, _):
    from matscipy.neighbours import neighbour_list

    return neighbour_list("ijSDd", atoms, float(cutoff))


def matscipy_neighbours(atoms, cutoff, _):
    from matscipy_neighbours import neighbour_list

    return neighbour_list("ijSDd", atoms, float(cutoff))


def neighborlist_rs(atoms, cutoff, n_threads):
    import neighborlist_rs

    neighborlist_rs.set_num_threads(n_threads)
    return neighborlist_rs.build_from_ase(atoms, cutoff)


def ase(atoms, cutoff, _):
    from ase.neighborlist import neighbor_list

    return neighbor_list("ijSDd", atoms, cutoff)


PEERS = {p.__name__: p for p in (vesin, matscipy, matscipy_neighbours, neighborlist_rs, ase)}
NOTES = {"neighborlist_rs": "makes half lists without vectors, which is less work"}


def programs(make: Callable[[], Atoms], cutoff: float, n_threads: int):
    """Return the number of pairs, and all programs."""
    atoms = make()
    workspace = tm.NeighborWorkspace()
    found = [
        Program(FRESH, lambda: tm.neighbor_list("ijSDd", atoms, cutoff, n_threads=n_threads)),
        Program(
            "ours, reused arrays",
            lambda: tm.neighbor_list("ijSDd", atoms, cutoff, out=workspace, n_threads=n_threads),
        ),
        Program(
            "ours, ij only", lambda: tm.neighbor_list("ij", atoms, cutoff, n_threads=n_threads)
        ),
        Program(
            "ours, Configuration",
            lambda: tm.Configuration.from_atoms(atoms, cutoff, n_threads=n_threads),
        ),
    ]
    for name, peer in PEERS.items():
        if name != "ase" or len(atoms) <= MOST_OF_ASE:
            work = functools.partial(peer, atoms, cutoff, n_threads)
            found.append(
                Program(
                    name,
                    work,
                    peer=name,
                    against=FRESH,
                    check=functools.partial(_compare, work, atoms, cutoff),
                    note=NOTES.get(name, ""),
                )
            )
    return len(tm.neighbor_list("i", atoms, cutoff, n_threads=n_threads)), found


def _compare(work, atoms, cutoff):
    """Return whether all pairs are ours, and how far their vectors are from those of positions."""
    i, j, S = tm.neighbor_list("ijS", atoms, cutoff)
    found = work()
    if isinstance(found, dict):  # a half list of neighborlist_rs
        (a, b), shift = found["edge_index"], found["shift"]
        other = a != b
        a, b = np.concatenate([a, b[other]]), np.concatenate([b, a[other]])
        same = signature(a, b, np.concatenate([shift, -shift[other]])) == signature(i, j, S)
        return Agreement("pairs", 0.0 if same else np.inf, 0.0)
    a, b, shift, D, d = found
    if signature(a, b, shift) != signature(i, j, S):
        return Agreement("pairs", np.inf, 0.0)
    expected = atoms.positions[b] - atoms.positions[a] + np.asarray(shift) @ np.asarray(atoms.cell)
    errors = (np.abs(D - expected), np.abs(d - np.linalg.norm(expected, axis=1)))
    largest = max((float(e.max()) for e in errors if e.size), default=0.0)
    return Agreement("pairs (the same), vectors and distances in Å", largest, 1e-9)


def signature(i, j, S):
    """Two numbers that are the same for two lists with the same pairs in any order."""
    words = np.zeros(len(i), dtype=np.uint64)
    for column in (i, j, *np.asarray(S).T):
        words = (words ^ np.asarray(column).astype(np.int64).view(np.uint64)) * MIXING
        words ^= words >> np.uint64(29)
    return len(words), int(words.sum(dtype=np.uint64)), int((words * words).sum(dtype=np.uint64))


def _case(make, cutoff, *, quick=False):
    return Case(functools.partial(programs, make, cutoff), quick)


LISTS = Comparison(
    "lists",
    "Neighbor lists",
    "Mpairs/s",
    "structure, cutoff",
    "Full lists with `ijSDd` in new arrays (*reused arrays*: those of the call before are written"
    " again). *Configuration* has lists of neighbors with ghost atoms, for descriptors.",
    {
        "1 000 Si, 5 Å": _case(lambda: silicon(5), 5.0, quick=True),
        "8 000 Si, 5 Å": _case(lambda: silicon(10), 5.0, quick=True),
        "64 000 Si, 5 Å": _case(lambda: silicon(20), 5.0),
        "216 000 Si, 5 Å": _case(lambda: silicon(30), 5.0),
        "1 000 Si, 8 Å": _case(lambda: silicon(5), 8.0),
        "8 000 Si, 8 Å": _case(lambda: silicon(10), 8.0),
        "64 000 Si, 8 Å": _case(lambda: silicon(20), 8.0),
        "8 Si, 6 Å (many images)": _case(lambda: silicon(1), 6.0, quick=True),
        "slab of 13 824 Si, 5 Å": _case(slab, 5.0),
        "gas, 10 000 atoms, 5 Å": _case(lambda: random_atoms(10000, 0.0005, True), 5.0),
        "molecule of 20 atoms, 5 Å": _case(lambda: random_atoms(20, 0.08, False), 5.0, quick=True),
        "density of water, 12 000 atoms, 3 Å": _case(lambda: random_atoms(12000, 0.1, True), 3.0),
    },
)
