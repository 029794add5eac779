"""Places of atoms: coordinates along a lattice's three directions, wrapped, and without wide gaps.

An empty gap wider than the cutoff separates atoms no better than one that is just as wide. Where
atoms are few for the space that they are spread over, gaps are closed up to that: a droplet in a
large box, layers with vacuum between them or one atom far away then make a small grid of cells.
"""

from libc.math cimport fabs, floor, fma
from libc.stdint cimport uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from torchml_core._parallel cimport share
from torchml_core.cells.faults cimport FINE, INTERRUPTED, TOO_FAR, TOO_LARGE
from torchml_core.cells.lattice cimport ROUNDING
from torchml_core.cells.sorting cimport Keyed, sort_keyed

cdef extern from *:
    """
    #define WHOLE 9007199254740992.0  /* up to it there are all whole numbers */
    #define BEYOND 1e300
    """
    const double WHOLE, BEYOND


cdef extern from *:
    """
    /* Of several threads. */
    #define set_flag(flag) __atomic_store_n(flag, 1, __ATOMIC_RELAXED)
    """
    void set_flag(bint *flag) noexcept nogil


cdef enum:
    FAR = 1000000000          # whole cells; the difference of two shifts must fit 32 bits
    MOST_ROUNDING = 1000000   # cutoffs
    ATOMS_AT_ONCE = 1024


cdef enum Move:
    STAYED
    WRAPPED
    LOST


# What threads that place atoms share.
cdef struct Atoms:
    const double *positions
    const Lattice *lattice
    Place *places
    bint wrapped, lost        # whether some were


cdef Fault place_atoms(
    const double *positions, int64_t n_atoms, const Lattice *lattice, Place *places,
    double *rounding, bint *beyond, bint *wrapped, int n_threads, SignalWatch *watch,
) noexcept nogil:
    """Wrap atoms into the cell.

    positions : IN (n_atoms, 3) in Å
    places : OUT (n_atoms,) t from 0 to the period where periodic
    rounding : OUT by which no two ways to compute a vector between near atoms differ
    beyond : OUT whether an atom is so far away that it is not told from others as far
    wrapped : OUT whether some atoms were outside of the cell
    """
    cdef Atoms atoms = [positions, lattice, places, False, False]
    share(n_threads, n_atoms, ATOMS_AT_ONCE, place_some_atoms, &atoms, watch)
    if watch.stopped:
        return INTERRUPTED
    if atoms.lost:
        return TOO_FAR
    wrapped[0] = atoms.wrapped
    rounding[0] = find_rounding(positions, n_atoms, lattice, atoms.wrapped, beyond)
    return FINE if rounding[0] <= MOST_ROUNDING * lattice.limit else TOO_LARGE


cdef void place_some_atoms(
    void *context, Py_ssize_t first, Py_ssize_t end, int thread
) noexcept nogil:
    cdef Atoms *atoms = <Atoms *> context
    cdef int64_t i
    cdef int wrapped = 0, lost = 0
    cdef Move move
    for i in range(first, end):
        move = place_atom(atoms.positions + 3 * i, atoms.lattice, &atoms.places[i])
        wrapped |= move == WRAPPED
        lost |= move == LOST
    if wrapped:
        set_flag(&atoms.wrapped)
    if lost:
        set_flag(&atoms.lost)


cdef inline Move place_atom(const double *x, const Lattice *lattice, Place *out) noexcept nogil:
    cdef double[3] whole = [0, 0, 0]
    cdef double t
    cdef int k
    for k in range(3):
        t = (
            x[0] * lattice.normals[0][k] + x[1] * lattice.normals[1][k]
            + x[2] * lattice.normals[2][k]
        )
        if lattice.periodic[k]:
            whole[k] = -floor(t * lattice.per_period[k])
            if not fabs(whole[k]) <= FAR:
                return LOST
            t += whole[k] * lattice.period[k]
        out.t[k] = min(max(t, -BEYOND), BEYOND)
        out.added[k] = <int32_t> whole[k]
    if whole[0] == 0 and whole[1] == 0 and whole[2] == 0:
        return STAYED
    for k in range(3):
        t = fabs(
            whole[0] * lattice.transform[0][k]
            + whole[1] * lattice.transform[1][k]
            + whole[2] * lattice.transform[2][k]
        )
        if t > FAR:
            return LOST
    return WRAPPED


cdef double find_rounding(
    const double *positions, int64_t n_atoms, const Lattice *lattice, bint wrapped, bint *beyond
) noexcept nogil:
    """What ``place_atoms`` says about it."""
    cdef double[3] largest = [0, 0, 0]
    cdef double rounding = 0, bound
    cdef int64_t i
    cdef int k
    for i in range(n_atoms):
        for k in range(3):
            largest[k] = max(largest[k], fabs(positions[3 * i + k]))
    beyond[0] = False
    for k in range(3):
        bound = (
            largest[0] * fabs(lattice.normals[0][k])
            + largest[1] * fabs(lattice.normals[1][k])
            + largest[2] * fabs(lattice.normals[2][k])
        )
        beyond[0] = beyond[0] or bound >= BEYOND
        if lattice.exact[k]:
            continue
        rounding += ROUNDING * lattice.stretch[k] * (bound + (lattice.period[k] if wrapped else 0))
        if lattice.periodic[k]:  # near atoms are apart by so many cell vectors at most
            rounding += lattice.rounding[k] * 2 * (bound + lattice.limit) / lattice.period[k]
    return rounding


cdef void find_span(
    const Place *places, int64_t n_atoms, const Lattice *lattice, int k, double least, Span *out
) noexcept nogil:
    """From where to where atoms are along a direction; not less than so much."""
    cdef double highest
    cdef int64_t i
    out.lowest = 0
    out.extent = lattice.period[k]
    if lattice.periodic[k]:
        return
    out.extent = least
    if n_atoms == 0:
        return
    out.lowest = highest = places[0].t[k]
    for i in range(n_atoms):
        out.lowest = min(out.lowest, places[i].t[k])
        highest = max(highest, places[i].t[k])
    out.extent = max(highest - out.lowest, least)


# Slabs that space is cut into across a direction.
cdef struct Slabs:
    double width
    double n                  # in a period; 0 where there is none
    double lowest             # with an atom
    bint whole                # all numbers of slabs are exact


cdef bint close_gaps(
    Place *places, int64_t n_atoms, int k, bint periodic, double least, Span *span
) noexcept nogil:
    """Move atoms together along a direction; False if memory is short.

    Space is cut into slabs of at least that width, a cutoff. Of slabs without atoms that follow
    each other, one is left; the last and the first follow each other where there is a period.
    """
    cdef Keyed *items = <Keyed *> malloc((2 * n_atoms + 1) * sizeof(Keyed))
    cdef double farthest = max(fabs(span.lowest), fabs(span.lowest + span.extent))
    cdef Slabs slabs
    cdef int64_t i
    if items == NULL:
        return False
    slabs.n = max(floor(span.extent / least), 1.0) if periodic else 0.0
    slabs.width = span.extent / slabs.n if periodic else least
    slabs.whole = farthest < WHOLE / 2 * slabs.width
    slabs.lowest = 0 if periodic else slab_of(&slabs, span.lowest)
    for i in range(n_atoms):
        items[i].key = key_of(&slabs, places[i].t[k])
        items[i].value = i
    move_together(
        places, n_atoms, k, &slabs, sort_keyed(items, items + n_atoms, n_atoms), span
    )
    free(items)
    return True


cdef void move_together(
    Place *places, int64_t n_atoms, int k, const Slabs *slabs, const Keyed *ordered, Span *span
) noexcept nogil:
    """Move atoms that are ordered by slab."""
    cdef double t, slab, offset, previous_t = 0, previous = 0, first = 0
    cdef int64_t i, n = 0
    for i in range(n_atoms):
        t = places[ordered[i].value].t[k]
        slab = slabs.lowest + <double>ordered[i].key if slabs.whole else slab_of(slabs, t)
        offset = fma(-slab, slabs.width, t)
        if i == 0:
            first = slab
        elif fabs(slab) >= WHOLE:  # t that differ do so by more than a slab
            n += 0 if t == previous_t else 2
        elif slab != previous:
            n += 1 if slab - previous < 2 else 2
        if fabs(slab) >= WHOLE:
            offset = 0
        previous = slab
        previous_t = t
        places[ordered[i].value].t[k] = n * slabs.width + offset
    n += 2 if slabs.n and first + slabs.n - previous > 1 else 1
    span.lowest = 0
    span.extent = n * slabs.width


cdef inline double slab_of(const Slabs *slabs, double t) noexcept nogil:
    """The number of the slab that t is in; beyond WHOLE, about."""
    cdef double slab = floor(t / slabs.width)
    if fma(-slab, slabs.width, t) < 0 and fabs(slab) < WHOLE:
        slab -= 1  # the quotient was rounded up
    return min(max(slab, 0.0), slabs.n - 1) if slabs.n else slab


cdef inline uint64_t key_of(const Slabs *slabs, double t) noexcept nogil:
    """A number that is larger for a slab further on; a small one if it can be."""
    cdef uint64_t bits, sign = 1
    if slabs.whole:
        return <uint64_t>(slab_of(slabs, t) - slabs.lowest)
    t += 0.0  # -0 to 0
    memcpy(&bits, &t, sizeof(bits))
    sign <<= 63
    return ~bits if bits & sign else bits | sign
