"""Searches for pairs of atoms, periodic images included: what all lists are made of.

``PairSearch`` (compiled) finds pairs and writes them; this is how structures get there, what is
refused before, and how the memory of small searches is kept for the next one.
"""

import math
import os
import threading

import numpy as np

from torchml_core._neighbors import FAULTS, PairSearch
from torchml_core.errors import InputError
from torchml_core.threads import resolve_n_threads

KEPT_UP_TO = 200_000  # atoms; the memory of larger searches, some 300 bytes an atom, is given back
MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # of this machine
BYTES_PER_POINT, BYTES_PER_PAIR = 90, 60  # of a search, and of what it is made for

_thread = threading.local()


def search_pairs(
    structures,
    cutoff,
    *,
    inclusive=False,
    half=False,
    self_interaction=False,
    sorted_rows=False,
    n_threads=None,
    search=None,
    first_structure=0,
):
    """Search structures for pairs of atoms nearer than a cutoff.

    Parameters
    ----------
    structures : Structure, or batch as :func:`torchml_core.batch.as_batch` returns it
    cutoff : float
        In Å, positive and finite.
    inclusive : bool
        Whether a distance equal to the cutoff counts.
    half, self_interaction, sorted_rows : bool
        As in :func:`torchml_core.neighbor_list`.
    n_threads : int, optional
    search : PairSearch, optional
        Whose memory to use; None: this thread's own. Holds until its next search.
    first_structure : int
        What the first of a batch is called in messages.

    Returns
    -------
    PairSearch
        Its ``offsets``, (n_atoms + 1,) int64, say where each atom's pairs begin; ``fill`` writes
        them.

    Raises
    ------
    InputError
        A cutoff that would need more images than there is memory for; atoms too far away.
    """
    positions, atom_offsets, cells, pbc = _arrays(structures)
    search = _own_search(len(positions)) if search is None else search
    fault = search.run(
        positions,
        atom_offsets,
        cells,
        pbc.astype(np.int32),
        cutoff,
        math.nextafter(cutoff**2, math.inf) if inclusive else cutoff**2,
        half=half,
        selves=self_interaction,
        ordered=sorted_rows,
        most_points=min(MEMORY / BYTES_PER_POINT, 2**31 - 1),
        most_pairs=MEMORY / BYTES_PER_PAIR,
        n_threads=resolve_n_threads(n_threads),
    )
    if fault is not None:
        raise InputError(_complaint(*fault, cutoff, positions, atom_offsets, first_structure))
    return search


def _arrays(structures):
    if hasattr(structures, "atom_offsets"):
        return (
            structures.positions,
            structures.atom_offsets,
            structures.cells,
            structures.pbc,
        )
    offsets = np.array([0, len(structures)], dtype=np.int64)
    return structures.positions, offsets, structures.cell[None], structures.pbc[None]


def _own_search(n_atoms):
    """This thread's PairSearch, so that its memory is had once."""
    if n_atoms > KEPT_UP_TO:
        return PairSearch()
    if not hasattr(_thread, "search"):
        _thread.search = PairSearch()
    return _thread.search


def _complaint(structure, fault, cutoff, positions, atom_offsets, first_structure):
    first, end = atom_offsets[structure : structure + 2]
    which = f"structure {first_structure + structure}: " if len(atom_offsets) > 2 else ""
    if FAULTS[fault] == "too far":
        atom = int(np.argmax(np.abs(positions[first:end]).max(axis=1)))
        where = positions[first + atom].tolist()
        return f"{which}positions: atom {atom} at {where} is over a billion cells away"
    return (
        f"{which}cutoff = {cutoff:g} is far too large for this cell of {end - first} atoms: there"
        " is not the memory for its periodic images and pairs"
    )
