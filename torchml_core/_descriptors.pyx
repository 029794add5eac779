"""Kernels and configurations as Python has them: buffers are allocated here, once per call.

The loop over atoms is in ``kernels/loop.pyx``, what a kernel is given and what it fills in
``kernels/verbs.pxd``; ``packing.pyx`` of each descriptor packs its parameters.

Arrays come checked from ``descriptors/base.py``. Each verb returns GOOD, or the first entry of the
lists whose two particles are at the same place, or NOT_FINITE; what it wrote is then of no use. It
raises what the handler of a signal raises meanwhile, KeyboardInterrupt most often.
"""

import numpy as np

cimport numpy as cnp
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport calloc, free

from torchml_core._parallel cimport Threads
from torchml_core.kernels.cutoff cimport PairCutoff, cutoff_function
from torchml_core.kernels.loop cimport (
    PAIRS_OF_BLOCK, ROWS_AT_ONCE, ROWS_OF_BLOCK, Call, ConfigurationInfo, Workspace, compute_block,
    compute_vjp, set_precision,
)
from torchml_core.kernels.verbs cimport Environment, Verbs
from torchml_core.simd.vectors cimport MOST_LANES, SIMD_BYTES

from torchml_core import _memory
from torchml_core.distances import at_cutoff

cnp.import_array()

GOOD, NOT_FINITE = -1, -2


cdef enum:
    ALIGNMENT = 64
    BYTES_IN_CACHES = 1 << 22  # results that are not larger are still there when they are read


cdef class ConfigurationView:
    """A configuration's arrays, with species codes in the descriptor's order."""

    cdef ConfigurationInfo info
    cdef Py_ssize_t longest
    cdef object arrays  # kept alive

    def __init__(self, positions, species, centers, offsets, neighbors):
        cdef Py_ssize_t row
        self.arrays = (positions, species, centers, offsets, neighbors)
        # (memoryviews of the five arrays would take longer than all the rest)
        self.info.positions = <const double *> checked(positions, cnp.NPY_DOUBLE, 2)
        self.info.species = <const int32_t *> checked(species, cnp.NPY_INT32, 1)
        self.info.centers = <const int32_t *> checked(centers, cnp.NPY_INT32, 1)
        self.info.offsets = <const int64_t *> checked(offsets, cnp.NPY_INT64, 1)
        self.info.neighbors = <const int32_t *> checked(neighbors, cnp.NPY_INT32, 1)
        self.info.n_rows = cnp.PyArray_DIM(centers, 0)
        self.info.n_pairs = cnp.PyArray_DIM(neighbors, 0)
        self.longest = 0
        for row in range(self.info.n_rows):
            self.longest = max(self.longest, self.info.offsets[row + 1] - self.info.offsets[row])

    cdef Py_ssize_t most_pairs(self, Py_ssize_t group):
        """The most entries of a block, see end_of_block."""
        return min(self.info.n_pairs, max(group * self.longest, PAIRS_OF_BLOCK))


cdef const void *checked(array, int number, int n_dims) except? NULL:
    """Where the numbers of an array begin; ValueError unless it has this type and dimensions."""
    if not (
        cnp.PyArray_Check(array)
        and cnp.PyArray_TYPE(array) == number
        and cnp.PyArray_NDIM(array) == n_dims
        and cnp.PyArray_ISCARRAY_RO(array)
    ):
        needed = f"{n_dims} dimensions of {cnp.PyArray_DescrFromType(number)}, C-contiguous,"
        raise ValueError(f"{needed} are needed in place of an array {array.dtype, array.shape}")
    return cnp.PyArray_DATA(array)


cdef void *data_of(array):
    """Where the numbers of a C-contiguous array begin; NULL where it has none."""
    return <void *> cnp.PyArray_DATA(array) if array.size else NULL


cdef void *aligned(void *memory):
    """The first multiple of ALIGNMENT from here on."""
    return <void *> ((<size_t> memory + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT)


cdef class Kept:
    """Memory for what a kernel keeps of the values of a configuration, for its vjp.

    Attributes
    ----------
    nbytes : int
    """

    cdef Py_ssize_t n_groups, of_group
    cdef char *first
    cdef object array  # kept alive

    def __cinit__(self, Kernel kernel, ConfigurationView lists, dtype, Py_ssize_t most_bytes):
        cdef const Verbs *verbs = &kernel.info.double_
        if dtype == np.float32:
            verbs = &kernel.info.single
        if verbs.kept_size != NULL:
            self.of_group = verbs.kept_size(kernel.info.plan)
            self.n_groups = (lists.info.n_rows + verbs.group - 1) // verbs.group
            self.n_groups = min(self.n_groups, most_bytes // self.of_group)
        self.array = _memory.empty(self.of_group * self.n_groups + ALIGNMENT, np.dtype(np.int8))
        self.first = <char *> aligned(data_of(self.array))

    @property
    def nbytes(self):
        return self.of_group * self.n_groups


cdef class PreparedCall:
    """A call with private buffers for each of its threads; the verb and its arguments follow."""

    cdef Call call
    cdef Threads threads
    cdef Environment *environments
    cdef object arrays  # kept alive

    def __cinit__(self, Kernel kernel, ConfigurationView lists, out, threads):
        """``threads``: most, by_work; see torchml_core.threads."""
        cdef Py_ssize_t chunk
        if kernel.info.plan == NULL:
            raise RuntimeError(f"{type(kernel).__name__}: its constructor did not call set_up")
        self.call.kernel = &kernel.info
        self.call.lists = &lists.info
        if out.dtype == np.float32:
            set_precision(&self.call, <const float *> NULL)
        else:
            set_precision(&self.call, <const double *> NULL)
        self.call.last = lists.info.n_rows
        self.call.out = <char *> data_of(out)
        chunk = max(ROWS_AT_ONCE, self.call.verbs.group)
        chunk = max(1, (lists.info.n_rows + chunk - 1) // chunk)
        self.threads = Threads(<int> min(<Py_ssize_t> threads.most, chunk), threads.by_work)
        self.arrays = [kernel, lists, out]
        self.make_buffers(max(1, lists.longest), lists.info.n_pairs)

    cdef make_buffers(self, Py_ssize_t longest, Py_ssize_t n_pairs):
        cdef Py_ssize_t n_threads = self.threads.most, group = self.call.verbs.group, thread, k
        cdef Py_ssize_t size = self.call.verbs.scratch_size(self.call.kernel.plan, longest)
        cdef Py_ssize_t[:, ::1] slots = np.empty((n_threads * group, longest), dtype=np.intp)
        cdef int32_t[:, ::1] species = np.empty((n_threads * group, longest), dtype=np.int32)
        cdef double[:, :, ::1] vectors = np.empty((n_threads * group, 7, longest + MOST_LANES))
        cdef char[:, ::1] scratch = np.empty((n_threads, size + ALIGNMENT), dtype=np.int8)
        cdef Environment *env
        self.arrays += [slots, species, vectors, scratch]
        self.call.work = <Workspace *> calloc(n_threads, sizeof(Workspace))
        self.environments = <Environment *> calloc(n_threads * group, sizeof(Environment))
        if self.call.work == NULL or self.environments == NULL:
            raise MemoryError()
        for thread in range(n_threads):
            self.call.work[thread].group = self.environments + thread * group
            self.call.work[thread].scratch = aligned(&scratch[thread, 0])
            self.call.work[thread].coincident = n_pairs
        for k in range(n_threads * group):
            env = &self.environments[k]
            env.slot = &slots[k, 0]
            env.neighbor_species = &species[k, 0]
            env.x = &vectors[k, 0, 0]
            env.y = &vectors[k, 1, 0]
            env.z = &vectors[k, 2, 0]
            env.r = &vectors[k, 3, 0]
            env.dx = &vectors[k, 4, 0]
            env.dy = &vectors[k, 5, 0]
            env.dz = &vectors[k, 6, 0]

    def __dealloc__(self):
        free(self.call.work)
        free(self.environments)

    cdef keep(self, Kept kept):
        """Let values fill, or vjp read, what is kept; None: nothing."""
        if kept is not None:
            self.arrays.append(kept)
            self.call.kept = kept.first
            self.call.kept_bytes = kept.of_group
            self.call.n_kept = kept.n_groups

    cdef run(self):
        """All rows; return what a verb returns."""
        with nogil:
            compute_block(&self.call, self.threads)
        return self.fault()

    cdef fault(self):
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
    """The verbs on all rows. A subclass packs the parameters of its kernel and fills the table.

    In its constructor it fills ``info.single`` and ``info.double_``, see ``kernels/verbs.pxd``, and
    ends with ``set_up``.

    ``out`` and ``dE_dD`` are C-contiguous and share their dtype, float64 or float32, which is
    the precision of the kernel.
    """

    def __cinit__(self):
        self.arrays = []

    cdef set_up(self, const void *plan, Py_ssize_t width, cutoffs, int vector_bytes):
        """Finish the kernel; refuse it where it is not complete.

        ``plan`` lives as long as the kernel. ``cutoffs`` (n_species, n_species): neighbors beyond
        are left out. ``vector_bytes``: SIMD_BYTES, as the caller is compiled.
        """
        name, shape = type(self).__name__, np.shape(cutoffs)
        if plan == NULL or width < 1:
            raise ValueError(f"{name}: a plan and a width of at least 1 are needed")
        if len(shape) != 2 or shape[0] != shape[1] or not np.all(np.greater_equal(cutoffs, 0)):
            raise ValueError(f"{name}: cutoffs of shape (n_species, n_species) are needed")
        check_table(name, "float32", &self.info.single)
        check_table(name, "float64", &self.info.double_)
        if vector_bytes != SIMD_BYTES:
            raise ValueError(
                f"{name} is compiled for vectors of {vector_bytes} bytes, torchml_core for"
                f" {SIMD_BYTES}: the same processor (-march) is needed for both"
            )
        self.info.plan = plan
        self.info.width = width
        self.info.n_species = shape[0]
        self.info.cutoffs = self.doubles([at_cutoff(cutoff) for cutoff in np.ravel(cutoffs)])

    cdef const double *doubles(self, values):
        """A copy that lives as long as the kernel."""
        return <const double *> data_of(self.keep_alive(values, np.float64))

    cdef const float *floats(self, values):
        return <const float *> data_of(self.keep_alive(values, np.float32))

    cdef const int32_t *ints(self, values):
        return <const int32_t *> data_of(self.keep_alive(values, np.int32))

    cdef pair_cutoff(self, PairCutoff *packed, function, double inner, cutoffs, weights):
        """Fill ``packed``; ``function``: a key of CUTOFF_FUNCTIONS, see kernels/cutoff.pyx."""
        packed.function = cutoff_function(function)
        packed.inner = inner
        packed.cutoffs = self.doubles(cutoffs)
        packed.weights = self.doubles(weights)

    cdef keep_alive(self, values, dtype):
        """Aligned for vectors, so that a table can be read as such."""
        values = np.asarray(values, dtype=dtype)
        buffer = np.empty(values.nbytes + ALIGNMENT, dtype=np.uint8)
        first = <size_t> aligned(data_of(buffer)) - <size_t> data_of(buffer)
        array = buffer[first : first + values.nbytes].view(dtype).reshape(values.shape)
        array[...] = values
        self.arrays.append(array)
        return array

    def compute(self, ConfigurationView lists, out, threads, Kept kept=None):
        """Fill ``out`` (n_rows, width) with the values, and ``kept``."""
        cdef PreparedCall prepared = PreparedCall(self, lists, out, threads)
        cdef Call *call = &prepared.call
        call.verb = call.verbs.value
        call.streams = call.verbs.values_stream and out.nbytes > BYTES_IN_CACHES
        prepared.keep(kept)
        call.row_bytes = self.info.width * call.number_bytes
        return prepared.run()

    def jvp(self, ConfigurationView lists, dr, out, threads):
        """Fill ``out`` (n_rows, width) with the tangent along dr, (n_particles, 3) float64."""
        cdef PreparedCall prepared = PreparedCall(self, lists, out, threads)
        cdef Call *call = &prepared.call
        call.verb = call.verbs.jvp
        call.dr = <const double *> data_of(dr)
        call.row_bytes = self.info.width * call.number_bytes
        return prepared.run()

    def jacobian(self, ConfigurationView lists, out, threads):
        """Fill ``out`` (n_pairs, 3, width) with dD[row]/dr[neighbor]."""
        cdef PreparedCall prepared = PreparedCall(self, lists, out, threads)
        cdef Call *call = &prepared.call
        call.verb = call.verbs.jacobian
        if call.verbs.jacobian_group:
            call.group = call.verbs.jacobian_group
        call.streams = call.verbs.jacobian_streams and out.nbytes > BYTES_IN_CACHES
        call.entry_bytes = 3 * self.info.width * call.number_bytes
        return prepared.run()

    def pair_gradients(self, ConfigurationView lists, dE_dD, out, threads):
        """Fill ``out`` (n_pairs, 3) with dE/dr_ij; dE_dD is (n_rows, width)."""
        cdef PreparedCall prepared = PreparedCall(self, lists, out, threads)
        cdef Call *call = &prepared.call
        call.verb = call.verbs.vjp
        call.dE_dD = <const char *> data_of(dE_dD)
        call.entry_bytes = 3 * call.number_bytes
        return prepared.run()

    @property
    def with_energies(self):
        """Whether vjp can fill energies."""
        return bool(self.info.single.with_energies and self.info.double_.with_energies)

    def vjp(
        self, ConfigurationView lists, dE_dD, out, virial, threads, energies=None, Kept kept=None
    ):
        """Add dE/dr to ``out`` (n_particles, 3), and the virial to ``virial`` (3, 3) or None.

        ``kept``: what ``compute`` filled for the same lists, in the precision of dE_dD.

        ``energies``: None, or filled with Σ_k dE/dD_k D_k (n_rows,), if the kernel is one
        with_energies. All three are float64 in either precision.
        """
        cdef Py_ssize_t group = self.info.double_.group
        if dE_dD.dtype == np.float32:
            group = self.info.single.group
        pairs = np.empty(3 * lists.most_pairs(group), dtype=dE_dD.dtype)
        rows = np.zeros((0 if virial is None else min(lists.info.n_rows, ROWS_OF_BLOCK), 9))
        cdef PreparedCall prepared = PreparedCall(self, lists, pairs, threads)
        cdef Call *call = &prepared.call
        cdef double *of_all = NULL if virial is None else <double *> data_of(virial)
        call.verb = call.verbs.vjp
        prepared.keep(kept)
        call.dE_dD = <const char *> data_of(dE_dD)
        call.entry_bytes = 3 * call.number_bytes
        call.virials = <double *> data_of(rows)
        call.onto = <double *> data_of(out)
        if energies is not None:
            call.energies = <double *> data_of(energies)
        with nogil:
            compute_vjp(call, prepared.threads, of_all)
        return prepared.fault()


cdef check_table(name, dtype, const Verbs *verbs):
    """Refuse a table in which something is missing."""
    missing = [
        what
        for what, is_there in (
            ("value", verbs.value != NULL),
            ("vjp", verbs.vjp != NULL),
            ("jvp", verbs.jvp != NULL),
            ("jacobian", verbs.jacobian != NULL),
            ("scratch_size", verbs.scratch_size != NULL),
            ("group", verbs.group > 0),
        )
        if not is_there
    ]
    if missing:
        raise NotImplementedError(
            f"{name}: its table of {dtype} verbs lacks {', '.join(missing)}; all are needed"
        )
