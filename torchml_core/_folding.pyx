"""Particles and the atoms that they are images of: values that are added up.

In numpy this takes longer than a small network: ``add.at`` is slow, and sums by sorting are others.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t

from torchml_core._arrays cimport is_array_of

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
    parents, contributing = c_array(parents, cnp.NPY_INT32), c_array(contributing, cnp.NPY_BOOL)
    cdef cnp.npy_intp n = cnp.PyArray_SIZE(parents), k
    cdef const int32_t *own = <const int32_t *> cnp.PyArray_DATA(parents)
    cdef const char *counted = <const char *> cnp.PyArray_DATA(contributing)
    cdef int64_t n_atoms = 0
    if cnp.PyArray_SIZE(contributing) != n:
        raise ValueError(f"{contributing.size} particles, parents of {n}")
    numbers = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT64, 0)
    made = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT64, 0)
    cdef int64_t *number = <int64_t *> cnp.PyArray_DATA(numbers)
    cdef int64_t *result = <int64_t *> cnp.PyArray_DATA(made)
    for k in range(n):
        number[k] = n_atoms
        n_atoms += counted[k] != 0
    for k in range(n):
        if not 0 <= own[k] < n:
            raise IndexError(f"parent {own[k]} of {n} particles")
        result[k] = number[own[k]]
    return made


def fold_rows(values, parents, contributing, cnp.npy_intp n_atoms):
    """Return (n_atoms, ...): the sum of the rows of each atom's particles, in their order.

    Parameters
    ----------
    values : (n_particles, ...) float64
    parents, contributing
        As for :func:`atoms_of`.
    """
    atoms, values = atoms_of(parents, contributing), c_array(values, cnp.NPY_DOUBLE)
    cdef cnp.npy_intp n = cnp.PyArray_SIZE(atoms), columns = 1, k, column
    cdef cnp.npy_intp[64] shape
    cdef int n_dims = cnp.PyArray_NDIM(values), axis
    if cnp.PyArray_DIM(values, 0) != n:
        raise ValueError(f"{len(values)} rows of {n} particles")
    shape[0] = n_atoms
    for axis in range(1, n_dims):
        shape[axis] = cnp.PyArray_DIM(values, axis)
        columns *= shape[axis]
    made = cnp.PyArray_ZEROS(n_dims, shape, cnp.NPY_DOUBLE, 0)
    cdef const double *row = <const double *> cnp.PyArray_DATA(values)
    cdef const int64_t *atom = <const int64_t *> cnp.PyArray_DATA(atoms)
    cdef double *onto = <double *> cnp.PyArray_DATA(made)
    for k in range(n):
        if not 0 <= atom[k] < n_atoms:
            raise IndexError(f"atom {atom[k]} of {n_atoms}")
        for column in range(columns):
            onto[columns * atom[k] + column] += row[columns * k + column]
    return made


cdef c_array(array, int number):
    """A C-contiguous array of a type of numbers: most often the array itself."""
    if is_array_of(number, array):
        return array
    return np.ascontiguousarray(array, cnp.PyArray_DescrFromType(number))
