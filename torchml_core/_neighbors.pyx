"""The door to the cell lists: searches structures in threads, and writes lists where asked.

A search keeps what it found (:class:`PairSearch`): which points are neighbors of which. From that
the lists are written once their length is known, in the order of the atoms whatever the order of
the cells, so that results depend neither on threads nor on how often arrays had to grow.
"""

import numpy as np

from libc.stdint cimport INT64_MAX, int32_t, int64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcpy, memset

from torchml_core._parallel cimport share
from torchml_core.cells.faults cimport (
    FINE, NO_MEMORY, TOO_FAR, TOO_LARGE, TOO_MANY_IMAGES, TOO_OBLIQUE,
)
from torchml_core.cells.ghosts cimport (
    Ghosts, Image, add_shift, free_ghosts, number_of, start_ghosts,
)
from torchml_core.cells.grid cimport Grid, Point, make_grid
from torchml_core.cells.grid_memory cimport free_grid
from torchml_core.cells.rows cimport Lists, write_lengths, write_row
from torchml_core.cells.search cimport (
    Criterion, Hits, Surroundings, candidates, find_surroundings, free_hits, free_surroundings,
    search_cell,
)
from torchml_core.signals cimport SignalWatch, interrupted, raise_interruption, watch_signals

from torchml_core.errors import InputError
from torchml_core.threads import in_main_thread

FAULTS = {
    TOO_MANY_IMAGES: "too many images",
    TOO_FAR: "too far",
    TOO_OBLIQUE: "too oblique",
    TOO_LARGE: "too large",
}


cdef enum:
    ROWS_AT_ONCE = 16
    ATOMS_OF_A_TASK = 1 << 16  # at most: a thread that is done with its own takes another's


# Some cells of one structure: what one thread searches at a time.
cdef struct Task:
    int64_t structure
    int64_t first, end        # counted among the home cells with atoms
    bint failed


# What threads are told of the step that they work on.
cdef struct Step:
    void *search              # the PairSearch, which is there as long as the step lasts
    const Criterion *criterion
    # of structures that grids are made of
    const double *positions
    const double *cells
    const int *periodic
    int n_threads             # within a structure
    # of lists that are written
    const Lists *lists
    int32_t first_atom


cdef class PairSearch:
    """A search, and what it found. Can be used again, and keeps its memory for that.

    For one user at a time, ``with search: ...`` from ``run`` to the last ``fill``: other threads,
    signal handlers and finalizers run in between.
    """

    cdef:
        bint in_use
        SignalWatch watch
        int64_t n_structures, n_tasks, n_atoms, capacity  # capacity: in atoms
        Grid *grids            # of each structure
        Surroundings *around
        int32_t *faults
        Task *tasks
        Hits *hits             # of each task
        int64_t hits_held, grids_held
        int n_threads
        const int64_t[::1] atom_offsets
        # of each atom: its point, its task, its first hit among the task's, how many they are
        int32_t[::1] home_, task_of_
        int64_t[::1] first_hit_, n_hits_, offsets_
        readonly object offsets
        readonly int64_t n_pairs

    def __cinit__(self):
        self.n_structures = self.n_tasks = self.hits_held = self.grids_held = self.capacity = 0

    def __dealloc__(self):
        cdef int64_t k
        for k in range(self.grids_held):
            free_grid(&self.grids[k])
        for k in range(self.hits_held):
            free_hits(&self.hits[k])
        self.free_around()
        free(self.grids)
        free(self.hits)
        free(self.around)
        free(self.faults)
        free(self.tasks)

    def __enter__(self):
        if self.in_use:
            raise InputError(
                "out = this workspace: it is in use by another search, in another thread or one"
                " that a signal handler interrupted; a NeighborWorkspace for each is needed"
            )
        self.in_use = True
        return self

    def __exit__(self, *_):
        self.in_use = False

    cdef void free_around(self) noexcept:
        cdef int64_t k
        for k in range(self.n_structures):
            free_surroundings(&self.around[k])

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
        double most_points=2**31 - 1,
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
        cdef:
            int64_t k
            Criterion criterion
            double tests, n
        criterion.limit = limit
        criterion.half = half
        criterion.selves = selves
        criterion.ordered = ordered
        self.n_threads = n_threads
        watch_signals(&self.watch, in_main_thread())
        self.allocate(atom_offsets)
        for k in range(self.n_structures):
            self.grids[k].most_points = most_points
            self.grids[k].most_pairs = most_pairs
        self.make_grids(positions, cells, periodic, &criterion, n_threads)
        raise_interruption(&self.watch)
        for k in range(self.n_structures):
            # a sphere fills between a sixth and a third of the cells that are searched for it
            n = atom_offsets[k + 1] - atom_offsets[k]
            tests = n * self.grids[k].n_points
            if self.faults[k] == FINE and tests / 6 > most_pairs:
                tests = candidates(&self.grids[k], &self.around[k])
                if tests < 0:
                    self.faults[k] = NO_MEMORY
                elif tests / 6 > most_pairs:
                    self.faults[k] = TOO_MANY_IMAGES
            if self.faults[k] == NO_MEMORY:
                raise MemoryError("neighbor search")
            if self.faults[k] != FINE:
                return k, self.faults[k]
        self.share_out(n_threads)
        self.search(&criterion, n_threads)
        self.add_up()
        self.n_pairs = self.offsets_[self.n_atoms]
        return None

    def n_tests(self):
        """Return how many pairs of points the search has tested, which its time is made of."""
        cdef int64_t k
        cdef double n = 0
        for k in range(self.n_structures):
            n += candidates(&self.grids[k], &self.around[k])
        return n

    cdef add_up(self):
        """Where the rows begin, from their lengths."""
        cdef int64_t atom
        self.offsets = np.empty(self.n_atoms + 1, dtype=np.int64)
        self.offsets_ = self.offsets
        self.offsets_[0] = 0
        for atom in range(self.n_atoms):
            self.offsets_[atom + 1] = self.offsets_[atom] + self.n_hits_[atom]

    cdef allocate(self, const int64_t[::1] atom_offsets):
        cdef int64_t n = atom_offsets.shape[0] - 1
        self.free_around()
        self.n_structures = 0  # until all is there
        self.n_tasks = 0
        self.atom_offsets = atom_offsets
        self.n_atoms = atom_offsets[n]
        self.grids = <Grid *> grown(self.grids, &self.grids_held, n, sizeof(Grid))
        free(self.around)
        free(self.faults)
        self.around = NULL
        self.faults = NULL
        self.around = <Surroundings *> zeros(n, sizeof(Surroundings))
        self.faults = <int32_t *> zeros(n, sizeof(int32_t))
        self.n_structures = n
        if self.capacity <= self.n_atoms:
            self.capacity = self.n_atoms + 1
            self.home_ = np.empty(self.n_atoms + 1, dtype=np.int32)
            self.task_of_ = np.empty(self.n_atoms + 1, dtype=np.int32)
            self.first_hit_ = np.empty(self.n_atoms + 1, dtype=np.int64)
            self.n_hits_ = np.empty(self.n_atoms + 1, dtype=np.int64)

    cdef make_grids(
        self,
        const double[:, ::1] positions,
        const double[:, :, ::1] cells,
        const int[:, ::1] periodic,
        const Criterion *criterion,
        int n_threads,
    ):
        cdef Step step
        # threads for structures, or within the only one
        cdef bint alone = self.n_structures == 1
        if self.n_structures == 0:
            return
        step.search = <void *> self
        step.positions = &positions[0, 0] if self.n_atoms else NULL
        step.cells = &cells[0, 0, 0]
        step.periodic = &periodic[0, 0]
        step.criterion = criterion
        step.n_threads = n_threads if alone else 1
        with nogil:
            share(
                1 if alone else n_threads, self.n_structures, 1, make_some_grids, &step,
                &self.watch,
            )

    cdef void make_grid_of(self, int64_t k, const Step *step) noexcept nogil:
        cdef int64_t first = self.atom_offsets[k]
        self.faults[k] = make_grid(
            step.positions + 3 * first,
            self.atom_offsets[k + 1] - first,
            step.cells + 9 * k,
            step.periodic + 3 * k,
            step.criterion.limit,
            &self.home_[first],
            &self.grids[k],
            step.n_threads,
            &self.watch,
        )
        if self.faults[k] == FINE and not find_surroundings(&self.grids[k], &self.around[k]):
            self.faults[k] = NO_MEMORY

    cdef share_out(self, int n_threads):
        """One structure is cut into pieces, at least one per thread; of many, each is a task."""
        cdef:
            int64_t k, cell, seen, target, pieces = 1
            Grid *grid
        if self.n_structures == 1:
            pieces = max(n_threads, self.n_atoms // ATOMS_OF_A_TASK)
        free(self.tasks)
        self.tasks = NULL
        self.tasks = <Task *> zeros(self.n_structures * pieces, sizeof(Task))
        for k in range(self.n_structures):
            grid = &self.grids[k]
            cell = seen = 0
            for piece in range(pieces):
                self.tasks[self.n_tasks].structure = k
                self.tasks[self.n_tasks].first = cell
                target = self.n_atoms * (piece + 1) // pieces
                while cell < grid.n_occupied and (seen < target or piece == pieces - 1):
                    seen += atoms_in(grid, grid.occupied[cell])
                    cell += 1
                self.tasks[self.n_tasks].end = cell
                self.n_tasks += 1
        self.hits = <Hits *> grown(self.hits, &self.hits_held, self.n_tasks, sizeof(Hits))

    cdef search(self, const Criterion *criterion, int n_threads):
        cdef int64_t t
        cdef Step step
        if self.n_atoms == 0:
            return
        step.search = <void *> self
        step.criterion = criterion
        with nogil:
            share(n_threads, self.n_tasks, 1, do_some_tasks, &step, &self.watch)
        raise_interruption(&self.watch)
        for t in range(self.n_tasks):
            if self.tasks[t].failed:
                raise MemoryError("neighbor search")

    cdef void do_task(self, int64_t t, const Step *step) noexcept nogil:
        cdef Task *task = &self.tasks[t]
        cdef int64_t first = self.atom_offsets[task.structure]
        if self.atom_offsets[task.structure + 1] > first:
            task.failed = not search_cells(
                &self.grids[task.structure],
                &self.around[task.structure],
                step.criterion,
                task.first,
                task.end,
                <int32_t> t,
                &self.hits[t],
                &self.first_hit_[first],
                &self.n_hits_[first],
                &self.task_of_[first],
                &self.watch,
            )

    def fill(
        self,
        int32_t[::1] i=None,
        int32_t[::1] j=None,
        int32_t[:, ::1] S=None,
        double[:, ::1] D=None,
        double[::1] d=None,
        *,
        int32_t first_atom=0,
    ):
        """Write the lists that are given, each as long as ``offsets[-1]`` says.

        Atoms are counted among those of all structures, from first_atom.
        """
        cdef:
            int64_t n_blocks = (self.n_atoms + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE
            Lists lists
            Step step
        if self.n_pairs == 0:
            return
        lists.i = &i[0] if i is not None else NULL
        lists.j = &j[0] if j is not None else NULL
        lists.S = &S[0, 0] if S is not None else NULL
        lists.D = &D[0, 0] if D is not None else NULL
        lists.d = &d[0] if d is not None else NULL
        watch_signals(&self.watch, in_main_thread())
        step.search = <void *> self
        step.lists = &lists
        step.first_atom = first_atom
        with nogil:
            share(self.n_threads, n_blocks, 1, write_some_blocks, &step, &self.watch)
        raise_interruption(&self.watch)

    cdef void write_block(self, int64_t block, const Step *step) noexcept nogil:
        """Write the rows of some atoms."""
        cdef int64_t first = block * ROWS_AT_ONCE
        cdef int64_t end = min(first + ROWS_AT_ONCE, self.n_atoms), atom
        if interrupted(&self.watch, self.offsets_[end] - self.offsets_[first]):
            return
        for atom in range(first, end):
            write_row(
                self.grid_of(atom),
                self.home_[atom],
                self.row_of(atom),
                self.offsets_[atom],
                self.n_hits_[atom],
                step.first_atom
                + <int32_t> self.atom_offsets[self.tasks[self.task_of_[atom]].structure],
                step.lists,
            )
        write_lengths(step.lists, self.offsets_[first], self.offsets_[end])

    def particles(self, int32_t[::1] neighbors, int64_t n_layers, double most):
        """Turn images into ghosts with numbers of their own. For one structure.

        Parameters
        ----------
        neighbors : OUT (n_pairs,) int32
            The particle that each pair's neighbor is: an atom, or a ghost, counted after them.
        n_layers : int
            Ghosts are all images within so many hops of an atom.
        most : float
            There may not be more particles, atoms and ghosts; fewer than 2**31.

        Returns
        -------
        (n_ghosts, 4) int32, or None if there would be more than the most
            Atom and cell shift of each ghost, in the order in which they are met.
        """
        cdef:
            Ghosts ghosts
            int64_t n_known = 0, end, layer = 1
            bint enough = start_ghosts(&ghosts, <int64_t> most - self.n_atoms)
            int32_t[:, ::1] found
            int32_t[::1] number_at
        watch_signals(&self.watch, in_main_thread())
        try:
            if enough and self.n_pairs:
                number_at = np.full(self.grids[0].n_points, -1, dtype=np.int32)
                with nogil:
                    enough = self.number_neighbors(&ghosts, &number_at[0], &neighbors[0])
            with nogil:
                while enough and layer < n_layers and n_known < ghosts.n:
                    end = ghosts.n
                    enough = self.grow(&ghosts, n_known, end)
                    n_known = end
                    layer += 1
            raise_interruption(&self.watch)
            if ghosts.too_many:
                return None
            if not enough:
                raise MemoryError("neighbor search")
            found = np.empty((ghosts.n, 4), dtype=np.int32)
            if ghosts.n:
                memcpy(&found[0, 0], ghosts.images, ghosts.n * sizeof(Image))
            return np.asarray(found)
        finally:
            free_ghosts(&ghosts)

    cdef bint number_neighbors(
        self, Ghosts *ghosts, int32_t *number_at, int32_t *neighbors
    ) noexcept nogil:
        """Write the particle that each pair's neighbor is; False if that cannot be done.

        number_at : (n_points,) IN all -1. A point is the same image for all atoms that stand in
        the cell, so its number is looked up once; for the others each time.
        """
        cdef int64_t atom, k, number
        cdef const Point *points = self.grids[0].points
        cdef const Point *here
        cdef const Point *there
        cdef const int32_t *row
        cdef bint in_cell
        for atom in range(self.n_atoms):
            here = points + self.home_[atom]
            in_cell = not (here.a | here.b | here.c)
            row = self.row_of(atom)
            if interrupted(&self.watch, 4 * self.n_hits_[atom]):
                return False
            for k in range(self.n_hits_[atom]):
                there = points + row[k]
                number = there.atom
                if (there.a - here.a) | (there.b - here.b) | (there.c - here.c):
                    number = number_at[row[k]] if in_cell else -1
                    if number < 0:
                        number = number_of(ghosts, self.image_of(atom, row[k]))
                        if number < 0:
                            return False
                        if in_cell:
                            number_at[row[k]] = <int32_t> number
                    number += self.n_atoms
                neighbors[k] = <int32_t> number
            neighbors += self.n_hits_[atom]
        return True

    cdef bint grow(self, Ghosts *ghosts, int64_t first, int64_t end) noexcept nogil:
        """Add the images that are neighbors of some ghosts; False if that cannot be done."""
        cdef int64_t ghost, k
        cdef const int32_t *row
        cdef Image here, image
        for ghost in range(first, end):
            here = ghosts.images[ghost]
            row = self.row_of(here.atom)
            if interrupted(&self.watch, 10 * self.n_hits_[here.atom]):
                return False
            for k in range(self.n_hits_[here.atom]):
                image = self.image_of(here.atom, row[k])
                if not add_shift(&image, &here):
                    ghosts.too_many = True
                    return False
                if (image.a or image.b or image.c) and number_of(ghosts, image) < 0:
                    return False
        return True

    cdef inline const int32_t *row_of(self, int64_t atom) noexcept nogil:
        return self.hits[self.task_of_[atom]].point + self.first_hit_[atom]

    cdef inline const Grid *grid_of(self, int64_t atom) noexcept nogil:
        return &self.grids[self.tasks[self.task_of_[atom]].structure]

    cdef inline Image image_of(self, int64_t atom, int32_t point) noexcept nogil:
        """A point as an image relative to where an atom stands."""
        cdef const Point *here = &self.grids[0].points[self.home_[atom]]
        cdef const Point *there = &self.grids[0].points[point]
        cdef Image image
        image.atom = there.atom
        image.a = there.a - here.a
        image.b = there.b - here.b
        image.c = there.c - here.c
        return image


# ---- the work of a thread


cdef void make_some_grids(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Step *step = <const Step *> context
    cdef int64_t k
    for k in range(first, end):
        (<PairSearch> step.search).make_grid_of(k, step)


cdef void do_some_tasks(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Step *step = <const Step *> context
    cdef int64_t t
    for t in range(first, end):
        (<PairSearch> step.search).do_task(t, step)


cdef void write_some_blocks(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Step *step = <const Step *> context
    cdef int64_t block
    for block in range(first, end):
        (<PairSearch> step.search).write_block(block, step)


cdef void *zeros(int64_t n, size_t size) except NULL:
    cdef void *made = calloc(n + 1, size)
    if made == NULL:
        raise MemoryError("neighbor search")
    return made


cdef void *grown(void *old, int64_t *held, int64_t n, size_t size) except NULL:
    """At least n members, the new ones zero, so that all they hold can be used again."""
    cdef void *made
    if held[0] >= n and old != NULL:
        return old
    made = realloc(old, (n + 1) * size)
    if made == NULL:
        raise MemoryError("neighbor search")
    memset(<char *> made + held[0] * size, 0, (n + 1 - held[0]) * size)
    held[0] = n
    return made


cdef inline int64_t atoms_in(const Grid *grid, int64_t cell) noexcept nogil:
    return grid.starts[cell + 1] - grid.starts[cell]


cdef bint search_cells(
    const Grid *grid, const Surroundings *around, const Criterion *criterion, int64_t first,
    int64_t end, int32_t task, Hits *hits, int64_t *first_hit, int64_t *n_hits, int32_t *task_of,
    SignalWatch *watch,
) noexcept nogil:
    """Search some of the home cells with atoms; False if memory is short, or interrupted."""
    cdef int64_t k, cell, p
    # a copy of its own: what threads count in neighboring members would go from cache to cache
    cdef Hits own = hits[0]
    cdef bint enough = True
    own.n = 0
    own.last_cell = INT64_MAX  # of another grid
    for k in range(first, end):
        cell = grid.occupied[k]
        enough = search_cell(grid, around, criterion, cell, &own, first_hit, n_hits, watch)
        if not enough:
            break
        for p in range(grid.starts[cell], grid.starts[cell + 1]):
            task_of[grid.points[p].atom] = task
    hits[0] = own
    return enough
