"""The door to the kernels: gathers one atom's environment after another and hands it in.

Every verb is one loop over the rows of the lists, in threads (``_parallel.pyx``). Each row writes
to places of its own only, and each is computed by one thread alone: results do not depend on the
number of threads, to the last bit. Buffers are made here, once a call; the kernels allocate nothing.

Arrays come checked from ``descriptors/base.py``. Each verb returns GOOD, or the first entry of the
lists whose two particles are at the same place, or NOT_FINITE; what it wrote is then of no use. It
raises what the handler of a signal raises meanwhile, KeyboardInterrupt most often.

Which kernel is meant is said in ``kernels/dispatch.pxd``; the parameters are packed for it by a
class of its own, in ``packing/``.
"""

import numpy as np

cimport numpy as cnp
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free

from torchml_core._parallel cimport Threads, Work, in_threads
from torchml_core.kernels.dispatch cimport (
    KernelInfo, Kind, kernel_jacobian, kernel_jvp, kernel_scratch_size, kernel_value, kernel_vjp,
)
from torchml_core.kernels.environment cimport Environment, real

cnp.import_array()

GOOD, NOT_FINITE = -1, -2


cdef enum:
    ROWS_AT_ONCE = 4  # a thread takes so many rows at a time, and is not started for fewer
    PAIRS_OF_BLOCK = 1 << 16  # of a vjp: their gradients stay in cache until they are added up
    ROWS_OF_BLOCK = 1 << 13
    PAIRS_OF_PART = 1 << 14  # in less time than it takes to add these nobody can help
    SLABS = 64  # particles are shared out to threads by their number / SLAB_LENGTH % SLABS
    SLAB_LENGTH = 64
    ALIGNMENT = 64


cdef struct ListsInfo:
    const double *positions    # (n_particles, 3)
    const int32_t *species     # (n_particles,)
    const int32_t *centers     # (n_rows,)
    const int64_t *offsets     # (n_rows + 1,)
    const int32_t *neighbors   # (n_pairs,)
    Py_ssize_t n_rows
    Py_ssize_t n_pairs


# One thread's own.
cdef struct Workspace:
    Environment env
    void *pair_gradients       # (3, n neighbors), of the kernel's precision
    void *scratch
    Py_ssize_t coincident      # the first entry found at distance 0, n_pairs if there is none
    bint not_finite            # whether a result was


# A verb's arguments, for all threads. Arrays of void are of float32 if single, else of float64.
cdef struct Call:
    const KernelInfo *kernel
    const ListsInfo *lists
    Workspace *work            # of each thread
    bint single
    const void *dE_dD          # (n_rows, width)
    const double *dr           # (n_particles, 3)
    void *out
    double *virials            # (rows of the block, 3, 3): of each row, NULL if not wanted
    Py_ssize_t first           # of the block, with which out and virials begin


# Gradients of the pairs of rows first ... last - 1 and what they are added onto, in parts.
cdef struct Addition:
    const ListsInfo *lists
    Py_ssize_t first, last
    bint single
    const void *pair_gradients
    double *out                # (n_particles, 3)
    int n_parts


# ---- one row


cdef inline void check_finite(Workspace *work, const real *values, Py_ssize_t n) noexcept nogil:
    """While the row is still in cache, and in threads."""
    cdef Py_ssize_t k
    cdef int bad = 0
    for k in range(n):
        bad |= values[k] - values[k] != 0
    if bad:
        work.not_finite = True


cdef bint gather(
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t row, const double *dr,
    Workspace *work,
) noexcept nogil:
    """Fill work.env with a row's neighbors within their cutoff; False if one is on the centre.

    ``dr`` (n_particles, 3): the particles' directions, NULL if there are none.
    """
    cdef Environment *env = &work.env
    cdef Py_ssize_t i = lists.centers[row], j, entry, n = 0
    cdef const double *here = lists.positions + 3 * i
    cdef const double *there
    cdef const double *cutoffs = kernel.cutoffs + lists.species[i] * kernel.n_species
    cdef double x, y, z, r

    env.species = lists.species[i]
    for entry in range(lists.offsets[row], lists.offsets[row + 1]):
        j = lists.neighbors[entry]
        there = lists.positions + 3 * j
        x = there[0] - here[0]
        y = there[1] - here[1]
        z = there[2] - here[2]
        r = sqrt(x * x + y * y + z * z)
        if r == 0:
            work.coincident = min(work.coincident, entry)
            return False
        env.x[n] = x
        env.y[n] = y
        env.z[n] = z
        env.r[n] = r
        env.neighbor_species[n] = lists.species[j]
        env.slot[n] = entry - lists.offsets[row]
        if dr != NULL:
            env.dx[n] = dr[3 * j] - dr[3 * i]
            env.dy[n] = dr[3 * j + 1] - dr[3 * i + 1]
            env.dz[n] = dr[3 * j + 2] - dr[3 * i + 2]
        # One that is too far is overwritten by the next: lists with a skin hold so many that a
        # branch could not be foretold. NaN stays, to be found in the results.
        n += not r > cutoffs[lists.species[j]]
    env.n = n
    return True


cdef void value_of_row(Call *call, Py_ssize_t row, Workspace *work, real *out) noexcept nogil:
    if gather(call.kernel, call.lists, row, NULL, work):
        kernel_value(call.kernel, &work.env, work.scratch, out)
        check_finite(work, out, call.kernel.width)


cdef void jvp_of_row(Call *call, Py_ssize_t row, Workspace *work, real *out) noexcept nogil:
    if gather(call.kernel, call.lists, row, call.dr, work):
        kernel_jvp(call.kernel, &work.env, work.scratch, out)
        check_finite(work, out, call.kernel.width)


cdef inline void row_virial(
    const Environment *env, const real *gradients, double *virial
) noexcept nogil:
    """``virial`` (3, 3): minus the sum over the row's pairs of r_ij ⊗ dE/dr_ij."""
    cdef const real *along_x = gradients
    cdef const real *along_y = gradients + env.n
    cdef const real *along_z = gradients + 2 * env.n
    cdef double xx = 0, xy = 0, xz = 0, yx = 0, yy = 0, yz = 0, zx = 0, zy = 0, zz = 0
    cdef Py_ssize_t n
    for n in range(env.n):
        xx -= env.x[n] * along_x[n]
        xy -= env.x[n] * along_y[n]
        xz -= env.x[n] * along_z[n]
        yx -= env.y[n] * along_x[n]
        yy -= env.y[n] * along_y[n]
        yz -= env.y[n] * along_z[n]
        zx -= env.z[n] * along_x[n]
        zy -= env.z[n] * along_y[n]
        zz -= env.z[n] * along_z[n]
    virial[0], virial[1], virial[2] = xx, xy, xz
    virial[3], virial[4], virial[5] = yx, yy, yz
    virial[6], virial[7], virial[8] = zx, zy, zz


cdef void pair_gradients_of_row(
    Call *call, Py_ssize_t row, Workspace *work, const real *dE_dD, real *out
) noexcept nogil:
    """``out``: (n entries of the row, 3)."""
    cdef Py_ssize_t n_entries = call.lists.offsets[row + 1] - call.lists.offsets[row]
    cdef real *gradients = <real *> work.pair_gradients
    cdef Py_ssize_t n, at, axis
    if not gather(call.kernel, call.lists, row, NULL, work):
        return
    kernel_vjp(call.kernel, &work.env, dE_dD, work.scratch, gradients)
    check_finite(work, gradients, 3 * work.env.n)
    if call.virials != NULL:
        row_virial(&work.env, gradients, call.virials + 9 * (row - call.first))
    if work.env.n < n_entries:
        for at in range(3 * n_entries):
            out[at] = 0
    for n in range(work.env.n):
        at = 3 * work.env.slot[n]
        for axis in range(3):
            out[at + axis] = gradients[axis * work.env.n + n]


cdef void jacobian_of_row(Call *call, Py_ssize_t row, Workspace *work, real *out) noexcept nogil:
    """``out``: (n entries of the row, 3, width)."""
    cdef Py_ssize_t n_entries = call.lists.offsets[row + 1] - call.lists.offsets[row], at
    if not gather(call.kernel, call.lists, row, NULL, work):
        return
    if work.env.n < n_entries:
        for at in range(3 * call.kernel.width * n_entries):
            out[at] = 0
    kernel_jacobian(call.kernel, &work.env, work.scratch, out)
    check_finite(work, out, 3 * call.kernel.width * n_entries)


# ---- some rows, by one thread


cdef void value_of_rows(
    void *context, Py_ssize_t begin, Py_ssize_t end, int thread
) noexcept nogil:
    cdef Call *call = <Call *> context
    cdef Py_ssize_t row, width = call.kernel.width
    for row in range(begin, end):
        if call.single:
            value_of_row(call, row, &call.work[thread], <float *> call.out + width * row)
        else:
            value_of_row(call, row, &call.work[thread], <double *> call.out + width * row)


cdef void jvp_of_rows(void *context, Py_ssize_t begin, Py_ssize_t end, int thread) noexcept nogil:
    cdef Call *call = <Call *> context
    cdef Py_ssize_t row, width = call.kernel.width
    for row in range(begin, end):
        if call.single:
            jvp_of_row(call, row, &call.work[thread], <float *> call.out + width * row)
        else:
            jvp_of_row(call, row, &call.work[thread], <double *> call.out + width * row)


cdef void jacobian_of_rows(
    void *context, Py_ssize_t begin, Py_ssize_t end, int thread
) noexcept nogil:
    cdef Call *call = <Call *> context
    cdef Py_ssize_t row, at
    for row in range(begin, end):
        at = 3 * call.kernel.width * call.lists.offsets[row]
        if call.single:
            jacobian_of_row(call, row, &call.work[thread], <float *> call.out + at)
        else:
            jacobian_of_row(call, row, &call.work[thread], <double *> call.out + at)


cdef void pair_gradients_of_rows(
    void *context, Py_ssize_t begin, Py_ssize_t end, int thread
) noexcept nogil:
    """Rows are counted from the first of the block."""
    cdef Call *call = <Call *> context
    cdef Workspace *work = &call.work[thread]
    cdef Py_ssize_t row, at, weight
    for row in range(call.first + begin, call.first + end):
        weight = call.kernel.width * row
        at = 3 * (call.lists.offsets[row] - call.lists.offsets[call.first])
        if call.single:
            pair_gradients_of_row(
                call, row, work, <const float *> call.dE_dD + weight, <float *> call.out + at
            )
        else:
            pair_gradients_of_row(
                call, row, work, <const double *> call.dE_dD + weight, <double *> call.out + at
            )


# ---- gradients of pairs, added up


cdef void add_onto_particles(
    const Addition *call, const real *gradient, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil:
    """Add each pair's gradient to its neighbor and take it from its centre.

    ``begin``, ``end``: of the particles only those of some parts. So every particle gets its
    gradients in the order of the lists, whatever the number of threads, and no two threads meet.
    """
    cdef const ListsInfo *lists = call.lists
    cdef double *out = call.out
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


cdef void add_parts(void *context, Py_ssize_t begin, Py_ssize_t end, int thread) noexcept nogil:
    cdef const Addition *call = <const Addition *> context
    if call.single:
        add_onto_particles(call, <const float *> call.pair_gradients, begin, end)
    else:
        add_onto_particles(call, <const double *> call.pair_gradients, begin, end)


cdef void add_up(const double *virials, Py_ssize_t n, double *virial) noexcept nogil:
    """Add the virials of n rows, in their order."""
    cdef Py_ssize_t row
    cdef int component
    for row in range(n):
        for component in range(9):
            virial[component] += virials[9 * row + component]


cdef Py_ssize_t end_of_block(const ListsInfo *lists, Py_ssize_t first) noexcept nogil:
    """The row behind the last of those whose gradients are added up together; one at least."""
    cdef Py_ssize_t row = first + 1, last = min(lists.n_rows, first + ROWS_OF_BLOCK)
    while row < last and lists.offsets[row + 1] - lists.offsets[first] <= PAIRS_OF_BLOCK:
        row += 1
    return row


cdef int vjp_of_blocks(Call *call, Threads threads, double *out, double *virial) except -1 nogil:
    """``call.out`` and ``call.virials``: memory for a block; ``virial``: NULL if not wanted."""
    cdef const ListsInfo *lists = call.lists
    cdef Addition addition
    cdef Py_ssize_t n_pairs
    addition.lists, addition.single, addition.out = lists, call.single, out
    addition.pair_gradients = call.out
    threads.most = min(threads.most, SLABS)
    while call.first < lists.n_rows:
        addition.first, addition.last = call.first, end_of_block(lists, call.first)
        in_threads(
            threads, addition.last - call.first, ROWS_AT_ONCE, pair_gradients_of_rows, call
        )
        n_pairs = lists.offsets[addition.last] - lists.offsets[call.first]
        addition.n_parts = max(1, min(threads.most, n_pairs // PAIRS_OF_PART))
        in_threads(Threads(addition.n_parts, False), addition.n_parts, 1, add_parts, &addition)
        if virial != NULL:
            add_up(call.virials, addition.last - call.first, virial)
        call.first = addition.last
    return 0


# ---- what Python sees


cdef class Lists:
    """A configuration's arrays, with species codes in the descriptor's order."""

    cdef ListsInfo info
    cdef Py_ssize_t longest
    cdef object arrays  # kept alive

    def __init__(
        self,
        const double[:, ::1] positions,
        const int32_t[::1] species,
        const int32_t[::1] centers,
        const int64_t[::1] offsets,
        const int32_t[::1] neighbors,
    ):
        cdef Py_ssize_t row
        self.arrays = (positions, species, centers, offsets, neighbors)
        self.info.n_rows = centers.shape[0]
        self.info.n_pairs = neighbors.shape[0]
        self.info.offsets = &offsets[0]
        if self.info.n_rows:
            self.info.positions = &positions[0, 0]
            self.info.species = &species[0]
            self.info.centers = &centers[0]
        if self.info.n_pairs:
            self.info.neighbors = &neighbors[0]
        self.longest = 0
        for row in range(self.info.n_rows):
            self.longest = max(self.longest, offsets[row + 1] - offsets[row])

    cdef Py_ssize_t most_pairs(self):
        """The most entries of a block, see end_of_block."""
        return min(self.info.n_pairs, max(self.longest, PAIRS_OF_BLOCK))


cdef void *data_of(array):
    """Where the numbers of a C-contiguous array begin; NULL where it has none."""
    return <void *> cnp.PyArray_DATA(array) if array.size else NULL


cdef class Workspaces:
    """A call, and private buffers for each of its threads."""

    cdef Call call
    cdef Threads threads
    cdef object arrays  # kept alive

    def __cinit__(self, Kernel kernel, Lists lists, out, threads):
        """``threads``: most, by_work; see torchml_core.threads."""
        cdef Py_ssize_t longest = max(1, lists.longest)
        cdef Py_ssize_t scratch_size = kernel_scratch_size(&kernel.info, lists.longest)
        cdef int64_t[:, ::1] slots
        cdef int32_t[:, ::1] species
        cdef double[:, ::1] reals
        cdef Workspace *work
        cdef double *free_reals
        cdef int thread, n_threads = threads.most
        cdef Py_ssize_t useful = (lists.info.n_rows + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE
        n_threads = <int> max(1, min(n_threads, useful))
        self.threads = Threads(n_threads, threads.by_work)
        self.call.kernel = &kernel.info
        self.call.lists = &lists.info
        self.call.single = out.dtype == np.float32
        self.call.out = data_of(out)
        self.call.work = <Workspace *> calloc(n_threads, sizeof(Workspace))
        if self.call.work == NULL:
            raise MemoryError()
        slots = np.empty((n_threads, longest), dtype=np.int64)
        species = np.empty((n_threads, longest), dtype=np.int32)
        scratch_doubles = (scratch_size + 64 + 63) // 64 * 8  # 64 to begin at a cache line
        reals = np.empty((n_threads, 10 * longest + scratch_doubles), dtype=np.float64)
        self.arrays = (kernel, lists, out, slots, species, reals)
        for thread in range(n_threads):
            work = &self.call.work[thread]
            work.coincident = lists.info.n_pairs
            work.env.slot = <Py_ssize_t *> &slots[thread, 0]
            work.env.neighbor_species = &species[thread, 0]
            free_reals = &reals[thread, 0]
            work.env.x = free_reals
            work.env.y = free_reals + longest
            work.env.z = free_reals + 2 * longest
            work.env.r = free_reals + 3 * longest
            work.env.dx = free_reals + 4 * longest
            work.env.dy = free_reals + 5 * longest
            work.env.dz = free_reals + 6 * longest
            work.pair_gradients = free_reals + 7 * longest
            work.scratch = <void *> (<size_t> (free_reals + 10 * longest) + 63 & ~<size_t> 63)

    def __dealloc__(self):
        free(self.call.work)

    cdef int over_rows(self, Work rows) except -1:
        with nogil:
            in_threads(self.threads, self.call.lists.n_rows, ROWS_AT_ONCE, rows, &self.call)
        return 0

    cdef fault(self):
        """What a verb returns."""
        cdef Py_ssize_t n_pairs = self.call.lists.n_pairs, first = n_pairs
        cdef int thread
        cdef bint not_finite = False
        for thread in range(self.threads.most):
            first = min(first, self.call.work[thread].coincident)
            not_finite |= self.call.work[thread].not_finite
        if first < n_pairs:
            return first
        return NOT_FINITE if not_finite else GOOD


cdef class Kernel:
    """The verbs on all rows. A subclass, in ``packing/``, packs the parameters into ``info``.

    ``out`` and ``dE_dD`` are C-contiguous and share their dtype, float64 or float32, which is
    the precision of the kernel.
    """

    def __cinit__(self):
        self.arrays = []

    cdef set_info(self, Kind kind, const void *plan, Py_ssize_t width, cutoffs):
        """``cutoffs``: (n_species, n_species); ``plan`` must live as long as the kernel."""
        self.info.kind = kind
        self.info.plan = plan
        self.info.width = width
        self.info.n_species = len(cutoffs)
        self.info.cutoffs = self.doubles(np.ravel(cutoffs))

    cdef const double *doubles(self, values):
        """A copy that lives as long as the kernel."""
        return <const double *> data_of(self.kept(values, np.float64))

    cdef const float *floats(self, values):
        return <const float *> data_of(self.kept(values, np.float32))

    cdef const int32_t *ints(self, values):
        return <const int32_t *> data_of(self.kept(values, np.int32))

    cdef kept(self, values, dtype):
        """Aligned for vectors, so that a table can be read as such."""
        values = np.asarray(values, dtype=dtype)
        buffer = np.empty(values.nbytes + ALIGNMENT, dtype=np.uint8)
        first = ALIGNMENT - <size_t> data_of(buffer) % ALIGNMENT
        array = buffer[first : first + values.nbytes].view(dtype).reshape(values.shape)
        array[...] = values
        self.arrays.append(array)
        return array

    def compute(self, Lists lists, out, threads):
        """Fill ``out`` (n_rows, width) with the values."""
        cdef Workspaces work = Workspaces(self, lists, out, threads)
        work.over_rows(value_of_rows)
        return work.fault()

    def jvp(self, Lists lists, dr, out, threads):
        """Fill ``out`` (n_rows, width) with the tangent along dr, (n_particles, 3) float64."""
        cdef Workspaces work = Workspaces(self, lists, out, threads)
        work.call.dr = <const double *> data_of(dr)
        work.over_rows(jvp_of_rows)
        return work.fault()

    def jacobian(self, Lists lists, out, threads):
        """Fill ``out`` (n_pairs, 3, width) with dD[row]/dr[neighbor]."""
        cdef Workspaces work = Workspaces(self, lists, out, threads)
        work.over_rows(jacobian_of_rows)
        return work.fault()

    def pair_gradients(self, Lists lists, dE_dD, out, threads):
        """Fill ``out`` (n_pairs, 3) with dE/dr_ij; dE_dD is (n_rows, width)."""
        cdef Workspaces work = Workspaces(self, lists, out, threads)
        work.call.dE_dD = data_of(dE_dD)
        work.over_rows(pair_gradients_of_rows)
        return work.fault()

    def vjp(self, Lists lists, dE_dD, out, virial, threads):
        """Add dE/dr to ``out`` (n_particles, 3), and the virial to ``virial`` (3, 3) or None.

        Both are float64 in either precision.
        """
        pairs = np.empty(3 * lists.most_pairs(), dtype=dE_dD.dtype)
        rows = np.zeros((0 if virial is None else min(lists.info.n_rows, ROWS_OF_BLOCK), 9))
        cdef Workspaces work = Workspaces(self, lists, pairs, threads)
        cdef double *onto = <double *> data_of(out)
        cdef double *of_all = NULL if virial is None else <double *> data_of(virial)
        work.call.dE_dD = data_of(dE_dD)
        work.call.virials = <double *> data_of(rows)
        with nogil:
            vjp_of_blocks(&work.call, work.threads, onto, of_all)
        return work.fault()
