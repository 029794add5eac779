"""Checks of what a Configuration is made of: each returns the array in the dtype that is kept."""

import numpy as np

from torchml_core import checks, structure
from torchml_core._graph import first_repetition
from torchml_core.errors import InputError


def check_centers(centers, contributing):
    centers = checks.integers("centers", centers, least=0)
    expected = np.flatnonzero(contributing)
    if not np.array_equal(np.sort(centers), expected):
        raise InputError(
            f"centers = {centers[:10].tolist()}{' ...' if len(centers) > 10 else ''}: the"
            f" {len(expected)} contributing particles, each once, are needed"
        )
    return centers


def check_lists(centers, offsets, neighbors, n_particles):
    offsets = checks.integers("offsets", offsets, (len(centers) + 1,), least=0, dtype=np.int64)
    neighbors = checks.integers("neighbors", neighbors, least=0)
    if offsets[0] != 0 or offsets[-1] != len(neighbors) or (np.diff(offsets) < 0).any():
        raise InputError(
            f"offsets = {offsets[0]} ... {offsets[-1]}: numbers that ascend from 0 to the number of"
            f" neighbors, {len(neighbors)}, are needed"
        )
    if neighbors.size and neighbors.max() >= n_particles:
        raise InputError(
            f"neighbors[{neighbors.argmax()}] = {neighbors.max()}: one of the {n_particles}"
            " particles, counted from 0, is needed"
        )
    own = neighbors == np.repeat(centers, np.diff(offsets))
    if own.any():
        particle = neighbors[np.argmax(own)]
        raise InputError(
            f"neighbors: particle {particle} is in its own row; only other particles are needed"
        )
    again = first_repetition(offsets, neighbors, n_particles)
    if again >= 0:
        row = int(np.searchsorted(offsets, again, side="right")) - 1
        raise InputError(
            f"neighbors[{again}] = {neighbors[again]}: this particle is already in the row of"
            f" particle {centers[row]}; each neighbor only once is needed"
        )
    return offsets, neighbors


def check_parents(parents, contributing):
    n = len(contributing)
    parents = checks.integers("parents", parents, (n,), least=0)
    if n and (parents.max() >= n or not contributing[parents].all()):
        bad = int(np.argmax((parents >= n) | ~contributing[np.minimum(parents, n - 1)]))
        raise InputError(f"parents[{bad}] = {parents[bad]}: a contributing particle is needed")
    own = parents == np.arange(n)
    if not own[contributing].all():
        bad = int(np.flatnonzero(contributing & ~own)[0])
        raise InputError(
            f"parents[{bad}] = {parents[bad]}: {bad} is needed, since a contributing particle is"
            " its own parent"
        )
    return parents


def check_shifts(shifts, contributing):
    shifts = checks.integers("shifts", shifts, (len(contributing), 3))
    moved = contributing & shifts.any(axis=1)
    if moved.any():
        bad = int(np.argmax(moved))
        checks.refuse(f"shifts[{bad}]", shifts[bad], "a zero shift of a contributing particle")
    return shifts


def check_cell(cell, pbc):
    """Cell vectors, independent where periodic, and pbc; either may be None."""
    if cell is None:
        return None, None if pbc is None else checks.periodic("pbc", pbc)
    if pbc is None:
        raise InputError("pbc: True, False, or three of them, is needed with a cell")
    return structure.check_cell(cell, pbc)


def check_all_rows(all_rows, n_particles):
    """Lists with a row for every particle, in any order."""
    try:
        particles, offsets, neighbors = all_rows
    except (TypeError, ValueError):
        checks.refuse("all_rows", all_rows, "(particles, offsets, neighbors)")
    particles = checks.integers("all_rows[0]", particles, (n_particles,), least=0)
    if not np.array_equal(np.sort(particles), np.arange(n_particles)):
        raise InputError(f"all_rows[0]: each of the {n_particles} particles once is needed")
    return particles, *check_lists(particles, offsets, neighbors, n_particles)


def check_species(names, argument="species"):
    """Return species names as a tuple; InputError unless they are different strings."""
    requirement = "a sequence of chemical symbols, at least one,"
    names = [names] if isinstance(names, str) else checks.sequence(argument, names, requirement)
    if not names or not all(isinstance(k, str) and k and k.isprintable() for k in names):
        checks.refuse(argument, names, requirement)
    if len(set(names)) < len(names):
        checks.refuse(argument, names, "each symbol only once")
    return tuple(map(str, names))  # plain strings, also where NumPy's were given
