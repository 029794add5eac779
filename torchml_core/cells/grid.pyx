"""Grids: atoms sorted into cells, with the images around them that can be their neighbors.

Atoms are wrapped into the cell of the lattice, counted into grid cells about one cutoff wide, and
whole grid cells are then copied as images to all sides. After that a search knows no boundary
conditions: it looks at the cells around one.
"""

from cython.parallel cimport prange
from libc.math cimport ceil, fabs, floor
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

cdef extern from "stdlib.h" nogil:
    void *aligned_alloc(size_t alignment, size_t size)

from torchml_core.cells.lattice cimport Lattice, make_lattice
from torchml_core.signals cimport interrupted

cdef enum:
    CROWDED = 20              # atoms in a cutoff cubed from which finer cells pay
    MANY = 200000             # atoms, from which less memory is worth more than having it again
    STEP_OF_ATOM = 20         # ns, about, that each step of make_grid takes for an atom


cdef Fault make_grid(
    const double *positions, int64_t n_atoms, const double *cell, const int *periodic,
    double cutoff, double most_points, int32_t *home_of, Grid *out, int n_threads,
    SignalWatch *watch,
) noexcept nogil:
    """Build the grid of one structure.

    positions, cell : IN (n_atoms, 3), (3, 3) finite, independent where periodic
    most_points : IN atoms and images together must stay below
    home_of : OUT (n_atoms,) where each atom stands among the points
    out : IN zeros, or a grid that was made before, whose memory is used; OUT for free_grid
    """
    cdef:
        Lattice lattice
        Fault fault
    make_lattice(cell, periodic, &lattice)
    if not room_for_atoms(out, n_atoms):
        return NO_MEMORY
    fault = wrap_atoms(positions, n_atoms, &lattice, out.wrapped, n_threads)
    if fault == FINE:
        fault = choose_cells(n_atoms, &lattice, cutoff, most_points, out)
    if fault != FINE:
        return fault
    if not room_for_cells(out, out.shape[0] * out.shape[1] * out.shape[2]):
        return NO_MEMORY
    if interrupted(watch, STEP_OF_ATOM * n_atoms):
        return INTERRUPTED
    count_atoms(n_atoms, out)
    lay_out(&lattice, out)
    if not room_for_points(out):
        return NO_MEMORY
    if interrupted(watch, STEP_OF_ATOM * n_atoms):
        return INTERRUPTED
    sort_atoms(n_atoms, home_of, out)
    if interrupted(watch, STEP_OF_ATOM * n_atoms):
        return INTERRUPTED
    put_atoms(positions, n_atoms, &lattice, home_of, out, n_threads)
    if interrupted(watch, STEP_OF_ATOM * n_atoms):
        return INTERRUPTED
    put_images(&lattice, out, n_threads, watch)
    if n_atoms > MANY:
        forget_atoms(out)
    return INTERRUPTED if watch.stopped else FINE


cdef void forget_atoms(Grid *grid) noexcept nogil:
    """Free what is not needed after the grid is made."""
    free(grid.wrapped)
    free(grid.cell_of)
    grid.wrapped = NULL
    grid.cell_of = NULL


cdef bint room_for_atoms(Grid *grid, int64_t n) noexcept nogil:
    if n > grid.capacity[2] or grid.wrapped == NULL:
        free(grid.wrapped)
        free(grid.cell_of)
        grid.wrapped = <double *>malloc((6 * n + 1) * sizeof(double))
        grid.cell_of = <int64_t *>malloc((n + 1) * sizeof(int64_t))
        grid.capacity[2] = n
    return grid.wrapped != NULL and grid.cell_of != NULL


cdef bint room_for_cells(Grid *grid, int64_t n) noexcept nogil:
    if n > grid.capacity[1] or grid.starts == NULL:
        free(grid.starts)
        free(grid.counts)
        grid.starts = <int64_t *>malloc((n + 1) * sizeof(int64_t))
        grid.counts = <int64_t *>malloc(n * sizeof(int64_t))
        grid.capacity[1] = n
    if grid.starts == NULL or grid.counts == NULL:
        return False
    memset(grid.counts, 0, n * sizeof(int64_t))
    return True


cdef bint room_for_points(Grid *grid) noexcept nogil:
    cdef int64_t n = grid.n_points
    if n > grid.capacity[0] or grid.points == NULL:
        n += n // 8  # atoms move
        free(grid.points)
        free(grid.x)
        grid.points = <Point *>aligned_alloc(sizeof(Point), (n + 1) * sizeof(Point))
        # zeros, since what follows the last point is read too
        grid.x = <float *>calloc(3 * (n + PAST_THE_END), sizeof(float))
        grid.capacity[0] = n
    grid.y = grid.x + grid.capacity[0] + PAST_THE_END
    grid.z = grid.y + grid.capacity[0] + PAST_THE_END
    return grid.points != NULL and grid.x != NULL


cdef void free_grid(Grid *grid) noexcept nogil:
    free(grid.points)
    free(grid.x)
    free(grid.starts)
    free(grid.wrapped)
    free(grid.cell_of)
    free(grid.counts)
    memset(grid, 0, sizeof(Grid))


cdef Fault wrap_atoms(
    const double *positions, int64_t n_atoms, const Lattice *lattice, double *wrapped,
    int n_threads,
) noexcept nogil:
    """wrapped : OUT (n_atoms, 6), u in [0, 1) where periodic, and the whole cells added."""
    cdef int64_t i
    cdef int too_far = 0
    for i in prange(n_atoms, schedule="static", num_threads=n_threads):
        too_far += not wrap(positions + 3 * i, lattice, wrapped + 6 * i)
    return TOO_FAR if too_far else FINE


cdef inline bint wrap(const double *x, const Lattice *lattice, double *wrapped) noexcept nogil:
    """Wrap one atom; False if it is too many cells away."""
    cdef int k
    cdef double u, shift
    for k in range(3):
        u = x[0] * lattice.dual[0][k] + x[1] * lattice.dual[1][k] + x[2] * lattice.dual[2][k]
        shift = -floor(u) if lattice.periodic[k] else 0.0
        if fabs(shift) > 1e9:
            return False
        wrapped[k] = u + shift
        wrapped[3 + k] = shift
    return True


cdef Fault choose_cells(
    int64_t n_atoms, const Lattice *lattice, double cutoff, double most_points, Grid *out,
) noexcept nogil:
    """Number and width of cells; coordinates without period are scaled to [0, 1] too."""
    cdef:
        double[3] extent, lowest
        double highest, u, fineness, points = n_atoms, volume = 1
        double slack = cutoff * (1 + 1e-9)
        double *wrapped = out.wrapped
        int64_t i
        int k, longest
    for k in range(3):
        lowest[k] = 0
        extent[k] = lattice.heights[k]
        if not lattice.periodic[k]:
            lowest[k] = highest = wrapped[k] if n_atoms else 0.0
            for i in range(n_atoms):
                u = wrapped[6 * i + k]
                lowest[k] = min(lowest[k], u)
                highest = max(highest, u)
            extent[k] = max(highest - lowest[k], slack)
            for i in range(n_atoms):
                wrapped[6 * i + k] = (wrapped[6 * i + k] - lowest[k]) / extent[k]
        volume *= extent[k]
    for k in range(3):
        # finer across the rows only: along them, points are read one after another anyway
        fineness = 2 if k and n_atoms * cutoff**3 > CROWDED * volume else 1
        out.home[k] = <int64_t>min(max(fineness * extent[k] / slack, 1.0), 1e9)
    while True:  # few more cells than atoms, whatever the gaps between them
        longest = 0
        for k in range(1, 3):
            longest = k if out.home[k] > out.home[longest] else longest
        if 1.0 * out.home[0] * out.home[1] * out.home[2] <= 2.0 * n_atoms + 64:
            break
        out.home[longest] = (out.home[longest] + 1) // 2
    out.orthogonal = lattice.orthogonal
    for k in range(3):
        out.width[k] = extent[k] / out.home[k]
        u = ceil(slack / out.width[k])
        points *= (1 + 2 * u / out.home[k]) if lattice.periodic[k] else 1.0
        if points > most_points:
            return TOO_MANY_IMAGES
        out.reach[k] = <int64_t>u
        out.shape[k] = out.home[k] + 2 * out.reach[k]
    find_middle(lattice, lowest, out)
    return FINE


cdef void find_middle(const Lattice *lattice, const double *lowest, Grid *out) noexcept nogil:
    """The middle of all cells, and how far from it along an axis a point can be."""
    cdef int k, axis
    cdef double half, reach
    out.span = 0
    for axis in range(3):
        out.middle[axis] = 0
        reach = 0
        for k in range(3):
            # a lattice vector is `heights` long between its faces; a unit vector, 1 Å
            half = out.width[k] * out.home[k] / lattice.heights[k] / 2
            out.middle[axis] += (lowest[k] + half) * lattice.vectors[k][axis]
            half += out.width[k] * out.reach[k] / lattice.heights[k]
            reach += half * fabs(lattice.vectors[k][axis])
        out.span = max(out.span, reach)


cdef void count_atoms(int64_t n_atoms, Grid *grid) noexcept nogil:
    """The cell of each atom, and how many atoms each cell has."""
    cdef int64_t i, c, place
    cdef int k
    for i in range(n_atoms):
        place = 0
        for k in range(2, -1, -1):
            c = <int64_t>(grid.wrapped[6 * i + k] * grid.home[k])
            # u may round to 1
            place = place * grid.shape[k] + grid.reach[k] + min(c, grid.home[k] - 1)
        grid.cell_of[i] = place
        grid.counts[place] += 1


cdef inline bint source(
    const Lattice *lattice, const Grid *grid, int k, int64_t c, int64_t *from_, int64_t *shift
) noexcept nogil:
    """The home cell, along one direction, that cell c shows, and by how many cells shifted."""
    cdef int64_t n = grid.home[k]
    cdef int64_t offset = c - grid.reach[k]
    shift[0] = offset // n if offset >= 0 else -((n - 1 - offset) // n)
    from_[0] = offset - shift[0] * n
    return shift[0] == 0 or lattice.periodic[k]


cdef inline int64_t extended(const Grid *grid, int64_t x, int64_t y, int64_t z) noexcept nogil:
    """The cell with these numbers among the home cells."""
    return (
        (z + grid.reach[2]) * grid.shape[1] + y + grid.reach[1]
    ) * grid.shape[0] + x + grid.reach[0]


cdef void lay_out(const Lattice *lattice, Grid *grid) noexcept nogil:
    """First point of each cell, images included."""
    cdef int64_t x, y, z, fx, fy, fz, shift, n = 0, at = 0
    cdef bint filled_z, filled_y, filled_x
    for z in range(grid.shape[2]):
        filled_z = source(lattice, grid, 2, z, &fz, &shift)
        for y in range(grid.shape[1]):
            filled_y = source(lattice, grid, 1, y, &fy, &shift) and filled_z
            for x in range(grid.shape[0]):
                filled_x = source(lattice, grid, 0, x, &fx, &shift) and filled_y
                grid.starts[at] = n
                at += 1
                if filled_x:
                    n += grid.counts[extended(grid, fx, fy, fz)]
    grid.starts[at] = n
    grid.n_points = n


cdef void sort_atoms(int64_t n_atoms, int32_t *home_of, Grid *grid) noexcept nogil:
    """Give each atom its place; starts are moved on meanwhile, and back at the end."""
    cdef int64_t i
    for i in range(n_atoms):
        home_of[i] = <int32_t>grid.starts[grid.cell_of[i]]
        grid.starts[grid.cell_of[i]] += 1
    for i in range(n_atoms):
        grid.starts[grid.cell_of[i]] -= 1


cdef void put_atoms(
    const double *positions, int64_t n_atoms, const Lattice *lattice, const int32_t *home_of,
    Grid *grid, int n_threads,
) noexcept nogil:
    cdef int64_t i
    for i in prange(n_atoms, schedule="static", num_threads=n_threads):
        put_atom(positions + 3 * i, grid.wrapped + 6 * i + 3, lattice, i, home_of[i], grid)


cdef void put_atom(
    const double *x, const double *shift, const Lattice *lattice, int64_t i, int64_t place,
    Grid *grid,
) noexcept nogil:
    cdef Point *p = &grid.points[place]
    cdef int64_t[3] whole = [<int64_t>shift[0], <int64_t>shift[1], <int64_t>shift[2]]
    p.x, p.y, p.z, p.zero = x[0], x[1], x[2], 0
    if whole[0] or whole[1] or whole[2]:
        p.x += shift_along(lattice, whole, 0)
        p.y += shift_along(lattice, whole, 1)
        p.z += shift_along(lattice, whole, 2)
    p.atom = <int32_t>i
    p.a = shift_in_cells(lattice, whole, 0)
    p.b = shift_in_cells(lattice, whole, 1)
    p.c = shift_in_cells(lattice, whole, 2)
    round_position(grid, place)


cdef inline double shift_along(const Lattice *lattice, const int64_t *s, int axis) noexcept nogil:
    return (
        s[0] * lattice.vectors[0][axis]
        + s[1] * lattice.vectors[1][axis]
        + s[2] * lattice.vectors[2][axis]
    )


cdef inline int32_t shift_in_cells(
    const Lattice *lattice, const int64_t *s, int k
) noexcept nogil:
    """A shift along the reduced vectors counted in the user's cells."""
    return <int32_t>(
        s[0] * lattice.transform[0][k]
        + s[1] * lattice.transform[1][k]
        + s[2] * lattice.transform[2][k]
    )


cdef void put_images(
    const Lattice *lattice, Grid *grid, int n_threads, SignalWatch *watch
) noexcept nogil:
    """Copy whole home cells to where their images are."""
    cdef int64_t z
    for z in prange(grid.shape[2], schedule="static", num_threads=n_threads):
        put_images_of_layer(lattice, grid, z, watch)


cdef void put_images_of_layer(
    const Lattice *lattice, Grid *grid, int64_t z, SignalWatch *watch
) noexcept nogil:
    cdef int64_t x, y, to
    cdef int64_t[3] home, shift
    if not source(lattice, grid, 2, z, &home[2], &shift[2]):
        return
    for y in range(grid.shape[1]):
        if not source(lattice, grid, 1, y, &home[1], &shift[1]):
            continue
        for x in range(grid.shape[0]):
            if source(lattice, grid, 0, x, &home[0], &shift[0]) and (
                shift[0] or shift[1] or shift[2]
            ):
                to = (z * grid.shape[1] + y) * grid.shape[0] + x
                put_image(lattice, grid, extended(grid, home[0], home[1], home[2]), to, shift)
                if interrupted(watch, 10 * (grid.starts[to + 1] - grid.starts[to])):
                    return


cdef void put_image(
    const Lattice *lattice, Grid *grid, int64_t from_, int64_t to, const int64_t *shift
) noexcept nogil:
    """Copy one cell's points, shifted by so many reduced lattice vectors."""
    cdef int64_t p
    cdef const Point *original = grid.points + grid.starts[from_]
    cdef Point *image = grid.points + grid.starts[to]
    cdef double dx = shift_along(lattice, shift, 0)
    cdef double dy = shift_along(lattice, shift, 1)
    cdef double dz = shift_along(lattice, shift, 2)
    cdef int32_t a = shift_in_cells(lattice, shift, 0)
    cdef int32_t b = shift_in_cells(lattice, shift, 1)
    cdef int32_t c = shift_in_cells(lattice, shift, 2)
    for p in range(grid.starts[to + 1] - grid.starts[to]):
        image[p] = original[p]
        image[p].x += dx
        image[p].y += dy
        image[p].z += dz
        image[p].a += a
        image[p].b += b
        image[p].c += c
        round_position(grid, grid.starts[to] + p)


cdef inline void round_position(Grid *grid, int64_t p) noexcept nogil:
    """Single precision, from the middle so that few digits are lost."""
    grid.x[p] = <float>(grid.points[p].x - grid.middle[0])
    grid.y[p] = <float>(grid.points[p].y - grid.middle[1])
    grid.z[p] = <float>(grid.points[p].z - grid.middle[2])
