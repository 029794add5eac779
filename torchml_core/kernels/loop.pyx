"""The loop over atoms: gathers their environments and gives them to a kernel, in threads.

Every verb is one loop over groups of rows of the neighbor lists (``_parallel.pyx``). A group writes
to places of its own and is computed by one thread: results do not depend on the number of threads,
to the last bit. What a kernel is given and what it fills is in ``verbs.pxd``. Buffers come from the
caller, ``_descriptors.pyx``.
"""

from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.string cimport memset

from torchml_core._parallel cimport Threads, in_threads
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport simd_finite_d, simd_finite_f


cdef enum:
    PAIRS_OF_PART = 1 << 14  # fewer are added in less time than it takes to wake a thread
    SLABS = 64  # particles are shared out to threads by their number / SLAB_LENGTH % SLABS
    SLAB_LENGTH = 64


# ---- one group of rows


cdef inline void gather_near(
    const Call *call, Py_ssize_t row, Py_ssize_t first_entry, Environment *env
) noexcept nogil:
    """Fill env with a row's neighbors within their cutoff, up to rounding.

    ``r`` gets squares of distances: their roots are for keep_near. ``first_entry``: of the row's
    group; slots are counted from there. Pointers are local, so that they stay in registers.
    """
    cdef const ConfigurationInfo *lists = call.lists
    cdef const double *dr = call.dr
    cdef const double *positions = lists.positions
    cdef const int32_t *all_species = lists.species
    cdef const int32_t *neighbors = lists.neighbors
    cdef Py_ssize_t i = lists.centers[row], j, entry, n = 0
    cdef const double *cutoffs = call.kernel.cutoffs + all_species[i] * call.kernel.n_species
    cdef const double *there
    cdef double *xs = env.x
    cdef double *ys = env.y
    cdef double *zs = env.z
    cdef double *squares = env.r
    cdef int32_t *species = env.neighbor_species
    cdef Py_ssize_t *slots = env.slot
    cdef double here_x = positions[3 * i], here_y = positions[3 * i + 1]
    cdef double here_z = positions[3 * i + 2], x, y, z, square, cutoff
    for entry in range(lists.offsets[row], lists.offsets[row + 1]):
        j = neighbors[entry]
        there = positions + 3 * j
        x = there[0] - here_x
        y = there[1] - here_y
        z = there[2] - here_z
        square = x * x + y * y + z * z
        xs[n] = x
        ys[n] = y
        zs[n] = z
        squares[n] = square
        species[n] = all_species[j]
        slots[n] = entry - first_entry
        if dr != NULL:
            env.dx[n] = dr[3 * j] - dr[3 * i]
            env.dy[n] = dr[3 * j + 1] - dr[3 * i + 1]
            env.dz[n] = dr[3 * j + 2] - dr[3 * i + 2]
        # One that is too far is overwritten by the next: lists with a skin hold so many that a
        # branch could not be foretold. NaN stays, to be found in the results.
        cutoff = cutoffs[all_species[j]]
        n += not square > cutoff * cutoff * (1 + 1e-15)
    env.n = n
    env.species = all_species[i]


cdef inline void drop_beyond(
    Environment *env, const double *cutoffs, bint with_directions
) noexcept nogil:
    """Leave neighbors out that are within their cutoff only by rounding of the square."""
    cdef Py_ssize_t n = env.n, k, to = 0
    for k in range(n):
        env.x[to], env.y[to], env.z[to], env.r[to] = env.x[k], env.y[k], env.z[k], env.r[k]
        env.neighbor_species[to], env.slot[to] = env.neighbor_species[k], env.slot[k]
        if with_directions:
            env.dx[to], env.dy[to], env.dz[to] = env.dx[k], env.dy[k], env.dz[k]
        to += not env.r[to] > cutoffs[env.neighbor_species[to]]
    env.n = to


cdef inline bint keep_near(
    const Call *call, Py_ssize_t first_entry, Workspace *work, Environment *env
) noexcept nogil:
    """Take the roots; False if a neighbor is on the center.

    In a loop of its own, and after all rows of a group are gathered: what is stored number by
    number could be loaded as vectors only after a while.
    """
    cdef const double *cutoffs = call.kernel.cutoffs + env.species * call.kernel.n_species
    cdef double *r = env.r
    cdef Py_ssize_t n = env.n, k
    cdef bint beyond = False, on_center = False
    for k in range(n):
        r[k] = sqrt(r[k])
    for k in range(n):
        on_center |= r[k] == 0
        beyond |= r[k] > cutoffs[env.neighbor_species[k]]
    if beyond:
        drop_beyond(env, cutoffs, call.dr != NULL)
    for k in range(n if on_center else 0):
        if r[k] == 0:
            work.coincident = min(work.coincident, first_entry + env.slot[k])
            return False
    return True


cdef inline void point_to_row(
    const Call *call, Py_ssize_t row, Workspace *work, Environment *env
) noexcept nogil:
    """What else a verb is given, and where it puts its results."""
    env.not_finite = &work.not_finite if call.streams else NULL
    if call.dE_dD != NULL:
        env.dE_dD = call.dE_dD + row * call.kernel.width * call.number_bytes
        env.energy = call.energies + row if call.energies != NULL else NULL


cdef void compute_group(
    const Call *call, Py_ssize_t begin, Py_ssize_t end, Workspace *work
) noexcept nogil:
    """Rows begin ... end - 1; ``begin`` is a multiple of the size of groups."""
    cdef const int64_t *offsets = call.lists.offsets
    cdef Py_ssize_t n_entries = offsets[end] - offsets[begin], n_neighbors = 0, k
    cdef Py_ssize_t n_bytes = (end - begin) * call.row_bytes + n_entries * call.entry_bytes
    cdef char *out = call.out + (begin - call.first) * call.row_bytes
    cdef bint good = True
    work.group[0].kept = NULL
    if begin // call.group < call.n_kept:
        work.group[0].kept = call.kept + begin // call.group * call.kept_bytes
    out += (offsets[begin] - offsets[call.first]) * call.entry_bytes
    for k in range(end - begin):
        gather_near(call, begin + k, offsets[begin], &work.group[k])
    for k in range(end - begin):
        good &= keep_near(call, offsets[begin], work, &work.group[k])
        n_neighbors += work.group[k].n
        point_to_row(call, begin + k, work, &work.group[k])
    if not good:
        return
    if n_neighbors < n_entries and call.entry_bytes:
        memset(out, 0, n_bytes)
    call.verb(call.kernel.plan, work.group, end - begin, work.scratch, out)
    if not call.streams and not call.are_finite(out, n_bytes // call.number_bytes):
        work.not_finite = True
    if call.virials != NULL:
        for k in range(end - begin):
            call.row_virial(&work.group[k], out, call.virials + 9 * (begin + k - call.first))


cdef void compute_groups(
    void *context, Py_ssize_t begin, Py_ssize_t end, int thread
) noexcept nogil:
    """Groups begin ... end - 1 of the block."""
    cdef const Call *call = <const Call *> context
    cdef Py_ssize_t n = call.group, g, row
    for g in range(begin, end):
        row = call.first + g * n
        compute_group(call, row, min(row + n, call.last), &call.work[thread])


cdef int compute_block(Call *call, Threads threads) except -1 nogil:
    cdef Py_ssize_t n = call.group
    return in_threads(
        threads, (call.last - call.first + n - 1) // n, max(1, ROWS_AT_ONCE // n), compute_groups,
        call,
    )


# ---- results, in either precision


cdef bint are_finite(const real *numbers, Py_ssize_t n) noexcept nogil:
    """While they are still in cache, and in threads."""
    if real is float:
        return simd_finite_f(numbers, n)
    else:
        return simd_finite_d(numbers, n)


cdef void row_virial(const Environment *env, const real *gradients, double *virial) noexcept nogil:
    """``virial`` (3, 3): minus the sum over the row's pairs of r_ij ⊗ dE/dr_ij."""
    cdef const real *dE_dr
    cdef double xx = 0, xy = 0, xz = 0, yx = 0, yy = 0, yz = 0, zx = 0, zy = 0, zz = 0
    cdef Py_ssize_t n
    for n in range(env.n):
        dE_dr = gradients + 3 * env.slot[n]
        xx -= env.x[n] * dE_dr[0]
        xy -= env.x[n] * dE_dr[1]
        xz -= env.x[n] * dE_dr[2]
        yx -= env.y[n] * dE_dr[0]
        yy -= env.y[n] * dE_dr[1]
        yz -= env.y[n] * dE_dr[2]
        zx -= env.z[n] * dE_dr[0]
        zy -= env.z[n] * dE_dr[1]
        zz -= env.z[n] * dE_dr[2]
    virial[0], virial[1], virial[2] = xx, xy, xz
    virial[3], virial[4], virial[5] = yx, yy, yz
    virial[6], virial[7], virial[8] = zx, zy, zz


cdef void add_onto_particles(
    const Call *call, const real *gradient, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Add each pair's gradient to its neighbor and subtract it from its center.

    ``begin``, ``end``: of the particles only those of some parts. So every particle gets its
    gradients in the order of the lists, whatever the number of threads, and no two threads meet.
    """
    cdef const ConfigurationInfo *lists = call.lists
    cdef double *out = call.onto
    cdef int first_slab = SLABS * begin // call.n_parts
    cdef unsigned n_slabs = SLABS * end // call.n_parts - first_slab
    cdef double x, y, z
    cdef Py_ssize_t row, entry, i, j
    for row in range(call.first, call.last):
        x = y = z = 0
        for entry in range(lists.offsets[row], lists.offsets[row + 1]):
            j = lists.neighbors[entry]
            x += gradient[0]
            y += gradient[1]
            z += gradient[2]
            if <unsigned> (j // SLAB_LENGTH % SLABS - first_slab) < n_slabs:
                out[3 * j] += gradient[0]
                out[3 * j + 1] += gradient[1]
                out[3 * j + 2] += gradient[2]
            gradient += 3
        i = lists.centers[row]
        if <unsigned> (i // SLAB_LENGTH % SLABS - first_slab) < n_slabs:
            out[3 * i] -= x
            out[3 * i + 1] -= y
            out[3 * i + 2] -= z


cdef void set_precision(Call *call, const real *type_tag) noexcept:
    call.verbs = &call.kernel.single if real is float else &call.kernel.double_
    call.group = call.verbs.group
    call.number_bytes = sizeof(real)
    call.are_finite = <AreFinite> are_finite[real]
    call.row_virial = <RowVirial> row_virial[real]
    call.add_onto_particles = <AddOntoParticles> add_onto_particles[real]


# ---- a vjp, block by block: gradients are added up while they are in cache


cdef Py_ssize_t end_of_block(
    const ConfigurationInfo *lists, Py_ssize_t first, Py_ssize_t group
) noexcept nogil:
    """The row behind the last of those whose gradients are added up together: whole groups, one
    at least. ROWS_OF_BLOCK is a multiple of all sizes of groups."""
    cdef Py_ssize_t row = min(lists.n_rows, first + group)
    cdef Py_ssize_t last = min(lists.n_rows, first + ROWS_OF_BLOCK), next_row = row
    while lists.offsets[next_row] - lists.offsets[first] <= PAIRS_OF_BLOCK:
        row = next_row
        if row == last:
            break
        next_row = min(last, row + group)
    return row


cdef void add_parts(void *context, Py_ssize_t begin, Py_ssize_t end, int thread) noexcept nogil:
    cdef const Call *call = <const Call *> context
    call.add_onto_particles(call, call.out, begin, end)


cdef void add_up(const double *virials, Py_ssize_t n, double *virial) noexcept nogil:
    """Add the virials of n rows, in their order."""
    cdef Py_ssize_t row
    cdef int component
    for row in range(n):
        for component in range(9):
            virial[component] += virials[9 * row + component]


cdef int compute_vjp(Call *call, Threads threads, double *virial) except -1 nogil:
    """``call.out`` and ``call.virials``: memory for a block; ``virial``: NULL if not wanted."""
    cdef const int64_t *offsets = call.lists.offsets
    cdef int most = min(threads.most, SLABS)
    call.last = 0
    while call.last < call.lists.n_rows:
        call.first, call.last = call.last, end_of_block(
            call.lists, call.last, call.group
        )
        compute_block(call, threads)
        call.n_parts = <int> min(most, (offsets[call.last] - offsets[call.first]) // PAIRS_OF_PART)
        call.n_parts = max(1, call.n_parts)
        in_threads(Threads(call.n_parts, False), call.n_parts, 1, add_parts, call)
        if virial != NULL:
            add_up(call.virials, call.last - call.first, virial)
    return 0
