"""Arguments that are right as they are: C-contiguous arrays of the right type, and finite.

For small structures, checks in Python take longer than a search. What is not taken here is not
wrong: it goes to the checks in Python, which convert it, or say what is wrong with it.
"""

cimport numpy as cnp
from libc.math cimport fabs, sqrt
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy, memset

from torchml_core._arrays cimport all_finite, is_array_of

cdef extern from "plain.h" nogil:
    bint all_up_to(const int64_t *x, int64_t n, uint64_t most)

cdef extern from *:
    """
    /* Sines of this are far from those that the checks refuse. */
    #define CLEARLY_INDEPENDENT 1e-6
    #define LONGEST 1e100
    #define SHORTEST 1e-100
    """
    const double CLEARLY_INDEPENDENT, LONGEST, SHORTEST

cnp.import_array()

cdef enum:
    LAST_ELEMENT = 118        # of ASE's symbols


def plain_structure(positions, cell, pbc):
    """Return (positions, copy of cell, copy of pbc), or None if they are not plain."""
    cdef PlainStructure found
    if not is_plain(positions, cell, pbc, &found):
        return None
    return positions, copy_of_cell(&found), copy_of_pbc(&found)


cdef copy_of_cell(const PlainStructure *structure):
    cdef cnp.npy_intp[2] shape = [3, 3]
    cell = cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0)
    memcpy(cnp.PyArray_DATA(cell), structure.cell, 9 * sizeof(double))
    return cell


cdef copy_of_pbc(const PlainStructure *structure):
    cdef cnp.npy_intp n = 3
    pbc = cnp.PyArray_EMPTY(1, &n, cnp.NPY_BOOL, 0)
    for k in range(3):
        (<char *> cnp.PyArray_DATA(pbc))[k] = structure.periodic[k]
    return pbc


def plain_batch(list structures):
    """Return the arrays of a :class:`torchml_core.batch.Batch`, or None if some are not plain."""
    cdef PlainStructure found
    cdef cnp.npy_intp n = len(structures), k
    cdef cnp.npy_intp[3] shape = [n, 3, 3]
    cdef cnp.npy_intp n_offsets = n + 1
    cdef list parts = []
    offsets = cnp.PyArray_ZEROS(1, &n_offsets, cnp.NPY_INT64, 0)
    cells = cnp.PyArray_EMPTY(3, shape, cnp.NPY_DOUBLE, 0)
    pbc = cnp.PyArray_EMPTY(2, shape, cnp.NPY_BOOL, 0)
    cdef int64_t *offset = <int64_t *> cnp.PyArray_DATA(offsets)
    for k in range(n):
        arrays = arrays_of(structures[k])
        if arrays is None:
            return None
        positions, cell, periodic, _ = arrays
        if not is_plain(positions, cell, periodic, &found):
            return None
        parts.append(positions)
        offset[k + 1] = offset[k] + found.n_atoms
        memcpy(<double *> cnp.PyArray_DATA(cells) + 9 * k, found.cell, 9 * sizeof(double))
        for axis in range(3):
            (<char *> cnp.PyArray_DATA(pbc))[3 * k + axis] = found.periodic[axis]
    shape[0] = offset[n]
    positions = cnp.PyArray_EMPTY(2, shape, cnp.NPY_DOUBLE, 0)
    for k in range(n):
        memcpy(
            <double *> cnp.PyArray_DATA(positions) + 3 * offset[k],
            cnp.PyArray_DATA(parts[k]),
            3 * (offset[k + 1] - offset[k]) * sizeof(double),
        )
    return positions, offsets, cells, pbc


def suspect_cells(const double[:, :, ::1] cells, const unsigned char[:, ::1] pbc):
    """Return the numbers of the cells that a check may refuse."""
    cdef Py_ssize_t n
    cdef int[3] periodic
    found = []
    for n in range(cells.shape[0]):
        for k in range(3):
            periodic[k] = pbc[n, k]
        if not are_independent(&cells[n, 0, 0], periodic):
            found.append(n)
    return found


def plain_numbers(numbers):
    """Whether atomic numbers are int64 and those of elements."""
    return are_plain_numbers(numbers)


def present(numbers):
    """Return the atomic numbers, plain ones, that occur, as a tuple in ascending order."""
    cdef char[LAST_ELEMENT + 1] there
    cdef const int64_t *x = <const int64_t *> cnp.PyArray_DATA(numbers)
    cdef int64_t n = cnp.PyArray_DIM(numbers, 0), k
    memset(there, 0, sizeof(there))
    for k in range(n):
        there[x[k]] = 1
    return tuple([k for k in range(LAST_ELEMENT + 1) if there[k]])


cdef arrays_of(structure):
    """Positions, cell, pbc and atomic numbers of ASE Atoms; None if it is something else."""
    try:
        numbers = structure.numbers
        if not are_plain_numbers(numbers):
            return None
        return structure.positions, structure.cell.array, structure.pbc, numbers
    except AttributeError:
        return None


cdef bint are_plain_numbers(numbers):
    return (
        is_array_of(cnp.NPY_INT64, numbers)
        and cnp.PyArray_NDIM(numbers) == 1
        and all_up_to(
            <const int64_t *> cnp.PyArray_DATA(numbers), cnp.PyArray_DIM(numbers, 0), LAST_ELEMENT
        )
    )


cdef bint is_plain(positions, cell, pbc, PlainStructure *out):
    """Fill a structure; False if it takes conversions, or if a check would refuse it."""
    cdef int k
    if not has_doubles(positions) or cnp.PyArray_DIM(positions, 1) != 3:
        return False
    out.n_atoms = cnp.PyArray_DIM(positions, 0)
    out.positions = <const double *> cnp.PyArray_DATA(positions)
    if not all_finite(out.positions, 3 * out.n_atoms):
        return False
    if cell is None:
        memset(out.cell, 0, sizeof(out.cell))
        if pbc is None:
            pbc = False
    elif has_doubles(cell) and cnp.PyArray_DIM(cell, 0) == 3 and cnp.PyArray_DIM(cell, 1) == 3:
        memcpy(out.cell, cnp.PyArray_DATA(cell), 9 * sizeof(double))
    else:
        return False
    if pbc is True or pbc is False:
        for k in range(3):
            out.periodic[k] = pbc is True
    elif (
        is_array_of(cnp.NPY_BOOL, pbc)
        and cnp.PyArray_NDIM(pbc) == 1
        and cnp.PyArray_DIM(pbc, 0) == 3
    ):
        for k in range(3):
            out.periodic[k] = (<const char *> cnp.PyArray_DATA(pbc))[k]
    else:
        return False
    return all_finite(out.cell, 9) and are_independent(out.cell, out.periodic)


cdef inline bint has_doubles(array):
    """Whether it is two-dimensional and plain."""
    return is_array_of(cnp.NPY_DOUBLE, array) and cnp.PyArray_NDIM(array) == 2


cdef bint are_independent(const double *cell, const int *periodic) noexcept nogil:
    """Whether periodic cell vectors clearly are linearly independent."""
    cdef double[3][3] unit
    cdef double[3] cross
    cdef double length
    cdef int a, k, n = 0
    for a in range(3):
        if not periodic[a]:
            continue
        length = norm(cell + 3 * a)
        if not SHORTEST < length < LONGEST:
            return False
        for k in range(3):
            unit[n][k] = cell[3 * a + k] / length
        n += 1
    if n < 2:
        return True
    for k in range(3):
        cross[k] = (
            unit[0][(k + 1) % 3] * unit[1][(k + 2) % 3]
            - unit[0][(k + 2) % 3] * unit[1][(k + 1) % 3]
        )
    if n == 2:
        return norm(cross) > CLEARLY_INDEPENDENT
    return fabs(
        cross[0] * unit[2][0] + cross[1] * unit[2][1] + cross[2] * unit[2][2]
    ) > CLEARLY_INDEPENDENT


cdef inline double norm(const double *x) noexcept nogil:
    return sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2])
