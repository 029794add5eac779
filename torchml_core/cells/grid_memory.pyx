"""Memory of grids, used again where there is enough. Each function is False if memory is short."""

from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memset

from torchml_core.cells.grid cimport PAST_THE_END, Point
from torchml_core.cells.places cimport Place

cdef extern from "huge_pages.h" nogil:
    void *large_block(size_t size)


cdef bint grown(void **array, int64_t held, int64_t n, size_t size) noexcept nogil:
    """At least n + 1 members, the new ones zero, so that all they hold can be used again."""
    cdef void *made
    if held >= n and array[0] != NULL:
        return True
    made = realloc(array[0], (n + 1) * size)
    if made == NULL:
        return False
    if array[0] == NULL:
        memset(made, 0, (n + 1) * size)
    else:
        memset(<char *> made + (held + 1) * size, 0, (n - held) * size)
    array[0] = made
    return True


cdef bint renewed(void **array, size_t size) noexcept nogil:
    """Memory for other contents."""
    free(array[0])
    array[0] = large_block(size)
    return array[0] != NULL


cdef bint reserve_atoms(Grid *grid, int64_t n) noexcept nogil:
    if n > grid.capacity[2] or grid.places == NULL:
        grid.capacity[2] = n
        if not (
            renewed(<void **> &grid.places, (n + 1) * sizeof(Place))
            and renewed(<void **> &grid.cell_of, (n + 1) * sizeof(int64_t))
        ):
            free_atoms(grid)
            return False
    return True


cdef void free_atoms(Grid *grid) noexcept nogil:
    """Free what is not needed after the grid is made."""
    free(grid.places)
    free(grid.cell_of)
    grid.places = NULL
    grid.cell_of = NULL


cdef bint reserve_cells(Grid *grid, int64_t n) noexcept nogil:
    """For n cells, with counts of 0."""
    if n > grid.capacity[1] or grid.starts == NULL or grid.counts == NULL:
        grid.capacity[1] = n
        if not (
            renewed(<void **> &grid.starts, (n + 1) * sizeof(int64_t))
            and renewed(<void **> &grid.counts, n * sizeof(int64_t))
        ):
            return False
    memset(grid.counts, 0, n * sizeof(int64_t))
    return True


cdef bint reserve_occupied(Grid *grid, int64_t n) noexcept nogil:
    if n > grid.capacity[3] or grid.occupied == NULL:
        free(grid.occupied)
        grid.occupied = <int64_t *> malloc((n + 1) * sizeof(int64_t))
        grid.capacity[3] = n
    return grid.occupied != NULL


cdef bint reserve_points(Grid *grid) noexcept nogil:
    cdef int64_t n = grid.n_points
    if n > grid.capacity[0] or grid.points == NULL or grid.x == NULL:
        n += n // 8  # atoms move
        free(grid.points_block)
        grid.points = NULL
        grid.capacity[0] = n
        # a point is a line of the cache, which malloc does not align
        grid.points_block = large_block((n + 2) * sizeof(Point))
        if grid.points_block == NULL or not renewed(
            <void **> &grid.x, 3 * (n + PAST_THE_END) * sizeof(float)
        ):
            return False
        grid.points = <Point *> (
            (<size_t> grid.points_block + sizeof(Point) - 1) // sizeof(Point) * sizeof(Point)
        )
        # what follows the last point is read too
        memset(grid.x, 0, 3 * (n + PAST_THE_END) * sizeof(float))
    grid.y = grid.x + grid.capacity[0] + PAST_THE_END
    grid.z = grid.y + grid.capacity[0] + PAST_THE_END
    return True


cdef void free_grid(Grid *grid) noexcept nogil:
    free_atoms(grid)
    free(grid.points_block)
    free(grid.x)
    free(grid.starts)
    free(grid.counts)
    free(grid.occupied)
    free(grid.keys)
    memset(grid, 0, sizeof(Grid))
