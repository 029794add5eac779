"""The particles of a configuration: images of a search numbered as ghosts, and their positions.

A ghost is numbered where it is first met, in the order of the atoms and of their neighbors. Each of
several threads numbers those of some atoms that follow each other; then the sets are joined in the
order of the atoms, so that the numbers are those that one thread would give.
"""

from libc.stdlib cimport free
from libc.string cimport memset

from torchml_core._parallel cimport share
from torchml_core.cells.distances cimport is_in_cell
from torchml_core.cells.ghosts cimport (
    Image, add_image, add_shift, free_ghosts, hash_images, number_of, start_ghosts,
)
from torchml_core.cells.grid cimport Point
from torchml_core.cells.grid_memory cimport renewed
from torchml_core.cells.structures cimport row_of
from torchml_core.signals cimport SignalWatch, interrupted

cdef enum:
    MOST_PARTS = 64
    WORTH_A_PART = 50000      # pairs
    PARTICLES_AT_ONCE = 1024
    PAIRS_AT_ONCE = 16384


# Some atoms that follow each other, and the ghosts that they meet.
cdef struct Part:
    int64_t first, end
    Ghosts ghosts
    int32_t *number_at        # (n_points,) the particle that each is for atoms in the cell, or -1
    int32_t *joined           # (ghosts.n,) their numbers among those of all parts, but the first
    bint done


# What threads share.
cdef struct Parts:
    Search *search
    int32_t *neighbors
    bint in_cell              # all atoms are in the cell: a point is the same image for all
    int n
    Part[MOST_PARTS] part


cdef bint number_ghosts(
    Search *search, int64_t n_layers, int64_t most, Ghosts *ghosts, int32_t *neighbors
) noexcept nogil:
    """Number the images that are neighbors of atoms, and those of further layers.

    search : of one structure
    most : ghosts there may be
    ghosts : OUT to be freed by free_ghosts
    neighbors : OUT (n_pairs,) the particle that each pair's neighbor is: an atom, or a ghost,
        counted after them

    Returns False if memory is short, if there are too many, or if it was interrupted.
    """
    cdef Parts parts
    cdef bint enough
    cdef int k
    memset(&parts, 0, sizeof(Parts))
    parts.search = search
    parts.neighbors = neighbors
    parts.in_cell = not search.grids[0].wrapped
    split(search, &parts)
    for k in range(parts.n):
        start_ghosts(&parts.part[k].ghosts, most)
    share(parts.n, parts.n, 1, number_some_parts, &parts, &search.watch)
    enough = not search.watch.stopped and join(&parts)
    if enough and parts.n > 1:
        share(
            parts.n, search.offsets[search.n_atoms] - search.offsets[parts.part[1].first],
            PAIRS_AT_ONCE, renumber_some_pairs, &parts, &search.watch,
        )
        enough = not search.watch.stopped
    ghosts[0] = parts.part[0].ghosts
    for k in range(parts.n):
        free(parts.part[k].number_at)
        free(parts.part[k].joined)
        if k > 0:
            ghosts.too_many = ghosts.too_many or parts.part[k].ghosts.too_many
            free_ghosts(&parts.part[k].ghosts)
    return enough and add_layers(search, n_layers, ghosts)


cdef void split(const Search *search, Parts *parts) noexcept nogil:
    """Parts of about as many pairs, one for each thread."""
    cdef int64_t n_pairs = search.offsets[search.n_atoms], atom = 0, target
    cdef int k
    parts.n = <int> max(min(search.n_threads, n_pairs // WORTH_A_PART, MOST_PARTS), 1)
    for k in range(parts.n):
        parts.part[k].first = atom
        target = n_pairs * (k + 1) // parts.n
        while atom < search.n_atoms and (search.offsets[atom + 1] <= target or k == parts.n - 1):
            atom += 1
        parts.part[k].end = atom


cdef void number_some_parts(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef Parts *parts = <Parts *> context
    cdef int64_t k
    for k in range(first, end):
        parts.part[k].done = number_part(parts, &parts.part[k])


cdef bint number_part(const Parts *parts, Part *part) noexcept nogil:
    """Write the particle that each pair's neighbor is; False if that cannot be done."""
    cdef:
        Search *search = parts.search
        const Point *points = search.grids[0].points
        const Point *here
        const int32_t *row
        int32_t *neighbors
        int64_t atom, k, number
    if part.first == part.end:
        return True
    if not start_numbers(search, part):
        return False
    if not parts.in_cell and not hash_images(&part.ghosts, expected_ghosts(search) // parts.n):
        return False
    for atom in range(part.first, part.end):
        neighbors = parts.neighbors + search.offsets[atom]
        here = points + search.home[atom]
        row = row_of(search, atom)
        if interrupted(&search.watch, 4 * search.n_hits[atom]):
            return False
        if not is_in_cell(here):
            if not number_row(search, part, here, row, search.n_hits[atom], neighbors):
                return False
            continue
        # a point is the same image for all atoms that are in the cell: it is numbered once
        for k in range(search.n_hits[atom]):
            number = part.number_at[row[k]]
            if number < 0:
                if parts.in_cell:
                    number = add_image(&part.ghosts, image_of(here, points + row[k]))
                else:
                    number = number_of(&part.ghosts, image_of(here, points + row[k]))
                if number < 0:
                    return False
                number += search.n_atoms
                part.number_at[row[k]] = <int32_t> number
            neighbors[k] = <int32_t> number
    return True


cdef inline int64_t expected_ghosts(const Search *search) noexcept nogil:
    """About as many as there are images in the grid, or less."""
    return search.grids[0].n_points - search.n_atoms


cdef bint start_numbers(const Search *search, Part *part) noexcept nogil:
    """The particle that each point is, where it is an atom; False if memory is short."""
    cdef const Point *points = search.grids[0].points
    cdef int64_t n_points = search.grids[0].n_points, p
    if not renewed(<void **> &part.number_at, (n_points + 1) * sizeof(int32_t)):
        return False
    if search.grids[0].wrapped:
        for p in range(n_points):
            part.number_at[p] = points[p].atom if is_in_cell(points + p) else -1
    else:
        memset(part.number_at, 0xFF, n_points * sizeof(int32_t))
        for p in range(search.n_atoms):
            part.number_at[search.home[p]] = <int32_t> p
    return True


cdef bint number_row(
    const Search *search, Part *part, const Point *here, const int32_t *row, int64_t n,
    int32_t *neighbors,
) noexcept nogil:
    """Number the neighbors of an atom that is outside of the cell."""
    cdef int64_t k, number
    cdef Image image
    for k in range(n):
        image = image_of(here, search.grids[0].points + row[k])
        number = image.atom
        if image.a | image.b | image.c:
            number = number_of(&part.ghosts, image)
            if number < 0:
                return False
            number += search.n_atoms
        neighbors[k] = <int32_t> number
    return True


cdef inline Image image_of(const Point *here, const Point *there) noexcept nogil:
    """A point as an image relative to where an atom is."""
    cdef Image image
    image.atom = there.atom
    image.a = there.a - here.a
    image.b = there.b - here.b
    image.c = there.c - here.c
    return image


cdef bint join(Parts *parts) noexcept nogil:
    """Add the ghosts of all parts to those of the first; False if that cannot be done."""
    cdef Ghosts *ghosts = &parts.part[0].ghosts
    cdef Part *part
    cdef int64_t k, number
    for k in range(parts.n):
        if not parts.part[k].done:
            return False
    if parts.n > 1 and not hash_images(ghosts, expected_ghosts(parts.search)):
        return False
    for p in range(1, parts.n):
        part = &parts.part[p]
        if not renewed(<void **> &part.joined, (part.ghosts.n + 1) * sizeof(int32_t)):
            return False
        part.joined[0] = 0
        for k in range(part.ghosts.n):
            number = number_of(ghosts, part.ghosts.images[k])
            if number < 0:
                return False
            part.joined[k] = <int32_t> number
    return True


cdef void renumber_some_pairs(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    """Replace numbers of a part's own ghosts by those among all; pairs are counted from part 1."""
    cdef const Parts *parts = <const Parts *> context
    cdef const Part *part
    cdef const int64_t *offsets = parts.search.offsets
    cdef int64_t begin, stop, p, n_atoms = parts.search.n_atoms
    first += offsets[parts.part[1].first]
    end += offsets[parts.part[1].first]
    for p in range(1, parts.n):
        part = &parts.part[p]
        begin = max(first, offsets[part.first])
        stop = min(end, offsets[part.end])
        if begin < stop:
            renumber(parts.neighbors + begin, stop - begin, <int32_t> n_atoms, part.joined)


cdef inline void renumber(
    int32_t *neighbors, int64_t n, int32_t n_atoms, const int32_t *joined
) noexcept nogil:
    """joined : at least one number"""
    cdef int64_t k
    cdef int32_t ghost, number
    for k in range(n):  # without a branch
        ghost = neighbors[k] - n_atoms
        number = joined[max(ghost, 0)]
        neighbors[k] = n_atoms + (number if ghost >= 0 else ghost)


cdef bint add_layers(Search *search, int64_t n_layers, Ghosts *ghosts) noexcept nogil:
    """Add images until all within so many hops of an atom are there."""
    cdef int64_t n_known = 0, end, _
    if n_layers > 1 and ghosts.n and not hash_images(ghosts, ghosts.n):
        return False
    for _ in range(1, n_layers):
        if n_known == ghosts.n:
            break
        end = ghosts.n
        if not grow(search, ghosts, n_known, end):
            return False
        n_known = end
    return True


cdef bint grow(Search *search, Ghosts *ghosts, int64_t first, int64_t end) noexcept nogil:
    """Add the images that are neighbors of some ghosts; False if that cannot be done."""
    cdef int64_t ghost, k
    cdef const int32_t *row
    cdef const Point *points = search.grids[0].points
    cdef Image here, image
    for ghost in range(first, end):
        here = ghosts.images[ghost]
        row = row_of(search, here.atom)
        if interrupted(&search.watch, 10 * search.n_hits[here.atom]):
            return False
        for k in range(search.n_hits[here.atom]):
            image = image_of(points + search.home[here.atom], points + row[k])
            if not add_shift(&image, &here):
                ghosts.too_many = True
                return False
            if (image.a or image.b or image.c) and number_of(ghosts, image) < 0:
                return False
    return True


cdef void write_particles(Particles *particles, int n_threads, SignalWatch *watch) noexcept nogil:
    """Write the arrays of a configuration, for its atoms and their ghosts."""
    share(
        n_threads, particles.n_atoms + particles.ghosts.n, PARTICLES_AT_ONCE,
        write_some_particles, particles, watch,
    )


cdef void write_some_particles(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef const Particles *particles = <const Particles *> context
    cdef const double *cell = particles.cell
    cdef const double *atom
    cdef const Image *image
    cdef int64_t p, n_atoms = particles.n_atoms
    cdef int k
    for p in range(first, min(end, n_atoms)):
        particles.parents[p] = particles.centers[p] = <int32_t> p
        particles.species[p] = particles.codes[p]
        particles.contributing[p] = 1
        for k in range(3):
            particles.shifts[3 * p + k] = 0
            particles.positions[3 * p + k] = particles.atoms[3 * p + k]
    for p in range(max(first, n_atoms), end):
        image = particles.ghosts.images + p - n_atoms
        atom = particles.atoms + 3 * image.atom
        particles.parents[p] = image.atom
        particles.species[p] = particles.codes[image.atom]
        particles.contributing[p] = 0
        particles.shifts[3 * p] = image.a
        particles.shifts[3 * p + 1] = image.b
        particles.shifts[3 * p + 2] = image.c
        for k in range(3):
            particles.positions[3 * p + k] = atom[k] + (
                image.a * cell[k] + image.b * cell[3 + k] + image.c * cell[6 + k]
            )
