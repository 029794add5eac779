"""Particles and the atoms that they are images of: values that are added up, and positions.

In numpy this takes longer than a small network: ``add.at`` is slow, sums by sorting are others, and
rows that are picked and moved pass through the caches several times.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

cnp.import_array()


def atoms_of(parents, contributing):
    """Return (n_particles,) int64, the number of each particle's parent among those that
    contribute.

    Parameters
    ----------
    parents : (n_particles,) int
        Numbers of contributing particles.
    contributing : (n_particles,) bool
    """
    cdef const int32_t[::1] own = np.ascontiguousarray(parents, dtype=np.int32)
    cdef Py_ssize_t n = own.shape[0], k
    cdef const cnp.uint8_t[::1] counted = np.ascontiguousarray(contributing).view(np.uint8)
    cdef int64_t[::1] atom_of = np.empty(n, dtype=np.int64)
    cdef int64_t[::1] result
    cdef int64_t n_atoms = 0
    if counted.shape[0] != n:
        raise ValueError(f"{n} parents of {counted.shape[0]} particles")
    for k in range(n):
        atom_of[k] = n_atoms
        n_atoms += counted[k]
    made = np.empty(n, dtype=np.int64)
    result = made
    for k in range(n):
        if not 0 <= own[k] < n:
            raise IndexError(f"parent {own[k]} of {n} particles")
        result[k] = atom_of[own[k]]
    return made


def fold_rows(const double[:, ::1] values, const int64_t[::1] atoms, Py_ssize_t n_atoms):
    """Return (n_atoms, columns): the sum of the rows of each atom's particles, in their order."""
    cdef Py_ssize_t n = values.shape[0], columns = values.shape[1], k, column
    cdef double[:, ::1] result
    if atoms.shape[0] != n:
        raise ValueError(f"{atoms.shape[0]} atoms of {n} particles")
    made = np.zeros((n_atoms, columns))
    result = made
    for k in range(n):
        if not 0 <= atoms[k] < n_atoms:
            raise IndexError(f"atom {atoms[k]} of {n_atoms}")
        for column in range(columns):
            result[atoms[k], column] += values[k, column]
    return made


def placed(const double[:, ::1] positions, const int64_t[::1] atoms, const double[:, ::1] moves):
    """Return (n_particles, 3): the position of each particle's atom, plus its move."""
    cdef Py_ssize_t n = atoms.shape[0], n_atoms = positions.shape[0], k, axis
    cdef double[:, ::1] result
    if moves.shape[0] != n or moves.shape[1] != 3 or positions.shape[1] != 3:
        raise ValueError(f"{moves.shape[0]} moves of {n} particles")
    made = np.empty((n, 3))
    result = made
    for k in range(n):
        if not 0 <= atoms[k] < n_atoms:
            raise IndexError(f"atom {atoms[k]} of {n_atoms}")
        for axis in range(3):
            result[k, axis] = positions[atoms[k], axis] + moves[k, axis]
    return made


def largest_move(const double[:, ::1] old, const double[:, ::1] new, double scale):
    """Return the square of the largest distance between rows, multiplied by scale before."""
    cdef Py_ssize_t k
    cdef double x, y, z, largest = 0
    if old.shape[0] != new.shape[0] or old.shape[1] != 3 or new.shape[1] != 3:
        raise ValueError(f"{new.shape[0]} positions of {old.shape[0]} atoms")
    for k in range(old.shape[0]):
        x = (new[k, 0] - old[k, 0]) * scale
        y = (new[k, 1] - old[k, 1]) * scale
        z = (new[k, 2] - old[k, 2]) * scale
        largest = max(largest, x * x + y * y + z * z)
    return largest
