"""Grids of which all cells are there, also those without points: the number of a cell is its place.

For structures whose cells nearly all have atoms, and for those with few atoms in large cells.
"""

from torchml_core._parallel cimport share
from torchml_core.cells.points cimport put_image
from torchml_core.cells.grid_memory cimport reserve_cells, reserve_occupied, reserve_points
from torchml_core.signals cimport interrupted


cdef enum:
    ATOMS_AT_ONCE = 1024


# What threads that put images share.
cdef struct Layers:
    const Lattice *lattice
    Grid *grid
    SignalWatch *watch


# What threads that find the cells of atoms share.
cdef struct Counting:
    Grid *grid
    double[3] lowest, per_width


cdef bint count_atoms(
    int64_t n_atoms, Grid *grid, int n_threads, SignalWatch *watch
) noexcept nogil:
    """The cell of each atom, and how many atoms each cell has; False if memory is short."""
    cdef Counting counting
    cdef int64_t i
    cdef int k
    grid.n_cells = grid.shape[0] * grid.shape[1] * grid.shape[2]
    if not reserve_cells(grid, grid.n_cells):
        return False
    counting.grid = grid
    for k in range(3):
        counting.lowest[k] = grid.spans[k].lowest
        counting.per_width[k] = grid.home[k] / grid.spans[k].extent
    share(n_threads, n_atoms, ATOMS_AT_ONCE, find_some_cells, &counting, watch)
    if watch.stopped:
        return True  # where it is asked next
    for i in range(n_atoms):
        grid.counts[grid.cell_of[i]] += 1
    return True


cdef void find_some_cells(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Counting *counting = <const Counting *> context
    cdef Grid *grid = counting.grid
    cdef int64_t i, c, place
    cdef int k
    for i in range(first, end):
        place = 0
        for k in range(2, -1, -1):
            c = <int64_t> ((grid.places[i].t[k] - counting.lowest[k]) * counting.per_width[k])
            # t may be rounded to either end
            place = place * grid.shape[k] + grid.reach[k] + min(max(c, 0), grid.home[k] - 1)
        grid.cell_of[i] = place


cdef bint lay_out(
    int64_t n_atoms, const Lattice *lattice, int32_t *home_of, Grid *grid
) noexcept nogil:
    """Where the points of each cell begin, and each atom's point; False if memory is short."""
    cdef int64_t i
    if not list_occupied(grid):
        return False
    find_starts(lattice, grid)
    if not reserve_points(grid):
        return False
    # starts are moved on meanwhile, and back at the end
    for i in range(n_atoms):
        home_of[i] = <int32_t> grid.starts[grid.cell_of[i]]
        grid.starts[grid.cell_of[i]] += 1
    for i in range(n_atoms):
        grid.starts[grid.cell_of[i]] -= 1
    return True


cdef bint list_occupied(Grid *grid) noexcept nogil:
    """The home cells that have atoms."""
    cdef int64_t x, y, z, cell
    if not reserve_occupied(grid, grid.home[0] * grid.home[1] * grid.home[2]):
        return False
    grid.n_occupied = 0
    for z in range(grid.home[2]):
        for y in range(grid.home[1]):
            cell = extended(grid, 0, y, z)
            for x in range(grid.home[0]):
                grid.occupied[grid.n_occupied] = cell + x
                grid.n_occupied += grid.counts[cell + x] > 0
    return True


cdef void find_starts(const Lattice *lattice, Grid *grid) noexcept nogil:
    """First point of each cell, images included."""
    cdef int64_t x, y, z, fx, fy, fz, shift, n = 0, at = 0
    cdef bint filled_z, filled_y, filled_x
    cdef double left_z, left_y
    for z in range(grid.shape[2]):
        filled_z = source(lattice, grid, 2, z, &fz, &shift)
        left_z = left_of(grid.slack * grid.slack, grid, 2, z)
        for y in range(grid.shape[1]):
            filled_y = source(lattice, grid, 1, y, &fy, &shift) and filled_z
            left_y = left_of(left_z, grid, 1, y)
            for x in range(grid.shape[0]):
                filled_x = (
                    source(lattice, grid, 0, x, &fx, &shift)
                    and filled_y
                    and left_of(left_y, grid, 0, x) >= 0
                )
                grid.starts[at] = n
                at += 1
                if filled_x:
                    n += grid.counts[extended(grid, fx, fy, fz)]
    grid.starts[at] = n
    grid.n_points = n


cdef inline bint source(
    const Lattice *lattice, const Grid *grid, int k, int64_t c, int64_t *from_, int64_t *shift
) noexcept nogil:
    """The home cell, along one direction, that cell c shows, and by how many cells shifted."""
    cdef int64_t n = grid.home[k]
    cdef int64_t offset = c - grid.reach[k]
    shift[0] = offset // n if offset >= 0 else -((n - 1 - offset) // n)
    from_[0] = offset - shift[0] * n
    return shift[0] == 0 or lattice.periodic[k]


cdef inline double left_of(double square, const Grid *grid, int k, int64_t c) noexcept nogil:
    """What the gap between cell c and the home cells leaves of the square of a distance.

    Where it is negative for all directions together, no atom has neighbors in the cell.
    """
    cdef int64_t last = grid.reach[k] + grid.home[k] - 1
    cdef double gap = max(max(grid.reach[k] - c, c - last) - 1, 0) * grid.width[k]
    return square - gap * gap if grid.orthogonal else square  # else they do not add up


cdef inline int64_t extended(const Grid *grid, int64_t x, int64_t y, int64_t z) noexcept nogil:
    """The cell with these numbers among the home cells."""
    return (
        (z + grid.reach[2]) * grid.shape[1] + y + grid.reach[1]
    ) * grid.shape[0] + x + grid.reach[0]


cdef void put_images(
    const Lattice *lattice, Grid *grid, int n_threads, SignalWatch *watch
) noexcept nogil:
    """Copy whole home cells to where their images are."""
    cdef Layers layers = [lattice, grid, watch]
    share(n_threads, grid.shape[2], 1, put_images_of_layers, &layers, watch)


cdef void put_images_of_layers(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Layers *layers = <const Layers *> context
    cdef int64_t z
    for z in range(first, end):
        put_images_of_layer(layers.lattice, layers.grid, z, layers.watch)


cdef void put_images_of_layer(
    const Lattice *lattice, Grid *grid, int64_t z, SignalWatch *watch
) noexcept nogil:
    cdef int64_t x, y, n, row
    cdef int64_t[3] home, shift
    if not source(lattice, grid, 2, z, &home[2], &shift[2]):
        return
    for y in range(grid.shape[1]):
        if not source(lattice, grid, 1, y, &home[1], &shift[1]):
            continue
        row = (z * grid.shape[1] + y) * grid.shape[0]
        x = 0
        while x < grid.shape[0]:
            n = 1
            if source(lattice, grid, 0, x, &home[0], &shift[0]) and (
                shift[0] or shift[1] or shift[2]
            ):
                n = put_image_of_row(lattice, grid, row + x, grid.shape[0] - x, home, shift)
                if interrupted(watch, 10 * (grid.starts[row + x + n] - grid.starts[row + x])):
                    return
            x += n


cdef inline int64_t put_image_of_row(
    const Lattice *lattice, Grid *grid, int64_t to, int64_t most, const int64_t *home,
    const int64_t *shift,
) noexcept nogil:
    """Copy home cells along x, as long as they have the same shift; return how many were done.

    to, most : the first cell of the image, and how many are left in its row
    home : the first home cell
    """
    cdef int64_t from_ = extended(grid, home[0], home[1], home[2]), k, first = 0
    cdef int64_t n = min(grid.home[0] - home[0], most)
    # images that no atom has for a neighbor are not there, at either end of a row
    while first < n and grid.starts[to + first + 1] == grid.starts[to + first]:
        first += 1
    k = first
    while k < n and grid.starts[to + k + 1] - grid.starts[to + k] == (
        grid.starts[from_ + k + 1] - grid.starts[from_ + k]
    ):
        k += 1
    if k > first:
        put_image(lattice, grid, from_ + first, to + first, k - first, shift)
    return max(k, first, 1)
