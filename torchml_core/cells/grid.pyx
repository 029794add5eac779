"""Grids: atoms sorted into cells, with the images around them that can be their neighbors.

Atoms are wrapped into the cell of the lattice, counted into grid cells about one cutoff wide, and
whole grid cells are then copied as images to all sides. After that a search knows no boundary
conditions: it looks at the cells around one.

Where there would be far more cells than atoms, wider ones will do if the atoms are spread evenly
(a gas). If they are not, the gaps between them are closed; and if there are still too many cells
then, only those that have points are kept.
"""

from libc.stdlib cimport free

from torchml_core.cells.dense cimport count_atoms, lay_out, put_images
from torchml_core.cells.faults cimport FINE, INTERRUPTED, NO_MEMORY, TOO_MANY_IMAGES, TOO_OBLIQUE
from torchml_core.cells.lattice cimport Lattice, make_lattice
from torchml_core.cells.places cimport close_gaps, find_span, place_atoms
from torchml_core.cells.points cimport put_atoms
from torchml_core.cells.grid_memory cimport free_atoms, reserve_atoms
from torchml_core.cells.shape cimport choose_home, coarsen, measure_cells
from torchml_core.cells.sparse cimport lay_out_sparse
from torchml_core.signals cimport interrupted

cdef enum:
    STEP_OF_ATOM = 20         # ns, about, that each step takes for an atom
    MANY = 200000             # atoms, from which less memory is worth more than keeping it
    SPREAD = 8                # atoms in a wide cell are not too many, of those that are there
    WIDE = 1000000000         # cutoffs: of a grid whose squares single precision still holds


cdef Fault make_grid(
    const double *positions, int64_t n_atoms, const double *cell, const int *periodic,
    double limit, int32_t *home_of, Grid *out, int n_threads, SignalWatch *watch,
) noexcept nogil:
    """Build the grid of one structure.

    positions, cell : IN (n_atoms, 3), (3, 3) finite, independent where periodic
    limit : IN pairs are to be found whose distance is below it
    home_of : OUT (n_atoms,) where each atom stands among the points
    out : IN limits, and zeros or an older grid, whose memory is used; OUT for grid_memory.free_grid
    """
    cdef Lattice lattice
    cdef Fault fault
    cdef bint dense
    out.n_cells = out.n_occupied = out.n_points = 0
    if n_atoms == 0:
        return FINE
    keep_cell(cell, periodic, out)
    fault = make_lattice(cell, periodic, limit, &lattice)
    if fault != FINE:
        return fault
    out.orthogonal = lattice.orthogonal
    out.limit = lattice.limit
    if not reserve_atoms(out, n_atoms):
        return NO_MEMORY
    fault = place_atoms(
        positions, n_atoms, &lattice, out.places, &out.rounding, &out.beyond, &out.wrapped,
        n_threads, watch,
    )
    if fault != FINE:
        return fault
    if interrupted(watch, STEP_OF_ATOM * n_atoms):
        return INTERRUPTED
    out.slack = out.limit * (1 + 1e-9) + 4 * out.rounding
    fault = choose_cells(n_atoms, &lattice, out, &dense, n_threads, watch)
    if fault == TOO_MANY_IMAGES and lattice.too_oblique:
        fault = TOO_OBLIQUE
    if fault != FINE:
        return fault
    free(out.keys)
    out.keys = NULL
    if dense:
        if not lay_out(n_atoms, &lattice, home_of, out):
            return NO_MEMORY
        if interrupted(watch, STEP_OF_ATOM * n_atoms):
            return INTERRUPTED
        put_atoms(positions, n_atoms, &lattice, home_of, out, n_threads, watch)
        if interrupted(watch, STEP_OF_ATOM * n_atoms):
            return INTERRUPTED
        put_images(&lattice, out, n_threads, watch)
    else:
        fault = lay_out_sparse(positions, n_atoms, &lattice, home_of, out, n_threads, watch)
    set_test(limit, &lattice, out)
    if n_atoms > MANY:
        free_atoms(out)
    return INTERRUPTED if watch.stopped else fault


cdef void set_test(double limit, const Lattice *lattice, Grid *grid) noexcept nogil:
    """What single precision tells for sure."""
    # a distance is off by less than this; at the end, what the smallest numbers are rounded by
    cdef double doubt = 1e-6 * grid.span + 2 * grid.rounding / lattice.limit + 1e-323 / limit
    grid.near = <float> max(lattice.limit_of_test - doubt, 0.0) ** 2 if not grid.beyond else 0
    grid.far = <float> (lattice.limit_of_test + doubt) ** 2


cdef void keep_cell(const double *cell, const int *periodic, Grid *out) noexcept nogil:
    cdef int a, k
    for a in range(3):
        for k in range(3):
            out.cell[a][k] = cell[3 * a + k] if periodic[a] else 0.0
        out.cell[a][3] = 0


cdef Fault choose_cells(
    int64_t n_atoms, const Lattice *lattice, Grid *grid, bint *dense, int n_threads,
    SignalWatch *watch,
) noexcept nogil:
    """Number and width of cells.

    dense : OUT whether all cells will be there; the atoms are counted into them then
    """
    cdef Fault fault
    cdef bint wide
    cdef int k, turn
    dense[0] = True
    for turn in range(2):
        for k in range(3):
            if turn == 0:
                find_span(grid.places, n_atoms, lattice, k, grid.slack, &grid.spans[k])
            elif not close_gaps(
                grid.places, n_atoms, k, lattice.periodic[k], grid.slack, &grid.spans[k]
            ):
                return NO_MEMORY
            if interrupted(watch, STEP_OF_ATOM * n_atoms):
                return INTERRUPTED
        choose_home(n_atoms, grid)
        wide = coarsen(2.0 * n_atoms + 64, grid)
        fault = measure_cells(n_atoms, lattice, grid)
        if fault != FINE:
            return fault
        if not count_atoms(n_atoms, grid, n_threads, watch):
            return NO_MEMORY
        if watch.stopped:
            return INTERRUPTED
        if not wide or spread_evenly(n_atoms, grid):
            return FINE
    choose_home(n_atoms, grid)
    dense[0] = False
    return FINE


cdef bint spread_evenly(int64_t n_atoms, const Grid *grid) noexcept nogil:
    """Whether few atoms are in one cell."""
    cdef int64_t i, companions = 0
    for i in range(n_atoms):
        companions += grid.counts[grid.cell_of[i]]
    return companions <= SPREAD * n_atoms and grid.span <= WIDE
