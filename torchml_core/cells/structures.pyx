"""A search of structures, in threads, and the lists of the pairs that it found.

A search keeps which points are neighbors of which. From that the lists are written once their
length is known, in the order of the atoms whatever the order of the cells, so that results depend
neither on threads nor on how often arrays had to grow.
"""

from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free
from libc.string cimport memset

from torchml_core._parallel cimport share
from torchml_core.cells.faults cimport FINE, INTERRUPTED, NO_MEMORY, TOO_MANY_IMAGES
from torchml_core.cells.grid cimport make_grid
from torchml_core.cells.grid_memory cimport free_grid, grown, renewed
from torchml_core.cells.rows cimport write_lengths, write_row
from torchml_core.cells.search cimport (
    candidates, find_surroundings, free_hits, free_surroundings, search_cell,
)
from torchml_core.signals cimport interrupted

cdef enum:
    ROWS_AT_ONCE = 16
    TASKS_OF_A_THREAD = 4      # so that none waits for long for another at the end
    ATOMS_OF_A_TASK = 1 << 16  # at most: a thread that is done with its own takes another's


# What threads are told of the step that they work on.
cdef struct Step:
    Search *search
    const Criterion *criterion
    const Structures *structures
    int n_threads             # within a structure
    # of lists that are written
    const Lists *lists
    int32_t first_atom


cdef Fault find_pairs(
    Search *search, const Structures *structures, const Criterion *criterion, int n_threads,
    int64_t *faulty,
) noexcept nogil:
    """Search structures for pairs of atoms.

    search : OUT its watch is set
    faulty : OUT the first structure that cannot be searched, where the fault is one of its own
    """
    cdef Fault fault
    cdef Step step
    cdef int64_t k
    faulty[0] = 0
    search.n_threads = n_threads
    if not reserve_structures(search, structures):
        return NO_MEMORY
    if structures.n == 0:
        search.offsets[0] = 0
        return FINE
    step.search = search
    step.structures = structures
    step.criterion = criterion
    # threads for structures, or within the only one
    step.n_threads = n_threads if structures.n == 1 else 1
    share(
        1 if structures.n == 1 else n_threads, structures.n, 1, make_some_grids, &step,
        &search.watch,
    )
    if search.watch.stopped:
        return INTERRUPTED
    for k in range(structures.n):
        fault = search.faults[k]
        if fault == FINE:
            fault = check_size(search, k, criterion.most_pairs)
        if fault != FINE:
            faulty[0] = k
            return fault
    if not share_out(search, n_threads):
        return NO_MEMORY
    if search.n_atoms:
        share(n_threads, search.n_tasks, 1, do_some_tasks, &step, &search.watch)
    if search.watch.stopped:
        return INTERRUPTED
    for k in range(search.n_tasks):
        if search.tasks[k].failed:
            return NO_MEMORY
    search.offsets[0] = 0
    for k in range(search.n_atoms):
        search.offsets[k + 1] = search.offsets[k] + search.n_hits[k]
    return FINE


cdef bint reserve_structures(Search *search, const Structures *structures) noexcept nogil:
    """Make room for what is found; False if memory is short."""
    cdef int64_t n = structures.n, held = search.structures_held, n_atoms, k
    search.n_structures = search.n_tasks = search.n_atoms = 0  # until all is there
    if not (
        grown(<void **> &search.grids, held, n, sizeof(Grid))
        and grown(<void **> &search.around, held, n, sizeof(Surroundings))
        and grown(<void **> &search.faults, held, n, sizeof(Fault))
        and grown(<void **> &search.atom_offsets, held, n, sizeof(int64_t))
    ):
        return False
    search.structures_held = max(n, held)
    for k in range(n + 1):
        search.atom_offsets[k] = structures.atom_offsets[k] - structures.atom_offsets[0]
    n_atoms = search.atom_offsets[n]
    if n_atoms >= search.atoms_held:
        search.atoms_held = 0
        if not (
            renewed(<void **> &search.home, (n_atoms + 1) * sizeof(int32_t))
            and renewed(<void **> &search.task_of, (n_atoms + 1) * sizeof(int32_t))
            and renewed(<void **> &search.first_hit, (n_atoms + 1) * sizeof(int64_t))
            and renewed(<void **> &search.n_hits, (n_atoms + 1) * sizeof(int64_t))
            and renewed(<void **> &search.offsets, (n_atoms + 1) * sizeof(int64_t))
        ):
            return False
        search.atoms_held = n_atoms + 1
    search.n_structures = n
    search.n_atoms = n_atoms
    return True


cdef void free_search(Search *search) noexcept nogil:
    cdef int64_t k
    for k in range(search.structures_held):
        free_grid(&search.grids[k])
        free_surroundings(&search.around[k])
    for k in range(search.tasks_held):
        free_hits(&search.hits[k])
    free(search.grids)
    free(search.around)
    free(search.faults)
    free(search.atom_offsets)
    free(search.tasks)
    free(search.hits)
    free(search.home)
    free(search.task_of)
    free(search.first_hit)
    free(search.n_hits)
    free(search.offsets)
    memset(search, 0, sizeof(Search))


# ---- grids


cdef void make_some_grids(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef int64_t k
    for k in range(first, end):
        make_grid_of(<const Step *> context, k)


cdef void make_grid_of(const Step *step, int64_t k) noexcept nogil:
    cdef Search *search = step.search
    cdef int64_t first = search.atom_offsets[k]
    search.grids[k].most_points = step.criterion.most_points
    search.grids[k].most_pairs = step.criterion.most_pairs
    search.faults[k] = make_grid(
        step.structures.positions + 3 * first,
        search.atom_offsets[k + 1] - first,
        step.structures.cells + 9 * k,
        step.structures.periodic + 3 * k,
        step.criterion.limit,
        search.home + first,
        &search.grids[k],
        step.n_threads,
        &search.watch,
    )
    if search.faults[k] == FINE and not find_surroundings(&search.grids[k], &search.around[k]):
        search.faults[k] = NO_MEMORY


cdef Fault check_size(const Search *search, int64_t k, double most_pairs) noexcept nogil:
    """Whether a structure has too many pairs, roughly."""
    # a sphere fills between a sixth and a third of the cells that are searched for it
    cdef int64_t n_atoms = search.atom_offsets[k + 1] - search.atom_offsets[k]
    cdef double tests = <double> n_atoms * search.grids[k].n_points
    if tests / 6 <= most_pairs:
        return FINE
    tests = candidates(&search.grids[k], &search.around[k])
    if tests < 0:
        return NO_MEMORY
    return FINE if tests / 6 <= most_pairs else TOO_MANY_IMAGES


cdef double count_tests(const Search *search) noexcept nogil:
    """How many pairs of points a search has tested, which its time is made of."""
    cdef int64_t k
    cdef double n = 0
    for k in range(search.n_structures):
        n += candidates(&search.grids[k], &search.around[k])
    return n


# ---- pairs


cdef bint share_out(Search *search, int n_threads) noexcept nogil:
    """Cut one structure into pieces, several per thread; of many, each is a task.

    False if memory is short.
    """
    cdef int64_t k, piece, cell, seen, target, pieces = 1, n
    cdef const Grid *grid
    cdef Task *task
    if search.n_structures == 1:
        pieces = TASKS_OF_A_THREAD * n_threads if n_threads > 1 else 1
        pieces = max(pieces, search.n_atoms // ATOMS_OF_A_TASK)
    n = search.n_structures * pieces
    if not (
        grown(<void **> &search.tasks, search.tasks_held, n, sizeof(Task))
        and grown(<void **> &search.hits, search.tasks_held, n, sizeof(Hits))
    ):
        return False
    search.tasks_held = max(n, search.tasks_held)
    for k in range(search.n_structures):
        grid = &search.grids[k]
        cell = seen = 0
        for piece in range(pieces):
            task = &search.tasks[search.n_tasks]
            task.structure = k
            task.failed = False
            task.first = cell
            target = search.n_atoms * (piece + 1) // pieces
            if piece == pieces - 1:
                cell = grid.n_occupied
            while cell < grid.n_occupied and seen < target:
                seen += grid.starts[grid.occupied[cell] + 1] - grid.starts[grid.occupied[cell]]
                cell += 1
            task.end = cell
            search.n_tasks += 1
    return True


cdef void do_some_tasks(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef int64_t t
    for t in range(first, end):
        do_task(<const Step *> context, t)


cdef void do_task(const Step *step, int64_t t) noexcept nogil:
    """Search the cells of a task; it fails if memory is short, or if it is interrupted."""
    cdef:
        Search *search = step.search
        Task *task = &search.tasks[t]
        const Grid *grid = &search.grids[task.structure]
        int64_t first = search.atom_offsets[task.structure], k, cell, p
        int32_t *task_of = search.task_of + first
        # a copy of its own: what threads count in neighboring members would go between caches
        Hits own = search.hits[t]
    own.n = 0
    own.last_cell = INT64_MAX  # of another grid
    for k in range(task.first, task.end):
        cell = grid.occupied[k]
        task.failed = not search_cell(
            grid, &search.around[task.structure], step.criterion, cell, &own,
            search.first_hit + first, search.n_hits + first, &search.watch,
        )
        if task.failed:
            break
        for p in range(grid.starts[cell], grid.starts[cell + 1]):
            task_of[grid.points[p].atom] = <int32_t> t
    search.hits[t] = own


# ---- lists


cdef void write_lists(Search *search, const Lists *lists, int32_t first_atom) noexcept nogil:
    """Write the lists that are not NULL, each with room for all pairs.

    Atoms are counted among those of all structures, from first_atom.
    """
    cdef Step step
    if pairs_of(search) == 0:
        return
    step.search = search
    step.lists = lists
    step.first_atom = first_atom
    share(
        search.n_threads, (search.n_atoms + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE, 1,
        write_some_blocks, &step, &search.watch,
    )


cdef void write_some_blocks(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Step *step = <const Step *> context
    cdef int64_t block, atom, first_atom, end_atom
    cdef Search *search = step.search
    for block in range(first, end):
        first_atom = block * ROWS_AT_ONCE
        end_atom = min(first_atom + ROWS_AT_ONCE, search.n_atoms)
        if interrupted(&search.watch, search.offsets[end_atom] - search.offsets[first_atom]):
            return
        for atom in range(first_atom, end_atom):
            write_row_of(step, atom)
        write_lengths(step.lists, search.offsets[first_atom], search.offsets[end_atom])


cdef inline void write_row_of(const Step *step, int64_t atom) noexcept nogil:
    cdef const Search *search = step.search
    cdef int64_t structure = search.tasks[search.task_of[atom]].structure
    write_row(
        &search.grids[structure],
        search.home[atom],
        row_of(search, atom),
        search.offsets[atom],
        search.n_hits[atom],
        step.first_atom + <int32_t> search.atom_offsets[structure],
        step.lists,
    )
