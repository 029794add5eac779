"""Cell lists: periodic images of atoms, and pairs of points within a distance.

Arrays come checked from ``pairs.py`` and ``graph.py``; nothing here looks at species or cells.
"""

import numpy as np

from cython.parallel cimport prange
from libc.math cimport ceil, floor
from libc.stdint cimport int32_t, int64_t


def periodic_images(
    const double[:, ::1] fractional,
    const double[:, ::1] positions,
    const double[:, ::1] cell,
    const double[::1] reach,
    const double[:, ::1] box,
):
    """Find the images of atoms that may be neighbors of an atom in the cell.

    Parameters
    ----------
    fractional : (n, 3) float64
        Coordinates along the periodic vectors, in [0, 1); 0 along others.
    positions : (n, 3) float64
        The same points in Å.
    cell : (3, 3) float64
        Vectors in rows; zero where not periodic.
    reach : (3,) float64
        How far images are wanted, in units of the cell's heights; 0 where not periodic.
    box : (2, 3) float64
        Images outside of this box, lowest and highest corner in Å, are left out.

    Returns
    -------
    parents : (n_images,) int32
    shifts : (n_images, 3) int32
        Never all 0.
    """
    cdef:
        Py_ssize_t n = fractional.shape[0], i, k, found = 0
        int axis, fill
        int64_t a, b, c
        double x
        bint inside
        double[3] lowest, highest
        int64_t[3] first, last
        int32_t[::1] parents = np.empty(0, dtype=np.int32)
        int32_t[:, ::1] shifts = np.empty((0, 3), dtype=np.int32)

    for axis in range(3):
        lowest[axis] = highest[axis] = 0.0
    for i in range(n):
        for axis in range(3):
            x = fractional[i, axis]
            lowest[axis] = x if i == 0 else min(lowest[axis], x)
            highest[axis] = x if i == 0 else max(highest[axis], x)

    for fill in range(2):  # count, then allocate and write
        if fill:
            parents = np.empty(found, dtype=np.int32)
            shifts = np.empty((found, 3), dtype=np.int32)
        k = 0
        with nogil:
            for i in range(n):
                for axis in range(3):
                    first[axis] = <int64_t>ceil(lowest[axis] - reach[axis] - fractional[i, axis])
                    last[axis] = <int64_t>floor(highest[axis] + reach[axis] - fractional[i, axis])
                for a in range(first[0], last[0] + 1):
                    for b in range(first[1], last[1] + 1):
                        for c in range(first[2], last[2] + 1):
                            inside = not (a == 0 and b == 0 and c == 0)
                            for axis in range(3):
                                x = positions[i, axis] + (
                                    a * cell[0, axis] + b * cell[1, axis] + c * cell[2, axis]
                                )
                                inside = inside and box[0, axis] <= x <= box[1, axis]
                            if inside:
                                if fill:
                                    parents[k] = <int32_t>i
                                    shifts[k, 0] = <int32_t>a
                                    shifts[k, 1] = <int32_t>b
                                    shifts[k, 2] = <int32_t>c
                                k = k + 1
        found = k
    return np.asarray(parents), np.asarray(shifts)


cdef struct Grid:
    # A box of shape[0] × shape[1] × shape[2] cells, x fastest, each at least `reach` cutoffs wide.
    double[3] origin
    double[3] inverse_width
    int64_t[3] shape


cdef inline int64_t cell_along(const Grid* grid, int axis, double x) noexcept nogil:
    cdef int64_t c = <int64_t>((x - grid.origin[axis]) * grid.inverse_width[axis])
    # Rounding may put the outermost point one cell too far.
    return min(max(c, 0), grid.shape[axis] - 1)


cdef int make_grid(const double[:, ::1] points, double cutoff, Grid* grid) except -1:
    """Cells one cutoff wide, wider where that would give many more cells than points."""
    cdef:
        double[3] extent
        double width, cells, most = 4.0 * points.shape[0] + 64.0
        double lowest, highest
        Py_ssize_t i
        int axis
    for axis in range(3):
        lowest = highest = points[0, axis]
        for i in range(points.shape[0]):
            lowest = min(lowest, points[i, axis])
            highest = max(highest, points[i, axis])
        grid.origin[axis] = lowest
        extent[axis] = highest - lowest
    width = cutoff * (1 + 1e-9)  # so that rounding never puts a neighbor two cells away
    while True:
        cells = 1.0
        for axis in range(3):
            cells = cells * (floor(extent[axis] / width) + 1)
        if cells <= most:
            break
        width = width * 1.26  # half as many cells a turn
    for axis in range(3):
        grid.shape[axis] = <int64_t>floor(extent[axis] / width) + 1
        grid.inverse_width[axis] = 1.0 / width
    return 0


cdef Py_ssize_t scan(
    const Grid* grid,
    const double* points,
    const int64_t* starts,
    const int32_t* order,
    Py_ssize_t center,
    double limit,
    int32_t* found,
) noexcept nogil:
    """Count, and where found is not NULL write, the points within sqrt(limit) of a point.

    points : (n, 3), sorted by cell; center counts among these.
    starts : first point of each cell; order : index of each sorted point among the given ones.
    """
    cdef:
        const double* home = points + 3 * center
        int64_t cx = cell_along(grid, 0, home[0])
        int64_t cy = cell_along(grid, 1, home[1])
        int64_t cz = cell_along(grid, 2, home[2])
        int64_t x_first = max(cx - 1, 0), x_last = min(cx + 1, grid.shape[0] - 1)
        int64_t y, z, row, j
        Py_ssize_t n = 0
        double dx, dy, dz
    for z in range(max(cz - 1, 0), min(cz + 1, grid.shape[2] - 1) + 1):
        for y in range(max(cy - 1, 0), min(cy + 1, grid.shape[1] - 1) + 1):
            row = (z * grid.shape[1] + y) * grid.shape[0]
            for j in range(starts[row + x_first], starts[row + x_last + 1]):
                dx = points[3 * j] - home[0]
                dy = points[3 * j + 1] - home[1]
                dz = points[3 * j + 2] - home[2]
                if dx * dx + dy * dy + dz * dz < limit and j != center:
                    if found != NULL:
                        found[n] = order[j]
                    n = n + 1
    return n


def pairs_within(
    const double[:, ::1] points,
    const int32_t[::1] centers,
    double cutoff,
    double limit,
    int n_threads,
):
    """Find all points within a distance of some of them; cost grows with the number of points.

    Parameters
    ----------
    points : (n, 3) float64
    centers : (n_centers,) int32
        The points whose neighbors are wanted.
    cutoff : float
        Distance in Å.
    limit : float
        Pairs with squared distance < limit are listed: cutoff² for "nearer than", the next
        number after it for "not farther than".
    n_threads : int

    Returns
    -------
    offsets : (n_centers + 1,) int64
    neighbors : (n_pairs,) int32
        Row k, of centers[k], is ``neighbors[offsets[k]:offsets[k + 1]]``: indices of points,
        not the center itself. In an order that does not depend on n_threads.
    """
    cdef:
        Py_ssize_t n = points.shape[0], n_rows = centers.shape[0], i, k
        int axis
        Grid grid
        int64_t[::1] offsets = np.zeros(n_rows + 1, dtype=np.int64)
    if n == 0 or n_rows == 0:
        return np.asarray(offsets), np.empty(0, dtype=np.int32)
    make_grid(points, cutoff, &grid)
    cdef:
        int64_t n_cells = grid.shape[0] * grid.shape[1] * grid.shape[2]
        int64_t[::1] home = np.empty(n, dtype=np.int64)
        int64_t[::1] starts = np.zeros(n_cells + 1, dtype=np.int64)
        int32_t[::1] order = np.empty(n, dtype=np.int32)
        int32_t[::1] place = np.empty(n, dtype=np.int32)
        double[:, ::1] sorted_points = np.empty((n, 3))
        int32_t[::1] neighbors

    with nogil:  # counting sort into cells
        for i in range(n):
            home[i] = (
                cell_along(&grid, 2, points[i, 2]) * grid.shape[1]
                + cell_along(&grid, 1, points[i, 1])
            ) * grid.shape[0] + cell_along(&grid, 0, points[i, 0])
            starts[home[i] + 1] += 1
        for k in range(n_cells):
            starts[k + 1] += starts[k]
        for i in range(n):
            k = starts[home[i]]
            starts[home[i]] += 1
            order[k] = <int32_t>i
            place[i] = <int32_t>k
            for axis in range(3):
                sorted_points[k, axis] = points[i, axis]
        for k in range(n_cells, 0, -1):  # the sort moved each start to its end
            starts[k] = starts[k - 1]
        starts[0] = 0

    for k in prange(n_rows, nogil=True, num_threads=n_threads, schedule="static"):
        offsets[k + 1] = scan(
            &grid, &sorted_points[0, 0], &starts[0], &order[0], place[centers[k]], limit, NULL
        )
    for k in range(n_rows):
        offsets[k + 1] += offsets[k]
    neighbors = np.empty(offsets[n_rows], dtype=np.int32)
    if neighbors.shape[0]:
        for k in prange(n_rows, nogil=True, num_threads=n_threads, schedule="static"):
            scan(
                &grid, &sorted_points[0, 0], &starts[0], &order[0], place[centers[k]], limit,
                &neighbors[0] + offsets[k],
            )
    return np.asarray(offsets), np.asarray(neighbors)
