"""Searches for pairs of atoms, periodic images included: the basis of all lists.

``PairSearch`` (compiled) finds pairs and writes them; this is how structures get there, what is
refused before, and how the memory of small searches is kept for the next one.
"""

import math
from contextlib import contextmanager

import numpy as np

from torchml_core._neighbors import (
    BYTES_PER_HIT,
    BYTES_PER_POINT,
    FAULTS,
    MOST_POINTS,
    WORTH_A_THREAD,
    keep_idle,
    take_idle,
)
from torchml_core.available_memory import available_memory
from torchml_core.distances import inclusive_limit
from torchml_core.errors import InputError
from torchml_core.threads import resolve_n_threads

BYTES_PER_PARTICLE = 200  # of a configuration, and of the table that its ghosts are found in


@contextmanager
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
    bytes_per_pair=0,
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
        Whose memory to use. None: that of an earlier search, if it was small.
    bytes_per_pair : int
        What the lists that are to be written take.

    Yields
    ------
    PairSearch
        Its ``offsets``, (n_atoms + 1,) int64, say where each atom's pairs begin; ``fill`` writes
        them. To be used within the ``with`` block: after it the memory is another search's.

    Raises
    ------
    InputError
        A cutoff that would need more images than there is memory for; atoms too far away; a cell
        that is too oblique, or too large, for the precision of its shifts or positions.
    """
    positions, atom_offsets, cells, pbc = _arrays(structures)
    memory = available_memory()
    with take_idle(len(positions)) if search is None else search as found:
        fault = found.run(
            positions,
            atom_offsets,
            cells,
            pbc.astype(np.int32),
            inclusive_limit(cutoff) if inclusive else cutoff,
            half=half,
            selves=self_interaction,
            ordered=sorted_rows,
            most_points=min(memory / BYTES_PER_POINT, MOST_POINTS),
            most_pairs=memory / (BYTES_PER_HIT + bytes_per_pair),
            n_threads=resolve_n_threads(n_threads, len(positions) // WORTH_A_THREAD),
        )
        if fault is not None:
            raise InputError(complaint(*fault, cutoff, structures))
        yield found
    if search is None:
        keep_idle(found)  # not after an error


def most_particles():
    """Return how many particles a configuration may have: what memory and int32 allow."""
    return min(available_memory() / BYTES_PER_PARTICLE, 2**31 - 1)


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


def complaint(structure, fault, cutoff, structures):
    """Return what is wrong with a structure, one of a batch perhaps, that cannot be searched."""
    positions, atom_offsets, cells, pbc = _arrays(structures)
    first, end = atom_offsets[structure : structure + 2]
    which = f"structure {structure}: " if hasattr(structures, "atom_offsets") else ""
    cell = cells[structure].tolist()
    if FAULTS[fault] == "too far":
        atom = _farthest(positions[first:end], cells[structure][pbc[structure]])
        where = positions[first + atom].tolist()
        return f"{which}positions: atom {atom} at {where} is over a billion cells away"
    if FAULTS[fault] == "too oblique":
        return (
            f"{which}cell = {cell}: less oblique vectors are needed; the shortest ones of this"
            " lattice are sums of over a hundred million of these"
        )
    if FAULTS[fault] == "too large":
        return (
            f"{which}cutoff = {cutoff:g}: a larger one is needed for cell = {cell} and positions up"
            f" to {np.abs(positions[first:end]).max(initial=0):g}, which float64 rounds by far more"
        )
    return (
        f"{which}cutoff = {cutoff:g} is far too large for this cell of {end - first} atoms: there"
        " is not enough memory for its periodic images and pairs"
    )


def _farthest(positions, vectors):
    """The atom that is farthest from the cell, in units of cells."""
    lengths = np.array([math.hypot(*vector) for vector in vectors])
    with np.errstate(all="ignore"):
        along = positions @ np.linalg.pinv(vectors / lengths[:, None]) / lengths
    return int(np.nan_to_num(np.abs(along), nan=np.inf).max(axis=1).argmax())
