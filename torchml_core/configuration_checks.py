"""Checks of what a Configuration is made of: each returns the array in the dtype that is kept."""

import numpy as np

from torchml_core.errors import InputError


def check_integers(name, values, shape, *, lowest=None, dtype=np.int32):
    """Values as a C-contiguous integer array of the shape asked for."""
    array = np.asarray(values)
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(dtype)  # an empty list
    if array.dtype.kind not in "iu":
        raise InputError(f"{name} is of dtype {array.dtype}; integers are needed")
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; {shape} is needed")
    if lowest is not None and array.size and array.min() < lowest:
        where = int(np.argmin(array))
        raise InputError(f"{name}[{where}] = {array.flat[where]}; at least {lowest} is needed")
    return np.ascontiguousarray(array, dtype=dtype)


def check_centers(centers, contributing):
    centers = check_integers("centers", centers, np.shape(centers), lowest=0)
    expected = np.flatnonzero(contributing)
    if centers.ndim != 1 or not np.array_equal(np.sort(centers), expected):
        raise InputError(
            f"centers must be the {len(expected)} contributing particles, each once: got"
            f" {centers[:10].tolist()}{' ...' if len(centers) > 10 else ''}"
        )
    return centers


def check_lists(centers, offsets, neighbors, n_particles):
    offsets = check_integers("offsets", offsets, (len(centers) + 1,), lowest=0, dtype=np.int64)
    neighbors = check_integers("neighbors", neighbors, np.shape(neighbors), lowest=0)
    if neighbors.ndim != 1:
        raise InputError(f"neighbors has shape {neighbors.shape}; one dimension is needed")
    if offsets[0] != 0 or offsets[-1] != len(neighbors) or (np.diff(offsets) < 0).any():
        raise InputError(
            f"offsets must ascend from 0 to the number of neighbors, {len(neighbors)}: got"
            f" {offsets[0]} ... {offsets[-1]}"
        )
    if neighbors.size and neighbors.max() >= n_particles:
        raise InputError(
            f"neighbors[{neighbors.argmax()}] = {neighbors.max()}, but there are {n_particles}"
            " particles"
        )
    own = neighbors == np.repeat(centers, np.diff(offsets))
    if own.any():
        particle = neighbors[np.argmax(own)]
        raise InputError(f"neighbors: particle {particle} is in its own row")
    return offsets, neighbors


def check_parents(parents, contributing):
    n = len(contributing)
    parents = check_integers("parents", parents, (n,), lowest=0)
    if n and (parents.max() >= n or not contributing[parents].all()):
        bad = int(np.argmax((parents >= n) | ~contributing[np.minimum(parents, n - 1)]))
        raise InputError(f"parents[{bad}] = {parents[bad]} is not a contributing particle")
    own = parents == np.arange(n)
    if not own[contributing].all():
        bad = int(np.flatnonzero(contributing & ~own)[0])
        raise InputError(
            f"parents[{bad}] = {parents[bad]}: a contributing particle is its own parent"
        )
    return parents


def check_cell(cell, pbc):
    if cell is None:
        return None, None if pbc is None else np.broadcast_to(np.asarray(pbc, dtype=bool), 3)
    cell = np.ascontiguousarray(cell, dtype=np.float64)
    if cell.shape != (3, 3):
        raise InputError(f"cell has shape {cell.shape}; (3, 3) is needed")
    if pbc is None:
        raise InputError("pbc: say it where a cell is given")
    return cell, np.array(np.broadcast_to(np.asarray(pbc, dtype=bool), 3))


def check_all_rows(particles, offsets, neighbors, n_particles):
    """Lists with a row for every particle, in any order."""
    particles = check_integers("all_rows[0]", particles, (n_particles,), lowest=0)
    if not np.array_equal(np.sort(particles), np.arange(n_particles)):
        raise InputError(f"all_rows: its rows must be those of all {n_particles} particles")
    return particles, *check_lists(particles, offsets, neighbors, n_particles)
