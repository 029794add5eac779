"""Lists of many structures: some at a time are searched, and their lists written at once.

What a search leaves behind is then still in the cache when its lists are written.
"""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

from torchml_core._memory cimport new_array
from torchml_core._neighbors cimport PairSearch, keep_idle, take_idle
from torchml_core._one_step cimport bytes_per_pair, limit_memory, list_array, point_to
from torchml_core.cells.faults cimport FINE
from torchml_core.cells.rows cimport Lists
from torchml_core.cells.search cimport Criterion
from torchml_core.cells.structures cimport Structures, pairs_of

cnp.import_array()


def batch_lists(
    str quantities,
    const double[:, ::1] positions,
    const int64_t[::1] atom_offsets,
    const double[:, :, ::1] cells,
    const int[:, ::1] periodic,
    double cutoff,
    bint half,
    bint self_interaction,
    bint sorted_rows,
    int n_threads,
    int64_t atoms_at_once,
):
    """Do what :func:`torchml_core.neighbor_lists` does, with arguments that are right.

    Parameters
    ----------
    positions, atom_offsets, cells
        Of a :class:`torchml_core.batch.Batch`.
    periodic : (n_structures, 3) int32
    atoms_at_once : int
        Structures of about so many atoms together are searched before their lists are written.

    Returns
    -------
    tuple of arrays, and None; or None, and (structure, fault)
        The first structure that cannot be searched, and the key of FAULTS that says why.
    """
    cdef:
        int64_t n = cells.shape[0], first = 0, end, k, faulty
        cnp.npy_intp n_begins = n + 1
        Criterion criterion = [cutoff, half, self_interaction, sorted_rows, 0, 0]
        Structures some = [0, NULL, NULL, NULL, NULL]
        PairSearch search
        GrowingLists lists = GrowingLists(quantities, positions.shape[0])
    begins = new_array(1, &n_begins, cnp.NPY_INT64)
    cdef int64_t *begin = <int64_t *> cnp.PyArray_DATA(begins)
    begin[0] = 0
    search = take_idle(positions.shape[0])
    search.take()
    try:
        while first < n:
            end = first + 1
            while (
                end < n
                and end < first + atoms_at_once  # of which many may be empty
                and atom_offsets[end + 1] <= atom_offsets[first] + atoms_at_once
            ):
                end += 1
            some.n = end - first
            some.atom_offsets = &atom_offsets[first]
            if positions.shape[0]:
                some.positions = &positions[0, 0] + 3 * atom_offsets[first]
            some.cells = &cells[first, 0, 0]
            some.periodic = &periodic[first, 0]
            limit_memory(&criterion, lists.n_bytes)
            fault = search.find(&some, &criterion, n_threads, &faulty)
            if fault != FINE:
                return None, (first + faulty, fault)
            for k in range(first, end):
                begin[k + 1] = lists.n_pairs + search.search.offsets[
                    atom_offsets[k + 1] - atom_offsets[first]
                ]
            lists.append(search, <int32_t> atom_offsets[first])
            first = end
    finally:
        search.in_use = False
    keep_idle(search)
    return (*lists.arrays(), begins), None


cdef class GrowingLists:
    """Lists whose length is not known before the last structure."""

    cdef:
        list buffers          # an array for each quantity
        str quantities
        int64_t n_bytes       # of one pair
        int64_t n_atoms       # of all structures
        int64_t atoms_so_far, n_pairs, capacity

    def __init__(self, quantities, n_atoms):
        self.quantities = quantities
        self.n_bytes = bytes_per_pair(quantities)
        self.n_atoms = n_atoms
        self.make_room(0)

    cdef int make_room(self, int64_t n) except -1:
        """Make longer arrays, with the pairs so far in them."""
        cdef list older = self.buffers
        self.buffers = []
        for k, letter in enumerate(self.quantities):
            longer = list_array(letter, n)
            if self.n_pairs:
                longer[:self.n_pairs] = older[k][:self.n_pairs]
            self.buffers.append(longer)
        self.capacity = n
        return 0

    cdef int append(self, PairSearch search, int32_t first_atom) except -1:
        """Append the pairs that a search found."""
        cdef Lists lists
        cdef int64_t n = self.n_pairs + pairs_of(&search.search)
        self.atoms_so_far += search.search.n_atoms
        if n > self.capacity:
            # the others have as many pairs per atom as those so far, and 5% more
            self.make_room(max(
                n,
                self.capacity + self.capacity // 2,
                <int64_t> (1.05 * n * self.n_atoms / self.atoms_so_far),
            ))
        memset(&lists, 0, sizeof(Lists))
        for k, letter in enumerate(self.quantities):
            point_to(&lists, letter, self.buffers[k], self.n_pairs)
        search.write(&lists, first_atom)
        self.n_pairs = n
        return 0

    cdef arrays(self):
        return [array[:self.n_pairs] for array in self.buffers]
