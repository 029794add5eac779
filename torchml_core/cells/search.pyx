"""The search of one cell: which points are within a distance of its atoms.

Points of cells that follow each other along x lie side by side, so the surroundings of a cell are a
few runs of points. They are tested in single precision, many at a time. The test keeps what is
within the cutoff plus more than single precision can be wrong; only where a pair is that close to
the cutoff is the row tested again, in double precision.
"""

from libc.math cimport ceil, sqrt
from libc.stdint cimport INT64_MAX
from libc.stdlib cimport free, llabs, malloc, realloc
from libc.string cimport memset

from torchml_core.cells.distances cimport length, vector_of_pair
from torchml_core.cells.grid cimport PAST_THE_END, Point
from torchml_core.signals cimport interrupted
from torchml_core.simd.fours cimport store4d

cdef extern from "near_points.h" nogil:
    enum:
        LANES
    int64_t near_points(
        const float *x, const float *y, const float *z, int32_t first, int64_t n, int64_t n_read,
        float hx, float hy, float hz, float near, float far, int32_t self, int32_t *out,
        int *doubtful,
    )


cdef enum:
    MORE_HITS = 16384         # at least so many are added to the capacity
    LONG_ROW = 128            # neighbors, from which insertion sort is slow
    WORK_AT_ONCE = 65536      # points tested between two questions whether to stop


cdef bint find_surroundings(const Grid *grid, Surroundings *out) noexcept nogil:
    """Rows of cells that can hold a neighbor of a cell's atoms; False if memory is short.

    out : IN zeros or older ones, whose memory is used; OUT to be freed by free_surroundings
    """
    cdef int64_t most = (2 * grid.reach[1] + 1) * (2 * grid.reach[2] + 1)
    cdef int64_t y, z
    cdef double gap_y, gap_z, left
    out.n_rows = 0
    if grid.n_cells == 0:
        return True
    if most > out.capacity:
        free(out.offset)
        out.offset = <int64_t *> malloc(2 * most * sizeof(int64_t))
        out.capacity = most if out.offset != NULL else 0
        if out.offset == NULL:
            return False
    out.reach = out.offset + most
    for z in range(-grid.reach[2], grid.reach[2] + 1):
        gap_z = max(llabs(z) - 1, 0) * grid.width[2]
        for y in range(-grid.reach[1], grid.reach[1] + 1):
            out.offset[out.n_rows] = (z * grid.shape[1] + y) * grid.shape[0]
            out.reach[out.n_rows] = grid.reach[0]
            if grid.orthogonal:  # else the gaps do not add up by Pythagoras
                gap_y = max(llabs(y) - 1, 0) * grid.width[1]
                left = grid.slack * grid.slack - gap_y * gap_y - gap_z * gap_z
                if left < 0:
                    continue
                out.reach[out.n_rows] = min(
                    <int64_t> ceil(sqrt(left) / grid.width[0]), grid.reach[0]
                )
            out.n_rows += 1
    return True


cdef void free_surroundings(Surroundings *surroundings) noexcept nogil:
    free(surroundings.offset)


cdef double candidates(const Grid *grid, const Surroundings *around) noexcept nogil:
    """How many pairs a search of all home cells would test; negative if memory is short."""
    cdef int64_t k, cell
    cdef double n = 0
    cdef Hits probe
    memset(&probe, 0, sizeof(Hits))
    for k in range(grid.n_occupied):
        cell = grid.occupied[k]
        if not find_runs(grid, around, cell, &probe):
            n = -1
            break
        n += <double> (grid.starts[cell + 1] - grid.starts[cell]) * probe.points_around
    free_hits(&probe)
    return n


cdef bint search_cell(
    const Grid *grid, const Surroundings *around, const Criterion *criterion, int64_t cell,
    Hits *hits, int64_t *first_hit, int64_t *n_hits, SignalWatch *watch,
) noexcept nogil:
    """Append the neighbors of a cell's atoms to the hits; False if memory is short, or interrupted.

    first_hit, n_hits : OUT (n_atoms,) of each atom of the cell
    """
    cdef:
        int64_t p, found
        int doubtful
        int64_t n_home = grid.starts[cell + 1] - grid.starts[cell]
    if not find_runs(grid, around, cell, hits):
        return False
    if not reserve_hits(hits, hits.points_around * n_home + PAST_THE_END):
        return False
    for p in range(grid.starts[cell], grid.starts[cell + 1]):
        doubtful = False
        found = points_near(
            grid, hits, p, not criterion.selves, hits.point + hits.n, &doubtful
        )
        if doubtful:
            found = recheck(grid, criterion, p, hits.point + hits.n, found)
        if criterion.half:
            found = keep_half(grid, p, hits.point + hits.n, found)
        if criterion.ordered:
            sort_row(grid, hits.point + hits.n, found, watch)
        first_hit[grid.points[p].atom] = hits.n
        n_hits[grid.points[p].atom] = found
        hits.n += found
        hits.work += hits.points_around
        if hits.work > WORK_AT_ONCE or watch.stopped:
            if interrupted(watch, hits.work):
                return False
            hits.work = 0
    return True


cdef inline bint find_runs(
    const Grid *grid, const Surroundings *around, int64_t cell, Hits *hits
) noexcept nogil:
    """Find the runs of points around a cell; False if memory is short."""
    cdef int64_t row
    if around.n_rows > hits.n_runs:
        free(hits.runs)
        hits.runs = <Run *> malloc(around.n_rows * sizeof(Run))
        hits.n_runs = around.n_rows if hits.runs != NULL else 0
        hits.last_cell = INT64_MAX
        if hits.runs == NULL:
            return False
    hits.used_runs = around.n_rows
    if grid.keys == NULL:
        hits.used_runs = find_all_cells(grid, around, cell, hits.runs)
    else:
        find_listed_cells(grid, around, cell, cell < hits.last_cell, hits.runs)
    hits.last_cell = cell
    hits.longest_run = 0
    hits.points_around = 0
    for row in range(hits.used_runs):
        hits.longest_run = max(hits.longest_run, hits.runs[row].n)
        hits.points_around += hits.runs[row].n
    return True


cdef inline int64_t find_all_cells(
    const Grid *grid, const Surroundings *around, int64_t cell, Run *runs
) noexcept nogil:
    """Runs where all cells are there; returns how many are not empty, the first of those given."""
    cdef int64_t row, middle, n = 0
    for row in range(around.n_rows):
        middle = cell + around.offset[row]
        runs[n].first = grid.starts[middle - around.reach[row]]
        runs[n].n = grid.starts[middle + around.reach[row] + 1] - runs[n].first
        n += runs[n].n > 0
    return n


cdef void find_listed_cells(
    const Grid *grid, const Surroundings *around, int64_t cell, bint anew, Run *runs
) noexcept nogil:
    """Runs where cells are listed.

    anew : whether this is not a cell further on than the last: from that the search goes on
    """
    cdef int64_t row, middle, first, end
    for row in range(around.n_rows):
        middle = grid.keys[cell] + around.offset[row]
        first = 0 if anew else runs[row].first_cell
        first = first_from(grid, first, middle - around.reach[row])
        end = first if anew else max(first, runs[row].end_cell)
        end = first_from(grid, end, middle + around.reach[row] + 1)
        runs[row].first_cell = first
        runs[row].end_cell = end
        runs[row].first = grid.starts[first]
        runs[row].n = grid.starts[end] - runs[row].first


cdef inline int64_t first_from(const Grid *grid, int64_t at, int64_t key) noexcept nogil:
    """The first cell of the list, from one on, whose key is not less."""
    cdef int64_t step = 1, middle, end, _
    for _ in range(4):  # it is hardly ever farther; behind the last is a key beyond all
        if grid.keys[at] >= key:
            return at
        at += 1
    while at + step < grid.n_cells and grid.keys[at + step - 1] < key:
        at += step
        step *= 2
    end = min(at + step, grid.n_cells)
    while at < end:
        middle = (at + end) // 2
        if grid.keys[middle] < key:
            at = middle + 1
        else:
            end = middle
    return at


cdef inline int64_t points_near(
    const Grid *grid, const Hits *hits, int64_t p, bint without_self,
    int32_t *out, int *doubtful,
) noexcept nogil:
    """Write the points of the runs around that may be near point p."""
    cdef int64_t k, first, n_read, found = 0
    cdef int64_t at_once = (hits.longest_run + LANES - 1) // LANES * LANES
    for k in range(hits.used_runs):
        first = hits.runs[k].first
        n_read = at_once
        if n_read > 2 * hits.runs[k].n + 64 or first + n_read > grid.n_points + PAST_THE_END:
            n_read = hits.runs[k].n
        found += near_points(
            grid.x + first,
            grid.y + first,
            grid.z + first,
            <int32_t> first,
            hits.runs[k].n,
            n_read,
            grid.x[p],
            grid.y[p],
            grid.z[p],
            grid.near,
            grid.far,
            <int32_t> p if without_self else -1,
            out + found,
            doubtful,
        )
    return found


cdef void free_hits(Hits *hits) noexcept nogil:
    free(hits.point)
    free(hits.runs)


cdef bint reserve_hits(Hits *hits, int64_t more) noexcept nogil:
    cdef int64_t capacity
    cdef int32_t *point
    if hits.n + more <= hits.capacity:
        return True
    capacity = hits.n + more + hits.capacity // 2 + MORE_HITS
    point = <int32_t *> realloc(hits.point, capacity * sizeof(int32_t))
    if point == NULL:
        return False
    hits.point = point
    hits.capacity = capacity
    return True


cdef int64_t recheck(
    const Grid *grid, const Criterion *criterion, int64_t p, int32_t *row, int64_t n
) noexcept nogil:
    """Keep those of a row whose distance, as lists give it, is below the limit."""
    cdef int64_t k, kept = 0
    cdef double[4] D
    for k in range(n):
        store4d(D, vector_of_pair(grid, grid.points + p, grid.points + row[k]))
        row[kept] = row[k]
        kept += length(D) < criterion.limit
    return kept


cdef int64_t keep_half(const Grid *grid, int64_t p, int32_t *row, int64_t n) noexcept nogil:
    """Keep pairs with i < j; of an atom and its images those with the larger shift, and itself."""
    cdef int64_t k, kept = 0
    cdef const Point *here = grid.points + p
    for k in range(n):
        row[kept] = row[k]
        kept += row[k] == p or precedes(here, grid.points + row[k])
    return kept


cdef inline bint precedes(const Point *one, const Point *other) noexcept nogil:
    """Whether one point comes before another by atom, then by shift."""
    if one.atom != other.atom:
        return one.atom < other.atom
    if one.a != other.a:
        return one.a < other.a
    if one.b != other.b:
        return one.b < other.b
    return one.c < other.c


cdef void sort_row(
    const Grid *grid, int32_t *row, int64_t n, SignalWatch *watch
) noexcept nogil:
    """Insertion sort where a row is short; else, heap sort."""
    cdef int64_t k, at
    cdef int32_t point
    if n > LONG_ROW:
        for k in range(n // 2 - 1, -1, -1):
            sift_down(grid, row, k, n)
        for k in range(n - 1, 0, -1):
            row[0], row[k] = row[k], row[0]
            sift_down(grid, row, 0, k)
            if k % 1024 == 0 and interrupted(watch, WORK_AT_ONCE):
                return
        return
    for k in range(1, n):
        point = row[k]
        at = k
        while at > 0 and precedes(grid.points + point, grid.points + row[at - 1]):
            row[at] = row[at - 1]
            at -= 1
        row[at] = point


cdef void sift_down(const Grid *grid, int32_t *row, int64_t at, int64_t n) noexcept nogil:
    """Let an entry sink in the heap, which has the last one at its top."""
    cdef int64_t child
    cdef int32_t point = row[at]
    while True:
        child = 2 * at + 1
        if child + 1 < n and precedes(grid.points + row[child], grid.points + row[child + 1]):
            child += 1
        if child >= n or not precedes(grid.points + point, grid.points + row[child]):
            break
        row[at] = row[child]
        at = child
    row[at] = point
