"""Lists of atoms that move: whether they still hold, and where all particles are then.

In numpy this is a dozen calls in each step of a simulation, and takes longer than a small network.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int64_t

from torchml_core._arrays cimport all_equal, all_finite, are_same, is_array_of

from torchml_core import checks

cnp.import_array()


cdef class Mover:
    """The particles of some atoms in a cell, wherever the atoms are.

    Parameters
    ----------
    atoms : (n_particles,) int64
        The atom that each particle is an image of.
    moves : (n_particles, 3) float64
        What is added to the position of the atom.
    """

    cdef object atoms, moves
    cdef int64_t n_atoms        # at least

    def __init__(self, atoms, moves):
        self.atoms, self.moves = np.ascontiguousarray(atoms, np.int64), vectors(moves)
        if len(self.atoms) != len(self.moves) or (len(atoms) and atoms.min() < 0):
            raise ValueError(f"{len(moves)} moves of {len(atoms)} particles")
        self.n_atoms = 1 + atoms.max() if len(atoms) else 0

    def __reduce__(self):
        return type(self), (self.atoms, self.moves)

    def __call__(self, positions):
        """Return (n_particles, 3): the position of each particle's atom, plus its move."""
        return self.placed(vectors(positions))

    cdef placed(self, positions):
        cdef cnp.npy_intp[2] shape = [cnp.PyArray_DIM(self.atoms, 0), 3]
        cdef Py_ssize_t k, axis
        if cnp.PyArray_DIM(positions, 0) < self.n_atoms:
            raise IndexError(f"{len(positions)} positions, {self.n_atoms} are needed")
        made = cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0)
        cdef const int64_t *atom = <const int64_t *> cnp.PyArray_DATA(self.atoms)
        cdef const double *place = <const double *> cnp.PyArray_DATA(positions)
        cdef const double *move = <const double *> cnp.PyArray_DATA(self.moves)
        cdef double *result = <double *> cnp.PyArray_DATA(made)
        for k in range(shape[0]):
            for axis in range(3):
                result[3 * k + axis] = place[3 * atom[k] + axis] + move[3 * k + axis]
        return made


cdef class Reach:
    """Atoms in a cell when their lists were made, and how far they may move until others are.

    Parameters
    ----------
    numbers, positions, cell, pbc : arrays
        Copies of what the lists were made for.
    mover : Mover
    scale : float
        Lengths multiplied by it can be squared.
    largest : float
        The square of the largest move, multiplied by scale before. 0: none may move at all.
    """

    cdef object numbers, positions, cell, pbc
    cdef Mover mover
    cdef double scale, largest

    def __init__(self, numbers, positions, cell, pbc, Mover mover, double scale, double largest):
        self.numbers, self.positions = numbers, vectors(positions)
        self.cell, self.pbc = cell, pbc
        self.mover, self.scale, self.largest = mover, scale, largest

    def __reduce__(self):
        made_of = self.numbers, self.positions, self.cell, self.pbc, self.mover
        return type(self), (*made_of, self.scale, self.largest)

    def place(self, structure):
        """Return the positions of all particles, (n_particles, 3), for atoms that have moved.

        None: the lists do not hold for this structure, or something is wrong with it.
        """
        try:
            numbers, pbc = structure.numbers, structure.pbc
            cell, positions = structure.cell, structure.positions
        except AttributeError:  # not ASE's Atoms
            return None
        cell = getattr(cell, "array", cell)
        if not (are_same(self.numbers, numbers) and are_same(self.cell, cell)):
            return None
        if not are_same(self.pbc, pbc):
            return None
        if not is_array_of(cnp.NPY_DOUBLE, positions):
            positions = checks.positions("positions", positions)
        if not cnp.PyArray_SAMESHAPE(positions, self.positions) or not self.holds(positions):
            return None
        return self.mover.placed(positions)

    cdef bint holds(self, positions):
        """Whether lists are still complete."""
        cdef Py_ssize_t n = cnp.PyArray_DIM(positions, 0), k
        cdef const double *old = <const double *> cnp.PyArray_DATA(self.positions)
        cdef const double *new = <const double *> cnp.PyArray_DATA(positions)
        cdef double x, y, z, square, largest = 0
        if self.largest == 0:
            return all_equal(old, new, 3 * n)
        if not all_finite(new, 3 * n):
            return False
        for k in range(n):
            x = (new[3 * k] - old[3 * k]) * self.scale
            y = (new[3 * k + 1] - old[3 * k + 1]) * self.scale
            z = (new[3 * k + 2] - old[3 * k + 2]) * self.scale
            square = x * x + y * y + z * z
            largest = square if square > largest else largest
        return largest <= self.largest


cdef vectors(array):
    """A C-contiguous array (n, 3) of float64."""
    array = np.ascontiguousarray(array, np.float64)
    if cnp.PyArray_NDIM(array) != 2 or cnp.PyArray_DIM(array, 1) != 3:
        raise ValueError(f"vectors of shape {array.shape}")
    return array
