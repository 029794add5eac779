"""Values of particles added to the atoms that they are images of.

In numpy this takes longer than a small network: ``add.at`` is slow, and sums by sorting are others.
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
