"""Searches for pairs as Python objects.

What is searched and found is in cells/structures.pyx, particles in cells/particles.pyx.
"""

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memcpy, memset

from torchml_core._memory cimport new_array
from torchml_core.cells.faults cimport (
    FINE, NO_MEMORY, TOO_FAR, TOO_LARGE, TOO_MANY_IMAGES, TOO_OBLIQUE, Fault,
)
from torchml_core.cells.ghosts cimport Ghosts, free_ghosts
from torchml_core.cells.particles cimport Particles, number_ghosts, write_particles
from torchml_core.cells.rows cimport Lists
from torchml_core.cells.search cimport Criterion
from torchml_core.cells.structures cimport (
    Search, Structures, count_tests, find_pairs, free_search, pairs_of, write_lists,
)
from torchml_core.signals cimport raise_interruption, watch_signals

from torchml_core.errors import InputError
from torchml_core.threads import in_main_thread

cnp.import_array()

FAULTS = {
    TOO_MANY_IMAGES: "too many images",
    TOO_FAR: "too far",
    TOO_OBLIQUE: "too oblique",
    TOO_LARGE: "too large",
}
# Of a search, for each atom and image, and for each pair; its arrays have some more room than they
# need.
BYTES_PER_POINT, BYTES_PER_HIT = 90, 6
MOST_POINTS = 2**31 - 1
# The memory of a search is kept for the next one up to so many atoms (of some 300 bytes) and pairs.
KEPT_ATOMS, KEPT_PAIRS = 200_000, 10_000_000
# Threads cost some microseconds, and more where others want the processor too.
WORTH_A_THREAD = 500  # atoms

cdef enum:
    MOST_IDLE = 8

# Searches that are not in use. Taking one, and putting it back, is a single step for all threads
# and signal handlers, so no two ever have the same.
cdef list idle = []


cdef class PairSearch:
    """A search, and what it found. Can be used again, and keeps its memory for that.

    For one user at a time, ``with search: ...`` from ``run`` to the last ``fill``: other threads,
    signal handlers and finalizers run in between.
    """

    def __cinit__(self):
        memset(&self.search, 0, sizeof(Search))

    def __dealloc__(self):
        free_search(&self.search)

    def __enter__(self):
        self.take()
        return self

    def __exit__(self, *_):
        self.in_use = False

    cdef int take(self) except -1:
        if self.in_use:
            raise InputError(
                "out = this workspace: it is in use by another search, in another thread or one"
                " that a signal handler interrupted; a NeighborWorkspace for each is needed"
            )
        self.in_use = True
        return 0

    def run(
        self,
        const double[:, ::1] positions,
        const int64_t[::1] atom_offsets,
        const double[:, :, ::1] cells,
        const int[:, ::1] periodic,
        double limit,
        *,
        bint half=False,
        bint selves=False,
        bint ordered=False,
        double most_points=MOST_POINTS,
        double most_pairs=2**62,
        int n_threads=1,
    ):
        """Search structures for pairs of atoms with a distance < limit.

        Parameters
        ----------
        positions : (n_atoms, 3) float64
            Of all structures, one after another.
        atom_offsets : (n_structures + 1,) int64
            Where each structure's atoms begin.
        cells : (n_structures, 3, 3) float64
        periodic : (n_structures, 3) int32
        limit : float
        most_points, most_pairs : float
            No structure may need more points with its images, or have more pairs (roughly).

        Returns
        -------
        (structure, fault) or None
            The first structure that cannot be searched, and the key of FAULTS that says why.
        """
        cdef Criterion criterion = [limit, half, selves, ordered, most_points, most_pairs]
        cdef Structures structures
        cdef int64_t faulty
        cdef Fault fault
        structures.n = atom_offsets.shape[0] - 1
        structures.atom_offsets = &atom_offsets[0]
        structures.positions = &positions[0, 0] if positions.shape[0] else NULL
        structures.cells = &cells[0, 0, 0] if structures.n else NULL
        structures.periodic = &periodic[0, 0] if structures.n else NULL
        fault = self.find(&structures, &criterion, n_threads, &faulty)
        return None if fault == FINE else (faulty, fault)

    cdef Fault find(
        self, const Structures *structures, const Criterion *criterion, int n_threads,
        int64_t *faulty,
    ) except *:
        """Search structures; a fault is one of those that are the structures' own."""
        cdef Fault fault
        watch_signals(&self.search.watch, in_main_thread())
        with nogil:
            fault = find_pairs(&self.search, structures, criterion, n_threads, faulty)
        raise_interruption(&self.search.watch)
        if fault == NO_MEMORY:
            raise MemoryError("neighbor search")
        return fault

    @property
    def n_pairs(self):
        """Number of pairs that were found."""
        return pairs_of(&self.search)

    @property
    def offsets(self):
        """(n_atoms + 1,) int64, where the pairs of each atom begin."""
        return self.copied_offsets()

    cdef copied_offsets(self):
        cdef cnp.npy_intp n = self.search.n_atoms + 1
        offsets = new_array(1, &n, cnp.NPY_INT64)
        memcpy(cnp.PyArray_DATA(offsets), self.search.offsets, n * sizeof(int64_t))
        return offsets

    def n_tests(self):
        """Return how many pairs of points the search has tested, which its time is made of."""
        return count_tests(&self.search)

    def fill(
        self,
        int32_t[::1] i=None,
        int32_t[::1] j=None,
        int32_t[:, ::1] S=None,
        double[:, ::1] D=None,
        double[::1] d=None,
    ):
        """Write the lists that are given, each as long as ``offsets[-1]`` says."""
        cdef Lists lists
        if pairs_of(&self.search) == 0:
            return
        lists.i = &i[0] if i is not None else NULL
        lists.j = &j[0] if j is not None else NULL
        lists.S = &S[0, 0] if S is not None else NULL
        lists.D = &D[0, 0] if D is not None else NULL
        lists.d = &d[0] if d is not None else NULL
        self.write(&lists, 0)

    cdef int write(self, const Lists *lists, int32_t first_atom) except -1:
        """Write lists; atoms are counted among those of all structures, from first_atom."""
        watch_signals(&self.search.watch, in_main_thread())
        with nogil:
            write_lists(&self.search, lists, first_atom)
        return raise_interruption(&self.search.watch)

    def particles(
        self,
        const double[:, ::1] positions,
        const double[:, ::1] cell,
        const int32_t[::1] codes,
        int64_t n_layers,
        double most,
    ):
        """Turn images into ghosts with numbers of their own. For one structure.

        Parameters
        ----------
        positions, cell, codes
            Of the atoms: (n_atoms, 3), (3, 3), and (n_atoms,) codes of their species.
        n_layers : int
            Ghosts are all images within so many hops of an atom.
        most : float
            There may not be more particles, atoms and ghosts; fewer than 2**31.

        Returns
        -------
        dict, or None if there would be more than the most
            Arrays of a configuration: atoms, followed by ghosts in the order in which they are met.
        """
        return self.number_particles(&positions[0, 0], &cell[0, 0], &codes[0], n_layers, most)

    cdef dict number_particles(
        self, const double *positions, const double *cell, const int32_t *codes, int64_t n_layers,
        double most,
    ):
        cdef:
            Ghosts ghosts
            Particles particles
            int64_t n_atoms = self.search.n_atoms
            int64_t most_ghosts = <int64_t> most - n_atoms
            cnp.npy_intp n_pairs = pairs_of(&self.search)
            bint enough
        neighbors = new_array(1, &n_pairs, cnp.NPY_INT32)
        cdef int32_t *numbers = <int32_t *> cnp.PyArray_DATA(neighbors)
        memset(&ghosts, 0, sizeof(Ghosts))
        try:
            with nogil:
                enough = number_ghosts(&self.search, n_layers, most_ghosts, &ghosts, numbers)
            raise_interruption(&self.search.watch)
            if ghosts.too_many:
                return None
            if not enough:
                raise MemoryError("neighbor search")
            particles = [
                n_atoms, &ghosts, positions, cell, codes, NULL, NULL, NULL, NULL, NULL, NULL,
            ]
            made = start_particles(&particles)
            with nogil:
                write_particles(&particles, self.search.n_threads, &self.search.watch)
            raise_interruption(&self.search.watch)
        finally:
            free_ghosts(&ghosts)
        made["offsets"] = self.copied_offsets()
        made["neighbors"] = neighbors
        return made


cdef dict start_particles(Particles *particles):
    """Arrays of a configuration, still empty, which particles then point to."""
    cdef cnp.npy_intp[2] shape = [particles.n_atoms + particles.ghosts.n, 3]
    arrays = {
        "positions": new_array(2, shape, cnp.NPY_DOUBLE),
        "shifts": new_array(2, shape, cnp.NPY_INT32),
        "parents": new_array(1, shape, cnp.NPY_INT32),
        "species": new_array(1, shape, cnp.NPY_INT32),
        "contributing": new_array(1, shape, cnp.NPY_BOOL),
    }
    shape[0] = particles.n_atoms
    arrays["centers"] = new_array(1, shape, cnp.NPY_INT32)
    particles.positions = <double *> cnp.PyArray_DATA(arrays["positions"])
    particles.shifts = <int32_t *> cnp.PyArray_DATA(arrays["shifts"])
    particles.parents = <int32_t *> cnp.PyArray_DATA(arrays["parents"])
    particles.species = <int32_t *> cnp.PyArray_DATA(arrays["species"])
    particles.contributing = <char *> cnp.PyArray_DATA(arrays["contributing"])
    particles.centers = <int32_t *> cnp.PyArray_DATA(arrays["centers"])
    return arrays


# ---- searches that are kept


cpdef PairSearch take_idle(n_atoms):
    """Return a search that is not in use: the last one, whose memory may still be in the cache."""
    if n_atoms <= KEPT_ATOMS and idle:
        return idle.pop()
    return PairSearch()


cpdef keep_idle(PairSearch search):
    """Put a search back, if it was small; not after an error, which may leave it inconsistent."""
    if (
        search.search.n_atoms <= KEPT_ATOMS
        and pairs_of(&search.search) <= KEPT_PAIRS
        and len(idle) < MOST_IDLE
    ):
        idle.append(search)
