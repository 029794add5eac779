"""Memory of grids, used again where there is enough. Each function is False if memory is short."""

from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

from torchml_core.cells.grid cimport PAST_THE_END, Point
from torchml_core.cells.places cimport Place

cdef extern from "stdlib.h" nogil:
    void *aligned_alloc(size_t alignment, size_t size)


cdef bint reserve_atoms(Grid *grid, int64_t n) noexcept nogil:
    if n > grid.capacity[2] or grid.places == NULL:
        free_atoms(grid)
        grid.places = <Place *> malloc((n + 1) * sizeof(Place))
        grid.cell_of = <int64_t *> malloc((n + 1) * sizeof(int64_t))
        grid.capacity[2] = n
    return grid.places != NULL and grid.cell_of != NULL


cdef void free_atoms(Grid *grid) noexcept nogil:
    """Free what is not needed after the grid is made."""
    free(grid.places)
    free(grid.cell_of)
    grid.places = NULL
    grid.cell_of = NULL


cdef bint reserve_cells(Grid *grid, int64_t n) noexcept nogil:
    """For n cells, with counts of 0."""
    if n > grid.capacity[1] or grid.starts == NULL or grid.counts == NULL:
        free(grid.starts)
        free(grid.counts)
        grid.starts = <int64_t *> malloc((n + 1) * sizeof(int64_t))
        grid.counts = <int64_t *> malloc(n * sizeof(int64_t))
        grid.capacity[1] = n
    if grid.starts == NULL or grid.counts == NULL:
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
        free(grid.points)
        free(grid.x)
        grid.points = <Point *> aligned_alloc(sizeof(Point), (n + 1) * sizeof(Point))
        # zeros, since what follows the last point is read too
        grid.x = <float *> calloc(3 * (n + PAST_THE_END), sizeof(float))
        grid.capacity[0] = n
    grid.y = grid.x + grid.capacity[0] + PAST_THE_END
    grid.z = grid.y + grid.capacity[0] + PAST_THE_END
    return grid.points != NULL and grid.x != NULL


cdef void free_grid(Grid *grid) noexcept nogil:
    free_atoms(grid)
    free(grid.points)
    free(grid.x)
    free(grid.starts)
    free(grid.counts)
    free(grid.occupied)
    free(grid.keys)
    memset(grid, 0, sizeof(Grid))
