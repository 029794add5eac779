"""Grids of which only cells with points are there, for atoms spread over much empty space.

Wires, shells, droplets: a list of cells, sorted by the number that each has among all. Neither
memory nor time depends on how many are empty.
"""

from libc.stdint cimport INT64_MAX, uint64_t
from libc.stdlib cimport free, malloc

from torchml_core.cells.faults cimport FINE, INTERRUPTED, NO_MEMORY, TOO_MANY_IMAGES
from torchml_core.cells.points cimport put_atoms, put_image
from torchml_core.cells.grid_memory cimport reserve_cells, reserve_occupied, reserve_points
from torchml_core.cells.shape cimport CROWDED, coarsen, measure_cells
from torchml_core.cells.sorting cimport Keyed, sort_keyed
from torchml_core.signals cimport interrupted

cdef enum:
    STEP_OF_ATOM = 50         # ns, about, that each step takes for an atom


# While a grid is laid out.
cdef struct Layout:
    Keyed *keyed_atoms        # (2 n_atoms,)
    Keyed *atoms              # (n_atoms,) by the number of their cell
    int64_t n_home            # home cells with atoms
    int64_t *first            # (n_home + 1,) the first atom of each
    int64_t *at               # (n_home,) where it is among all cells that are there
    Keyed *keyed_cells        # (2 n_cells,)
    Keyed *cells              # (n_cells,) by number; which home cell each shows


cdef Fault lay_out_sparse(
    const double *positions, int64_t n_atoms, const Lattice *lattice, int32_t *home_of,
    Grid *grid, int n_threads, SignalWatch *watch,
) noexcept nogil:
    """Fill a grid of which home and spans are set."""
    cdef Layout layout = [NULL, NULL, 0, NULL, NULL, NULL, NULL]
    cdef Fault fault = sort_atoms(n_atoms, lattice, grid, &layout)
    if fault == FINE and interrupted(watch, STEP_OF_ATOM * n_atoms):
        fault = INTERRUPTED
    if fault == FINE:
        fault = sort_cells(lattice, grid, &layout)
    if fault == FINE and not find_starts(n_atoms, home_of, grid, &layout):
        fault = NO_MEMORY
    if fault == FINE and interrupted(watch, STEP_OF_ATOM * n_atoms):
        fault = INTERRUPTED
    if fault == FINE:
        put_atoms(positions, n_atoms, lattice, home_of, grid, n_threads, watch)
        put_images(lattice, grid, &layout, watch)
    free(layout.keyed_atoms)
    free(layout.keyed_cells)
    free(layout.first)
    free(layout.at)
    return fault


cdef Fault sort_atoms(
    int64_t n_atoms, const Lattice *lattice, Grid *grid, Layout *out
) noexcept nogil:
    """Sort atoms by cell, in finer cells if these are crowded."""
    cdef Fault fault
    cdef int64_t i
    cdef int fineness
    out.keyed_atoms = <Keyed *> malloc((2 * n_atoms + 1) * sizeof(Keyed))
    out.first = <int64_t *> malloc((n_atoms + 1) * sizeof(int64_t))
    out.at = <int64_t *> malloc((n_atoms + 1) * sizeof(int64_t))
    if out.keyed_atoms == NULL or out.first == NULL or out.at == NULL:
        return NO_MEMORY
    for fineness in range(1, 3):
        grid.home[1] *= fineness
        grid.home[2] *= fineness
        coarsen(1e18, grid)  # so that their numbers fit
        fault = measure_cells(n_atoms, lattice, grid)
        if fault != FINE:
            return fault
        for i in range(n_atoms):
            out.keyed_atoms[i].key = number_of_home(grid, grid.places[i].t)
            out.keyed_atoms[i].value = i
        out.atoms = sort_keyed(out.keyed_atoms, out.keyed_atoms + n_atoms, n_atoms)
        out.n_home = 0
        for i in range(n_atoms):
            if i == 0 or out.atoms[i].key != out.atoms[i - 1].key:
                out.first[out.n_home] = i
                out.n_home += 1
        out.first[out.n_home] = n_atoms
        if n_atoms <= CROWDED * out.n_home:
            break
    return FINE


cdef inline uint64_t number_of_home(const Grid *grid, const double *t) noexcept nogil:
    """The number among all cells of the one that a place is in."""
    cdef int64_t number = 0, c
    cdef int k
    for k in range(2, -1, -1):
        c = <int64_t> ((t[k] - grid.spans[k].lowest) / grid.width[k])
        # t may be rounded to either end
        number = number * grid.shape[k] + grid.reach[k] + min(max(c, 0), grid.home[k] - 1)
    return <uint64_t>number


cdef Fault sort_cells(
    const Lattice *lattice, Grid *grid, Layout *layout
) noexcept nogil:
    """Make the list of cells, images included."""
    cdef int64_t h, n = 0, n_points = 0, images
    for h in range(layout.n_home):
        images = list_images(lattice, grid, layout, h, NULL)
        n += images
        n_points += images * (layout.first[h + 1] - layout.first[h])
    if n_points > grid.most_points:
        return TOO_MANY_IMAGES
    layout.keyed_cells = <Keyed *> malloc((2 * n + 1) * sizeof(Keyed))
    if layout.keyed_cells == NULL:
        return NO_MEMORY
    grid.n_cells = n
    grid.n_points = n_points
    n = 0
    for h in range(layout.n_home):
        n += list_images(lattice, grid, layout, h, layout.keyed_cells + n)
    layout.cells = sort_keyed(layout.keyed_cells, layout.keyed_cells + n, n)
    return FINE


cdef int64_t list_images(
    const Lattice *lattice, const Grid *grid, const Layout *layout, int64_t h, Keyed *out
) noexcept nogil:
    """How many cells show home cell h, itself included.

    out : the cells, or NULL
    """
    cdef int64_t rest = <int64_t> layout.atoms[layout.first[h]].key, x, y, z, n, row
    cdef int64_t[3] first, number
    cdef int k
    for k in range(3):
        first[k] = rest % grid.shape[k]
        rest = rest // grid.shape[k]
        number[k] = 1
        if lattice.periodic[k]:
            n = grid.home[k]
            number[k] = first[k] // n + (grid.shape[k] - 1 - first[k]) // n + 1
            first[k] %= n
    if out != NULL:
        n = 0
        for z in range(number[2]):
            for y in range(number[1]):
                for x in range(number[0]):
                    row = (first[2] + z * grid.home[2]) * grid.shape[1]
                    row += first[1] + y * grid.home[1]
                    out[n].key = <uint64_t> (row * grid.shape[0] + first[0] + x * grid.home[0])
                    out[n].value = h
                    n += 1
    return number[0] * number[1] * number[2]


cdef bint find_starts(
    int64_t n_atoms, int32_t *home_of, Grid *grid, Layout *layout
) noexcept nogil:
    """Where the points of each cell begin, and each atom's point; False if memory is short."""
    cdef int64_t cell, h, i, n = 0
    grid.keys = <int64_t *> malloc((grid.n_cells + 1) * sizeof(int64_t))
    if (
        grid.keys == NULL
        or not reserve_cells(grid, grid.n_cells)
        or not reserve_occupied(grid, layout.n_home)
        or not reserve_points(grid)
    ):
        return False
    grid.n_occupied = 0
    for cell in range(grid.n_cells):
        h = layout.cells[cell].value
        grid.keys[cell] = <int64_t> layout.cells[cell].key
        grid.starts[cell] = n
        n += layout.first[h + 1] - layout.first[h]
        if layout.cells[cell].key == layout.atoms[layout.first[h]].key:
            layout.at[h] = cell
            grid.occupied[grid.n_occupied] = cell
            grid.n_occupied += 1
    grid.keys[grid.n_cells] = INT64_MAX
    grid.starts[grid.n_cells] = n
    for h in range(layout.n_home):
        for i in range(layout.first[h], layout.first[h + 1]):
            home_of[layout.atoms[i].value] = <int32_t> (
                grid.starts[layout.at[h]] + i - layout.first[h]
            )
    return True


cdef void put_images(
    const Lattice *lattice, Grid *grid, const Layout *layout, SignalWatch *watch
) noexcept nogil:
    """Copy home cells to where their images are."""
    cdef int64_t cell, h, rest, home
    cdef int64_t[3] shift
    cdef int k
    for cell in range(grid.n_cells):
        h = layout.cells[cell].value
        if layout.at[h] == cell:
            continue
        rest = grid.keys[cell]
        home = grid.keys[layout.at[h]]
        for k in range(3):
            shift[k] = (rest % grid.shape[k] - home % grid.shape[k]) // grid.home[k]
            rest //= grid.shape[k]
            home //= grid.shape[k]
        put_image(lattice, grid, layout.at[h], cell, 1, shift)
        if interrupted(watch, 10 * (grid.starts[cell + 1] - grid.starts[cell])):
            return
