"""The door to the kernels: gathers one atom's environment after another and hands it in.

Every verb is one loop over the rows of the lists, in threads. Each row writes to places of its
own only, and each is computed by one thread alone: results do not depend on the number of
threads, to the last bit. Buffers are made here, once a call; the kernels allocate nothing.

Arrays come checked from ``descriptors/base.py``. Each verb returns GOOD, or the first entry of the
lists whose two particles are at the same place, or NOT_FINITE; what it wrote is then of no use.

A new descriptor adds a member to ``Kind``, one branch to each of the five ``kernel_...``
functions, and a class that packs its parameters.
"""

import numpy as np

from cython.parallel cimport prange, threadid
from libc.math cimport sqrt
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free

from torchml_core.kernels cimport cutoff, symmetry_functions
from torchml_core.kernels.environment cimport Environment, real
from torchml_core.kernels.neighborhood cimport Fading
from torchml_core.kernels.radial cimport RadialBlock
from torchml_core.kernels.shapes cimport AngularBlock
from torchml_core.kernels.symmetry_functions cimport FunctionBlock, SymmetryFunctionPlan

CUTOFF_FUNCTIONS = {
    "cos": cutoff.COSINE,
    "poly1": cutoff.POLYNOMIAL_1,
    "poly2": cutoff.POLYNOMIAL_2,
    "poly3": cutoff.POLYNOMIAL_3,
    "tanh3": cutoff.TANH_CUBED,
}


GOOD, NOT_FINITE = -1, -2


cdef enum:
    ROWS_AT_ONCE = 4  # a thread takes so many rows at a time, and is not started for fewer
    PAIRS_AT_ONCE = 1 << 16  # of a vjp: their gradients stay in cache until they are added up
    SLABS = 64  # particles are shared out to threads by their number / SLAB_LENGTH % SLABS
    SLAB_LENGTH = 64


cdef enum Kind:
    SYMMETRY_FUNCTIONS


# What the loops need to know of any descriptor.
cdef struct KernelInfo:
    Kind kind
    const void *plan           # the kernel's own
    Py_ssize_t width
    int n_species
    const double *cutoffs      # (n_species, n_species)


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


# ---- the kernels, whichever is meant


cdef inline Py_ssize_t kernel_scratch_size(const KernelInfo *kernel, Py_ssize_t n) noexcept nogil:
    return symmetry_functions.scratch_size(<const SymmetryFunctionPlan *> kernel.plan, n)


cdef inline void kernel_value(
    const KernelInfo *kernel, Workspace *work, real *out
) noexcept nogil:
    symmetry_functions.value(
        <const SymmetryFunctionPlan *> kernel.plan, &work.env, work.scratch, out
    )


cdef inline void kernel_vjp(
    const KernelInfo *kernel, Workspace *work, const real *dE_dD, real *out
) noexcept nogil:
    symmetry_functions.vjp(
        <const SymmetryFunctionPlan *> kernel.plan, &work.env, dE_dD, work.scratch, out
    )


cdef inline void kernel_jvp(const KernelInfo *kernel, Workspace *work, real *out) noexcept nogil:
    symmetry_functions.jvp(
        <const SymmetryFunctionPlan *> kernel.plan, &work.env, work.scratch, out
    )


cdef inline void kernel_jacobian(
    const KernelInfo *kernel, Workspace *work, real *out
) noexcept nogil:
    symmetry_functions.jacobian(
        <const SymmetryFunctionPlan *> kernel.plan, &work.env, work.scratch, out
    )


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
        kernel_value(kernel, work, out)
        check_finite(work, out, kernel.width)


cdef void jvp_of_row(
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t row, const double *dr,
    Workspace *work, real *out,
) noexcept nogil:
    if gather(kernel, lists, row, dr, work):
        kernel_jvp(kernel, work, out)
        check_finite(work, out, kernel.width)


cdef void pair_gradients_of_row(
    const KernelInfo *kernel, const ListsInfo *lists, Py_ssize_t row, const real *dE_dD,
    Workspace *work, real *out,
) noexcept nogil:
    """``out``: (n entries of the row, 3)."""
    cdef Py_ssize_t longest = lists.offsets[row + 1] - lists.offsets[row]
    cdef real *gradients = <real *> work.pair_gradients
    cdef Py_ssize_t n, at, axis
    if not gather(kernel, lists, row, NULL, work):
        return
    kernel_vjp(kernel, work, dE_dD, gradients)
    check_finite(work, gradients, 3 * work.env.n)
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
    cdef Py_ssize_t size = 3 * kernel.width * (lists.offsets[row + 1] - lists.offsets[row]), at
    for at in range(size):
        out[at] = 0
    if gather(kernel, lists, row, NULL, work):
        kernel_jacobian(kernel, work, out)
        check_finite(work, out, size)


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
    const real *dE_dD, Workspace *work, real *out, int n_threads,
) noexcept nogil:
    """Rows first ... last - 1; ``out`` begins with the entries of the first."""
    cdef Py_ssize_t row
    for row in prange(
        first, last, schedule="dynamic", chunksize=ROWS_AT_ONCE, num_threads=n_threads
    ):
        pair_gradients_of_row(
            kernel, lists, row, dE_dD + row * kernel.width, &work[threadid()],
            out + 3 * (lists.offsets[row] - lists.offsets[first]),
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


cdef Py_ssize_t rows_until(
    const ListsInfo *lists, Py_ssize_t first, Py_ssize_t n_pairs
) noexcept nogil:
    """The row behind the last of those that have up to n_pairs entries together; one at least."""
    cdef Py_ssize_t row = first + 1
    while row < lists.n_rows and lists.offsets[row + 1] - lists.offsets[first] <= n_pairs:
        row += 1
    return row


cdef void vjp_of_rows(
    const KernelInfo *kernel, const ListsInfo *lists, const real *dE_dD, Workspace *work,
    real *pair_gradients, double *out, int n_threads,
) noexcept nogil:
    cdef Py_ssize_t first = 0, last
    cdef int part, n_parts = min(n_threads, SLABS)
    while first < lists.n_rows:
        last = rows_until(lists, first, PAIRS_AT_ONCE)
        pair_gradients_of_rows(
            kernel, lists, first, last, dE_dD, work, pair_gradients, n_threads
        )
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

    cdef Py_ssize_t most_pairs(self, Py_ssize_t n_pairs):
        """The most entries of rows that are taken together, see rows_until."""
        return min(self.info.n_pairs, max(self.longest, n_pairs))


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


cdef class Kernel:
    """The verbs on all rows. A subclass packs the parameters and fills in ``info``.

    ``out`` and ``dE_dD`` are C-contiguous and share their dtype, float64 or float32, which is
    the precision of the kernel.
    """

    cdef KernelInfo info
    cdef object cutoffs  # kept alive

    cdef set_cutoffs(self, cutoffs):
        cdef const double[:, ::1] view = cutoffs
        self.cutoffs = view
        self.info.n_species = view.shape[0]
        self.info.cutoffs = &view[0, 0]

    cdef Workspaces workspaces(self, Lists lists, int n_threads):
        cdef Py_ssize_t useful = (lists.info.n_rows + ROWS_AT_ONCE - 1) // ROWS_AT_ONCE
        n_threads = <int> max(1, min(n_threads, useful))
        return Workspaces(n_threads, lists, kernel_scratch_size(&self.info, lists.longest))

    def compute(self, Lists lists, out, int n_threads):
        """Fill ``out`` (n_rows, width) with the values."""
        cdef Workspaces work = self.workspaces(lists, n_threads)
        cdef double[::1] out64
        cdef float[::1] out32
        if out.size and out.dtype == np.float64:
            out64 = out.reshape(-1)
            with nogil:
                value_of_rows(&self.info, &lists.info, work.each, &out64[0], work.n_threads)
        elif out.size:
            out32 = out.reshape(-1)
            with nogil:
                value_of_rows(&self.info, &lists.info, work.each, &out32[0], work.n_threads)
        return work.fault()

    def pair_gradients(self, Lists lists, dE_dD, out, int n_threads):
        """Fill ``out`` (n_pairs, 3) with dE/dr_ij; dE_dD is (n_rows, width)."""
        cdef Workspaces work = self.workspaces(lists, n_threads)
        cdef double[::1] out64
        cdef float[::1] out32
        cdef const double[::1] dE_dD64
        cdef const float[::1] dE_dD32
        if out.size and out.dtype == np.float64:
            out64, dE_dD64 = out.reshape(-1), dE_dD.reshape(-1)
            with nogil:
                pair_gradients_of_rows(
                    &self.info, &lists.info, 0, lists.info.n_rows, &dE_dD64[0], work.each,
                    &out64[0], work.n_threads,
                )
        elif out.size:
            out32, dE_dD32 = out.reshape(-1), dE_dD.reshape(-1)
            with nogil:
                pair_gradients_of_rows(
                    &self.info, &lists.info, 0, lists.info.n_rows, &dE_dD32[0], work.each,
                    &out32[0], work.n_threads,
                )
        return work.fault()

    def vjp(self, Lists lists, dE_dD, double[:, ::1] out, int n_threads):
        """Add dE/dr to ``out`` (n_particles, 3), which is float64 in either precision."""
        cdef Workspaces work = self.workspaces(lists, n_threads)
        cdef double[::1] pairs64
        cdef float[::1] pairs32
        cdef const double[::1] dE_dD64
        cdef const float[::1] dE_dD32
        pairs = np.empty(3 * lists.most_pairs(PAIRS_AT_ONCE), dtype=dE_dD.dtype)
        if pairs.size and dE_dD.dtype == np.float64:
            pairs64, dE_dD64 = pairs, dE_dD.reshape(-1)
            with nogil:
                vjp_of_rows(
                    &self.info, &lists.info, &dE_dD64[0], work.each, &pairs64[0], &out[0, 0],
                    work.n_threads,
                )
        elif pairs.size:
            pairs32, dE_dD32 = pairs, dE_dD.reshape(-1)
            with nogil:
                vjp_of_rows(
                    &self.info, &lists.info, &dE_dD32[0], work.each, &pairs32[0], &out[0, 0],
                    work.n_threads,
                )
        return work.fault()

    def jvp(self, Lists lists, const double[:, ::1] dr, out, int n_threads):
        """Fill ``out`` (n_rows, width) with the tangent along dr, (n_particles, 3)."""
        cdef Workspaces work = self.workspaces(lists, n_threads)
        cdef double[::1] out64
        cdef float[::1] out32
        if out.size and out.dtype == np.float64:
            out64 = out.reshape(-1)
            with nogil:
                jvp_of_rows(
                    &self.info, &lists.info, &dr[0, 0], work.each, &out64[0], work.n_threads
                )
        elif out.size:
            out32 = out.reshape(-1)
            with nogil:
                jvp_of_rows(
                    &self.info, &lists.info, &dr[0, 0], work.each, &out32[0], work.n_threads
                )
        return work.fault()

    def jacobian(self, Lists lists, out, int n_threads):
        """Fill ``out`` (n_pairs, 3, width) with dD[row]/dr[neighbor]."""
        cdef Workspaces work = self.workspaces(lists, n_threads)
        cdef double[::1] out64
        cdef float[::1] out32
        if out.size and out.dtype == np.float64:
            out64 = out.reshape(-1)
            with nogil:
                jacobian_of_rows(&self.info, &lists.info, work.each, &out64[0], work.n_threads)
        elif out.size:
            out32 = out.reshape(-1)
            with nogil:
                jacobian_of_rows(&self.info, &lists.info, work.each, &out32[0], work.n_threads)
        return work.fault()


cdef class SymmetryFunctionKernel(Kernel):
    """g1-g5, as ``descriptors/planning.py`` lays them out.

    Parameters
    ----------
    width : int
    cutoffs : (n_species, n_species) float64
        The largest of all functions.
    classes : (n_species,) int32
    fadings : list of (cutoff function, inner, cutoffs of classes, weights of classes)
    blocks : list of dict
    components : (n_sums,) int32
    """

    cdef SymmetryFunctionPlan plan
    cdef Fading *fadings
    cdef object arrays  # kept alive

    def __init__(self, width, cutoffs, classes, fadings, blocks, components):
        cdef Py_ssize_t k
        self.arrays = []
        self.set_cutoffs(cutoffs)
        self.plan.width = self.info.width = width
        self.plan.n_classes = np.max(classes) + 1
        self.plan.classes = self.ints(classes)
        self.plan.far = 2 * np.max(cutoffs)
        self.plan.n_sums = len(components)
        self.plan.components = self.ints(components)
        self.fadings = <Fading *> calloc(len(fadings), sizeof(Fading))
        self.plan.blocks = <FunctionBlock *> calloc(len(blocks), sizeof(FunctionBlock))
        if self.fadings == NULL or self.plan.blocks == NULL:
            raise MemoryError()
        for k, (function, inner, class_cutoffs, weights) in enumerate(fadings):
            self.fadings[k].function = CUTOFF_FUNCTIONS[function]
            self.fadings[k].inner = inner
            self.fadings[k].cutoffs = self.doubles(np.ravel(class_cutoffs))
            self.fadings[k].weights = self.doubles(weights)
        self.plan.n_blocks = len(blocks)
        for k, block in enumerate(blocks):
            self.plan.blocks[k].is_angular = block["type"] > 3
            self.plan.blocks[k].centers = self.ints(block["centers"])
            self.plan.blocks[k].first = block["first"]
            if block["type"] > 3:
                self.pack_angular(&self.plan.blocks[k].angular, block)
                self.plan.blocks[k].n_sums = len(block["shape"]) * (1 + max(block["channel"]))
            else:
                self.pack_radial(&self.plan.blocks[k].radial, block)
                self.plan.blocks[k].n_sums = block["n_rows"] * (1 + max(block["channels"]))
        self.info.kind = SYMMETRY_FUNCTIONS
        self.info.plan = &self.plan

    def __dealloc__(self):
        free(self.fadings)
        free(self.plan.blocks)

    cdef pack_radial(self, RadialBlock *packed, block):
        packed.type = block["type"]
        packed.fading = &self.fadings[<Py_ssize_t> block["fading"]]
        packed.channels = self.ints(block["channels"])
        packed.n_rows = block["n_rows"]
        if packed.type == 2:
            packed.eta = self.doubles(block["eta"])
            packed.shift = self.doubles(block["Rs"])
        elif packed.type == 3:
            packed.kappa = self.doubles(block["kappa"])

    cdef pack_angular(self, AngularBlock *packed, block):
        packed.which.fading = &self.fadings[<Py_ssize_t> block["fading"]]
        packed.which.with_jk = block["type"] == 4
        packed.which.shift = block["shift"]
        packed.which.n_pairs = len(block["channel"])
        packed.which.channel = self.ints(block["channel"])
        packed.which.first = self.ints(block["first_class"])
        packed.which.second = self.ints(block["second_class"])
        packed.n_rows = block["n_rows"]
        packed.n_shapes = len(block["zeta"])
        packed.zeta = self.doubles(block["zeta"])
        packed.whole_zeta = self.ints(block["whole_zeta"])
        packed.lam = self.doubles(block["lambda"])
        packed.n_groups = len(block["eta"])
        packed.eta = self.doubles(block["eta"])
        packed.group = self.ints(block["group"])
        packed.shape = self.ints(block["shape"])
        self.plan.most_shapes = max(self.plan.most_shapes, packed.n_shapes)

    cdef const double *doubles(self, values):
        cdef const double[::1] array = np.array(values, dtype=np.float64)
        self.arrays.append(array)
        return &array[0]

    cdef const int32_t *ints(self, values):
        cdef const int32_t[::1] array = np.array(values, dtype=np.int32)
        self.arrays.append(array)
        return &array[0]
