"""Lists and configurations in one step, where all arguments are right as they are.

For small structures, what is done in Python takes longer than a search. What these functions do not
take goes to the checks in Python, which convert it, or say what is wrong; so does what a search
finds to be wrong with a structure.
"""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from torchml_core._memory cimport new_array
from torchml_core._neighbors cimport PairSearch, keep_idle, take_idle
from torchml_core._plain cimport (
    PlainStructure, arrays_of, copy_of_cell, copy_of_pbc, is_plain,
)
from torchml_core.cells.faults cimport FINE
from torchml_core.cells.rows cimport Lists
from torchml_core.cells.search cimport Criterion
from torchml_core.cells.structures cimport Structures, pairs_of

from torchml_core._neighbors import BYTES_PER_HIT, BYTES_PER_POINT, MOST_POINTS, WORTH_A_THREAD
from torchml_core._plain import present
from torchml_core.available_memory import available_memory
from torchml_core.distances import inclusive_limit
from torchml_core.threads import resolve_n_threads

cnp.import_array()

cdef:
    double bytes_per_point = BYTES_PER_POINT
    double bytes_per_hit = BYTES_PER_HIT
    double most_points = MOST_POINTS
    int64_t worth_a_thread = WORTH_A_THREAD


def plain_lists(
    quantities, structure, cutoff, positions, cell, pbc, half, self_interaction, sorted_rows, out,
    n_threads,
):
    """Do what :func:`torchml_core.neighbor_list` does.

    Returns
    -------
    tuple of arrays, array, or None
        None: something is to be converted, or is wrong.
    """
    cdef PlainStructure given
    cdef Criterion criterion
    cdef PairSearch search
    cdef int n_bytes = bytes_per_pair(quantities)
    if structure is not None:
        if positions is not None or cell is not None or pbc is not None:
            return None
        held = arrays_of(structure)
        if held is None:
            return None
        positions, cell, pbc, _ = held
    elif (cell is None) != (pbc is None):
        return None
    if n_bytes == 0 or not is_plain(positions, cell, pbc, &given):
        return None
    if not (is_flag(half) and is_flag(self_interaction) and is_flag(sorted_rows)):
        return None
    if not (is_length(cutoff) and is_number_of_threads(n_threads)):
        return None
    if out is None:
        search = take_idle(given.n_atoms)
    elif type(getattr(out, "_search", None)) is PairSearch:
        search = out._search
    else:
        return None
    criterion = [cutoff, half, self_interaction, sorted_rows, 0, 0]
    search.take()
    try:
        if not is_searched(search, &given, &criterion, n_bytes, n_threads):
            return None
        lists = written(search, quantities, out)
    finally:
        search.in_use = False
    if out is None:
        keep_idle(search)
    return lists


def plain_particles(structure, cutoff, species, n_layers, n_threads, codes_of, most):
    """Do what :meth:`torchml_core.Configuration.from_atoms` does.

    Parameters
    ----------
    codes_of : function
        Of a tuple of atomic numbers and of the species; returns (119,) int32, the code of each
        element, and the names, or None.
    most : function
        Returns how many particles there may be.

    Returns
    -------
    dict, or None
        All attributes of a configuration. None: something is to be converted, or is wrong.
    """
    cdef PlainStructure given
    cdef Criterion criterion
    cdef PairSearch search
    cdef const int64_t *elements
    cdef const int32_t *table
    cdef int32_t *code_of_atom
    cdef cnp.npy_intp n
    held = arrays_of(structure)
    if held is None:
        return None
    positions, cell, pbc, numbers = held
    if not is_plain(positions, cell, pbc, &given) or given.n_atoms == 0:
        return None
    n = given.n_atoms
    if not (is_length(cutoff) and is_number_of_threads(n_threads)):
        return None
    if type(n_layers) is not int or n_layers != 1 or cnp.PyArray_DIM(numbers, 0) != n:
        return None
    found = codes_of(present(numbers), species)
    if found is None:
        return None
    code_of_element, names = found
    codes = new_array(1, &n, cnp.NPY_INT32)
    code_of_atom = <int32_t *> cnp.PyArray_DATA(codes)
    table = <const int32_t *> cnp.PyArray_DATA(code_of_element)
    elements = <const int64_t *> cnp.PyArray_DATA(numbers)
    for k in range(n):
        code_of_atom[k] = table[elements[k]]
    criterion = [inclusive_limit(cutoff), False, False, False, 0, 0]
    search = take_idle(n)
    search.take()
    try:
        if not is_searched(search, &given, &criterion, sizeof(int32_t), n_threads):
            return None
        arrays = search.number_particles(
            given.positions, given.cell, code_of_atom, n_layers, most()
        )
    finally:
        search.in_use = False
    if arrays is None:
        return None
    keep_idle(search)
    arrays["species_names"] = names
    arrays["cell"] = copy_of_cell(&given)
    arrays["pbc"] = copy_of_pbc(&given)
    arrays["cutoff"] = float(cutoff)
    arrays["n_layers"] = n_layers
    arrays["all_rows"] = None
    return arrays


cdef bint is_searched(
    PairSearch search, const PlainStructure *given, Criterion *criterion, int n_bytes, n_threads
) except -1:
    """Search a structure; False if that is not possible.

    criterion : OUT limits of memory
    n_bytes : that are written for each pair
    """
    cdef int64_t[2] offsets = [0, given.n_atoms]
    cdef int64_t faulty
    cdef Structures structures = [1, offsets, given.positions, given.cell, given.periodic]
    cdef int n = 1
    if given.n_atoms >= 2 * worth_a_thread:
        n = resolve_n_threads(n_threads, given.n_atoms // worth_a_thread)
    limit_memory(criterion, n_bytes)
    return search.find(&structures, criterion, n, &faulty) == FINE


cdef int limit_memory(Criterion *criterion, int64_t n_bytes) except -1:
    """Let a search use the memory that is available, with n_bytes written for each pair."""
    cdef double memory = available_memory()
    criterion.most_points = min(memory / bytes_per_point, most_points)
    criterion.most_pairs = memory / (bytes_per_hit + n_bytes)
    return 0


# ---- arguments


cdef inline bint is_flag(value):
    return value is True or value is False


cdef inline bint is_length(value):
    if isinstance(value, float):
        return 0 < <double> value < 1e300
    return type(value) is int and 0 < value < 2**32


cdef inline bint is_number_of_threads(value):
    return value is None or (type(value) is int and value >= 1)


cdef int bytes_per_pair(quantities) except -1:
    """How many bytes the lists take for each pair; 0 if the quantities are not known ones."""
    cdef int n = 0
    cdef int seen = 0, bit
    if type(quantities) is not str:
        return 0
    for letter in <str> quantities:
        bit, size = 0, 0
        if letter == "i":
            bit, size = 1, 4
        elif letter == "j":
            bit, size = 2, 4
        elif letter == "S":
            bit, size = 4, 12
        elif letter == "D":
            bit, size = 8, 24
        elif letter == "d":
            bit, size = 16, 8
        if bit == 0 or seen & bit:
            return 0
        seen |= bit
        n += size
    return n


cdef written(PairSearch search, str quantities, out):
    """The lists, as arrays: one, or a tuple of them in the order that is asked for."""
    cdef Lists lists
    cdef list arrays = []
    cdef int64_t n = pairs_of(&search.search)
    memset(&lists, 0, sizeof(Lists))
    for letter in quantities:
        array = list_array(letter, n) if out is None else out._array(letter, n)
        point_to(&lists, letter, array, 0)
        arrays.append(array)
    if n:
        search.write(&lists, 0)
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


cdef int point_to(Lists *lists, Py_UCS4 letter, array, int64_t first) except -1:
    """Let the list of a quantity begin at one of the pairs of an array."""
    if letter == "i":
        lists.i = <int32_t *> cnp.PyArray_DATA(array) + first
    elif letter == "j":
        lists.j = <int32_t *> cnp.PyArray_DATA(array) + first
    elif letter == "S":
        lists.S = <int32_t *> cnp.PyArray_DATA(array) + 3 * first
    elif letter == "D":
        lists.D = <double *> cnp.PyArray_DATA(array) + 3 * first
    else:
        lists.d = <double *> cnp.PyArray_DATA(array) + first
    return 0


cdef list_array(Py_UCS4 letter, int64_t n):
    """An array for n pairs of a quantity."""
    cdef cnp.npy_intp[2] shape = [n, 3]
    return new_array(
        2 if letter in "SD" else 1,
        shape,
        cnp.NPY_DOUBLE if letter in "Dd" else cnp.NPY_INT32,
    )
