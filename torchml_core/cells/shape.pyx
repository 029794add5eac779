"""The shape of a grid: how many cells, and how wide."""

from libc.math cimport ceil, fabs
from libc.stdlib cimport llabs

from torchml_core.cells.faults cimport FINE, TOO_MANY_IMAGES, TOO_OBLIQUE

cdef enum:
    MOST_IMAGE_SHIFT = 140000000  # of the user's cells: beyond the atoms' own, see places


cdef void choose_home(int64_t n_atoms, Grid *grid) noexcept nogil:
    """As many home cells as there can be, so that neighbors are in adjacent ones."""
    cdef double volume = grid.spans[0].extent * grid.spans[1].extent * grid.spans[2].extent
    cdef bint crowded = n_atoms * grid.slack**3 > CROWDED * volume
    cdef double fineness
    cdef bint few
    cdef int k
    for k in range(3):
        # along rows only where one cell would be most of what there is: points of a row are read
        # one after another anyway
        few = grid.spans[k].extent < 2 * grid.slack
        fineness = 2 if crowded and (k or few) else 1
        grid.home[k] = <int64_t> min(
            max(fineness * grid.spans[k].extent / grid.slack, 1.0), 1e15
        )


cdef bint coarsen(double most_cells, Grid *grid) noexcept nogil:
    """Make cells wider until there are not more than so many; False if it was so before."""
    cdef bint changed = False
    cdef int k, longest
    while 1.0 * grid.home[0] * grid.home[1] * grid.home[2] > most_cells:
        changed = True
        longest = 0
        for k in range(1, 3):
            longest = k if grid.home[k] > grid.home[longest] else longest
        grid.home[longest] = (grid.home[longest] + 1) // 2
    return changed


cdef Fault measure_cells(
    int64_t n_atoms, const Lattice *lattice, Grid *grid
) noexcept nogil:
    """Width of the home cells, how far to search around them, and where the grid ends."""
    cdef double points = n_atoms, around = 1, reach, half
    cdef double[3] shifts = [0, 0, 0]
    cdef int k, axis
    for k in range(3):
        grid.width[k] = grid.spans[k].extent / grid.home[k]
        reach = ceil(grid.slack / grid.width[k])
        if lattice.periodic[k]:
            points *= 1 + 2 * reach / grid.home[k]
        # the share of all points that is around an atom, if they are spread evenly
        around *= min(
            (2 * reach + 1) / (grid.home[k] + (2 * reach if lattice.periodic[k] else 0)), 1.0
        )
        if points > grid.most_points:
            return TOO_MANY_IMAGES
        grid.reach[k] = <int64_t> reach
        grid.shape[k] = grid.home[k] + 2 * grid.reach[k]
        for axis in range(3):
            shifts[axis] += llabs(lattice.transform[k][axis]) * ceil(reach / grid.home[k])
    if lattice.periodic[0] or lattice.periodic[1] or lattice.periodic[2]:
        if max(shifts[0], shifts[1], shifts[2]) > MOST_IMAGE_SHIFT:
            return TOO_OBLIQUE
    # a sphere fills between a sixth and a third of the cells that are searched for it
    if n_atoms * points * around / 6 > grid.most_pairs:
        return TOO_MANY_IMAGES
    grid.span = 0
    for axis in range(3):
        reach = 0
        for k in range(3):
            half = grid.spans[k].extent / 2 + grid.reach[k] * grid.width[k]
            reach += half * fabs(lattice.along[k][axis])
        grid.span = max(grid.span, reach)
    return FINE
