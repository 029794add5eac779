"""A search of structures, in threads, and what it found."""

from libc.stdint cimport int32_t, int64_t

from torchml_core.cells.faults cimport Fault
from torchml_core.cells.grid cimport Grid
from torchml_core.cells.rows cimport Lists
from torchml_core.cells.search cimport Criterion, Hits, Surroundings
from torchml_core.signals cimport SignalWatch


# What is searched: the atoms of all structures, one after another.
cdef struct Structures:
    int64_t n
    const int64_t *atom_offsets   # (n + 1,) where the atoms of each begin; may begin anywhere
    const double *positions       # of the first atom of the first
    const double *cells           # (n, 3, 3)
    const int *periodic           # (n, 3)


# Some cells of one structure: what one thread searches at a time.
cdef struct Task:
    int64_t structure
    int64_t first, end            # counted among the home cells with atoms
    bint failed


# All that a search found, and memory that the next one uses again. Zeros at first.
cdef struct Search:
    SignalWatch watch
    int n_threads
    int64_t n_structures, n_tasks, n_atoms
    # of each structure
    int64_t *atom_offsets         # (n_structures + 1,)
    Grid *grids
    Surroundings *around
    Fault *faults
    # of each task
    Task *tasks
    Hits *hits
    # of each atom: its point, its task, its first hit among the task's, how many they are
    int32_t *home
    int32_t *task_of
    int64_t *first_hit
    int64_t *n_hits
    int64_t *offsets              # (n_atoms + 1,) the first pair of each
    int64_t structures_held, tasks_held, atoms_held


cdef Fault find_pairs(
    Search *search, const Structures *structures, const Criterion *criterion, int n_threads,
    int64_t *faulty,
) noexcept nogil
cdef void write_lists(Search *search, const Lists *lists, int32_t first_atom) noexcept nogil
cdef double count_tests(const Search *search) noexcept nogil
cdef void free_search(Search *search) noexcept nogil


cdef inline int64_t pairs_of(const Search *search) noexcept nogil:
    return search.offsets[search.n_atoms]


cdef inline const int32_t *row_of(const Search *search, int64_t atom) noexcept nogil:
    """The points that are an atom's neighbors."""
    return search.hits[search.task_of[atom]].point + search.first_hit[atom]
