"""The door to the kernels: gathers one atom's environment after another and hands it in.

Every verb is one loop over the rows of the lists, in threads. Each row writes to places of its
own only, and each is computed by one thread alone: results do not depend on the number of
threads, to the last bit. Buffers are made here, once a call; the kernels allocate nothing.

Arrays come checked from ``descriptors/base.py``. Each verb returns GOOD, or the first entry of the
lists whose two particles are at the same place, or NOT_FINITE; what it wrote is then of no use.

Which kernel is meant is said in ``kernels/dispatch.pxd``; the parameters are packed for it by a
class of its own, in ``packing/``.
"""

import numpy as np

cimport numpy as cnp
from cython.parallel cimport prange, threadid
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free

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


cdef void value_of_row(
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t row, Workspace *work, real *out
) noexcept nogil:
    if gather(kernel, lists, row, NULL, work):
        kernel_value(kernel, &work.env, work.scratch, out)
        check_finite(work, out, kernel.width)


cdef void jvp_of_row(
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t row, const double *dr,
    Workspace *work, real *out,
) noexcept nogil:
    if gather(kernel, lists, row, dr, work):
        kernel_jvp(kernel, &work.env, work.scratch, out)
        check_finite(work, out, kernel.width)


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
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t row, const real *dE_dD,
    Workspace *work, real *out, double *virial,
) noexcept nogil:
    """``out``: (n entries of the row, 3); ``virial`` (3, 3): the row's, NULL if not wanted."""
    cdef Py_ssize_t longest = lists.offsets[row + 1] - lists.offsets[row]
    cdef real *gradients = <real *> work.pair_gradients
    cdef Py_ssize_t n, at, axis
    if not gather(kernel, lists, row, NULL, work):
        return
    kernel_vjp(kernel, &work.env, dE_dD, work.scratch, gradients)
    check_finite(work, gradients, 3 * work.env.n)
    if virial != NULL:
        row_virial(&work.env, gradients, virial)
    if work.env.n < longest:
        for at in range(3 * longest):
            out[at] = 0
    for n in range(work.env.n):
        at = 3 * work.env.slot[n]
        for axis in range(3):
            out[at + axis] = gradients[axis * work.env.n + n]


cdef void jacobian_of_row(
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t row, Workspace *work, real *out
) noexcept nogil:
    """``out``: (n entries of the row, 3, width)."""
    cdef Py_ssize_t n_entries = lists.offsets[row + 1] - lists.offsets[row], at
    if not gather(kernel, lists, row, NULL, work):
        return
    if work.env.n < n_entries:
        for at in range(3 * kernel.width * n_entries):
            out[at] = 0
    kernel_jacobian(kernel, &work.env, work.scratch, out)
    check_finite(work, out, 3 * kernel.width * n_entries)


# ---- all rows


cdef void value_of_rows(
    const KernelInfo *kernel, const ListsInfo *lists, Workspace *work, real *out, int n_threads
) noexcept nogil:
    cdef Py_ssize_t row
    for row in prange(
        lists.n_rows, schedule="dynamic", chunksize=ROWS_AT_ONCE, num_threads=n_threads
    ):
        value_of_row(kernel, lists, row, &work[threadid()], out + row * kernel.width)


cdef void jvp_of_rows(
    const KernelInfo *kernel, const ListsInfo *lists, const double *dr, Workspace *work, real *out,
    int n_threads,
) noexcept nogil:
    cdef Py_ssize_t row
    for row in prange(
        lists.n_rows, schedule="dynamic", chunksize=ROWS_AT_ONCE, num_threads=n_threads
    ):
        jvp_of_row(kernel, lists, row, dr, &work[threadid()], out + row * kernel.width)


cdef void pair_gradients_of_rows(
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t first, Py_ssize_t last,
    const real *dE_dD, Workspace *work, real *out, double *virials, int n_threads,
) noexcept nogil:
    """Rows first ... last - 1; ``out`` begins with the entries of the first.

    ``virials`` (last - first, 3, 3): of each row, NULL where they are not wanted.
    """
    cdef Py_ssize_t row
    for row in prange(
        first, last, schedule="dynamic", chunksize=ROWS_AT_ONCE, num_threads=n_threads
    ):
        pair_gradients_of_row(
            kernel, lists, row, dE_dD + row * kernel.width, &work[threadid()],
            out + 3 * (lists.offsets[row] - lists.offsets[first]),
            NULL if virials == NULL else virials + 9 * (row - first),
        )


cdef void add_onto_particles(
    const ListsInfo *lists, Py_ssize_t first, Py_ssize_t last, const real *pair_gradients,
    int part, int n_parts, double *out,
) noexcept nogil:
    """Add each pair's gradient to its neighbor and take it from its centre.

    ``part``: of the particles only those of some slabs. So every particle gets its gradients in
    the order of the lists, whatever the number of threads, and no two threads meet.
    """
    cdef int begin = SLABS * part // n_parts
    cdef unsigned n_slabs = SLABS * (part + 1) // n_parts - begin
    cdef const real *gradient = pair_gradients
    cdef double x, y, z
    cdef Py_ssize_t row, entry, i, j
    for row in range(first, last):
        x = y = z = 0
        for entry in range(lists.offsets[row], lists.offsets[row + 1]):
            j = lists.neighbors[entry]
            x += gradient[0]
            y += gradient[1]
            z += gradient[2]
            if <unsigned> (j // SLAB_LENGTH % SLABS - begin) < n_slabs:
                out[3 * j] += gradient[0]
                out[3 * j + 1] += gradient[1]
                out[3 * j + 2] += gradient[2]
            gradient += 3
        i = lists.centers[row]
        if <unsigned> (i // SLAB_LENGTH % SLABS - begin) < n_slabs:
            out[3 * i] -= x
            out[3 * i + 1] -= y
            out[3 * i + 2] -= z


cdef Py_ssize_t end_of_block(const ListsInfo *lists, Py_ssize_t first) noexcept nogil:
    """The row behind the last of those whose gradients are added up together; one at least."""
    cdef Py_ssize_t row = first + 1, last = min(lists.n_rows, first + ROWS_OF_BLOCK)
    while row < last and lists.offsets[row + 1] - lists.offsets[first] <= PAIRS_OF_BLOCK:
        row += 1
    return row


cdef void add_up(const double *virials, Py_ssize_t n, double *virial) noexcept nogil:
    """Add the virials of n rows, in their order."""
    cdef Py_ssize_t row
    cdef int component
    for row in range(n):
        for component in range(9):
            virial[component] += virials[9 * row + component]


cdef void vjp_of_rows(
    const KernelInfo *kernel, const ListsInfo *lists, const real *dE_dD, Workspace *work,
    real *pair_gradients, double *row_virials, double *out, double *virial, int n_threads,
) noexcept nogil:
    """``pair_gradients``, ``row_virials``: memory for a block; ``virial`` NULL: not wanted."""
    cdef Py_ssize_t first = 0, last
    cdef int part, n_parts = min(n_threads, SLABS)
    while first < lists.n_rows:
        last = end_of_block(lists, first)
        pair_gradients_of_rows(
            kernel, lists, first, last, dE_dD, work, pair_gradients, row_virials, n_threads
        )
        if virial != NULL:
            add_up(row_virials, last - first, virial)
        for part in prange(n_parts, schedule="static", chunksize=1, num_threads=n_parts):
            add_onto_particles(lists, first, last, pair_gradients, part, n_parts, out)
        first = last


cdef void jacobian_of_rows(
    const KernelInfo *kernel, const ListsInfo *lists, Workspace *work, real *out, int n_threads
) noexcept nogil:
    cdef Py_ssize_t row
    for row in prange(
        lists.n_rows, schedule="dynamic", chunksize=ROWS_AT_ONCE, num_threads=n_threads
    ):
        jacobian_of_row(
            kernel, lists, row, &work[threadid()], out + 3 * kernel.width * lists.offsets[row]
        )


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


cdef class Workspaces:
    """Private buffers for each thread."""

    cdef Workspace *each
    cdef object arrays  # kept alive
    cdef int n_threads
    cdef Py_ssize_t n_pairs

    def __cinit__(self, int n_threads, Lists lists, Py_ssize_t scratch_size):
        cdef Py_ssize_t longest = max(1, lists.longest)
        cdef int64_t[:, ::1] slots
        cdef int32_t[:, ::1] species
        cdef double[:, ::1] reals
        cdef Workspace *work
        cdef double *free_reals
        cdef int thread
        self.n_threads = n_threads
        self.n_pairs = lists.info.n_pairs
        self.each = <Workspace *> calloc(n_threads, sizeof(Workspace))
        if self.each == NULL:
            raise MemoryError()
        slots = np.empty((n_threads, longest), dtype=np.int64)
        species = np.empty((n_threads, longest), dtype=np.int32)
        scratch_doubles = (scratch_size + 64 + 63) // 64 * 8  # 64 to begin at a cache line
        reals = np.empty((n_threads, 10 * longest + scratch_doubles), dtype=np.float64)
        self.arrays = (slots, species, reals)
        for thread in range(n_threads):
            work = &self.each[thread]
            work.coincident = self.n_pairs
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
        free(self.each)

    cdef fault(self):
        """What a verb returns."""
        cdef Py_ssize_t first = self.n_pairs
        cdef int thread
        cdef bint not_finite = False
        for thread in range(self.n_threads):
            first = min(first, self.each[thread].coincident)
            not_finite |= self.each[thread].not_finite
        if first < self.n_pairs:
            return first
        return NOT_FINITE if not_finite else GOOD


cdef void *data_of(array):
    """Where the numbers of a C-contiguous array begin; NULL where it has none."""
    return <void *> cnp.PyArray_DATA(array) if array.size else NULL


cdef Workspaces workspaces(const KernelInfo *kernel, Lists lists, int n_threads):
    cdef Py_ssize_t useful = (lists.info.n_rows + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE
    n_threads = <int> max(1, min(n_threads, useful))
    return Workspaces(n_threads, lists, kernel_scratch_size(kernel, lists.longest))


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

    def compute(self, Lists lists, out, int n_threads):
        """Fill ``out`` (n_rows, width) with the values."""
        cdef Workspaces work = workspaces(&self.info, lists, n_threads)
        cdef void *to = data_of(out)
        cdef bint single = out.dtype == np.float32
        with nogil:
            if single:
                value_of_rows(&self.info, &lists.info, work.each, <float *> to, work.n_threads)
            else:
                value_of_rows(&self.info, &lists.info, work.each, <double *> to, work.n_threads)
        return work.fault()

    def pair_gradients(self, Lists lists, dE_dD, out, int n_threads):
        """Fill ``out`` (n_pairs, 3) with dE/dr_ij; dE_dD is (n_rows, width)."""
        cdef Workspaces work = workspaces(&self.info, lists, n_threads)
        cdef void *to = data_of(out)
        cdef const void *weights = data_of(dE_dD)
        cdef bint single = out.dtype == np.float32
        cdef Py_ssize_t last = lists.info.n_rows
        with nogil:
            if single:
                pair_gradients_of_rows(
                    &self.info, &lists.info, 0, last, <const float *> weights, work.each,
                    <float *> to, NULL, work.n_threads,
                )
            else:
                pair_gradients_of_rows(
                    &self.info, &lists.info, 0, last, <const double *> weights, work.each,
                    <double *> to, NULL, work.n_threads,
                )
        return work.fault()

    def vjp(self, Lists lists, dE_dD, out, virial, int n_threads):
        """Add dE/dr to ``out`` (n_particles, 3), and the virial to ``virial`` (3, 3) or None.

        Both are float64 in either precision.
        """
        cdef Workspaces work = workspaces(&self.info, lists, n_threads)
        pairs = np.empty(3 * lists.most_pairs(), dtype=dE_dD.dtype)
        rows = np.zeros((0 if virial is None else min(lists.info.n_rows, ROWS_OF_BLOCK), 9))
        cdef double *to = <double *> data_of(out)
        cdef double *of_all = NULL if virial is None else <double *> data_of(virial)
        cdef double *of_rows = <double *> data_of(rows)
        cdef void *of_pairs = data_of(pairs)
        cdef const void *weights = data_of(dE_dD)
        cdef bint single = dE_dD.dtype == np.float32
        with nogil:
            if single:
                vjp_of_rows(
                    &self.info, &lists.info, <const float *> weights, work.each,
                    <float *> of_pairs, of_rows, to, of_all, work.n_threads,
                )
            else:
                vjp_of_rows(
                    &self.info, &lists.info, <const double *> weights, work.each,
                    <double *> of_pairs, of_rows, to, of_all, work.n_threads,
                )
        return work.fault()

    def jvp(self, Lists lists, dr, out, int n_threads):
        """Fill ``out`` (n_rows, width) with the tangent along dr, (n_particles, 3) float64."""
        cdef Workspaces work = workspaces(&self.info, lists, n_threads)
        cdef void *to = data_of(out)
        cdef const double *along = <const double *> data_of(dr)
        cdef bint single = out.dtype == np.float32
        with nogil:
            if single:
                jvp_of_rows(
                    &self.info, &lists.info, along, work.each, <float *> to, work.n_threads
                )
            else:
                jvp_of_rows(
                    &self.info, &lists.info, along, work.each, <double *> to, work.n_threads
                )
        return work.fault()

    def jacobian(self, Lists lists, out, int n_threads):
        """Fill ``out`` (n_pairs, 3, width) with dD[row]/dr[neighbor]."""
        cdef Workspaces work = workspaces(&self.info, lists, n_threads)
        cdef void *to = data_of(out)
        cdef bint single = out.dtype == np.float32
        with nogil:
            if single:
                jacobian_of_rows(&self.info, &lists.info, work.each, <float *> to, work.n_threads)
            else:
                jacobian_of_rows(&self.info, &lists.info, work.each, <double *> to, work.n_threads)
        return work.fault()
