"""The functions that the driver's library calls, see bridge.h: KIM's arrays to Python and back.

KIM's arrays become numpy arrays without a copy. Rows of the neighbor lists come one by one, each
wherever the simulator keeps it and valid until the next is asked for; they are copied into one
array, which is kept from step to step. Nothing here is done for each particle in Python.
"""

cimport numpy as cnp
from cpython.pycapsule cimport PyCapsule_New
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport isfinite
from libc.stdint cimport int32_t, int64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

import numpy as np

from torchml_core.configuration import Configuration
from torchml_core.errors import InputError
from torchml_core.kim.model import KimModel, Results, describe

cdef extern from "<string.h>" nogil:
    char *strdup(const char *)

cdef extern from "bridge.h":
    const int BRIDGE_VERSION
    const char *BRIDGE_CAPSULE
    ctypedef void (*NameFile)(void *argument, const char *name) noexcept

    ctypedef struct BridgeModel:
        void *python
        double influence_distance
        double cutoff
        int without_ghost_rows
        int with_particle_virial
        int n_species
        const char *const *species

    ctypedef struct BridgeRequest:
        int n_particles
        const int *species
        const int *contributing
        const double *positions
        double *energy
        double *particle_energies
        double *forces
        double *virial
        double *particle_virials
        const void *lists
        int (*row)(const void *lists, int particle, int *n, const int **neighbors) noexcept

    ctypedef struct Bridge:
        int version
        int (*create)(const char *, double, double, BridgeModel *, char **) noexcept
        int (*compute)(void *, const BridgeRequest *, char **) noexcept
        int (*write)(void *, const char *, NameFile, void *, char **) noexcept
        void (*destroy)(BridgeModel *) noexcept
        void (*free_message)(char *) noexcept
        int started_by_driver
        int n_models
        void *released

cnp.import_array()


cdef enum Fault:
    GOOD
    NO_ROW                      # the simulator does not give it
    NO_SUCH_NEIGHBOR            # an index beyond the particles
    NO_SUCH_SPECIES             # a code beyond the model's species
    NOT_FINITE                  # a coordinate
    NO_SPACE                    # the array of neighbors must grow


cdef class Rows:
    """The lists of one model's last step, in arrays that are kept for the next."""

    cdef cnp.ndarray particles, offsets, neighbors, contributing
    cdef Py_ssize_t n_centers, n_rows
    cdef int at                 # the particle of a fault

    def __cinit__(self):
        self.particles = np.empty(0, dtype=np.int32)
        self.contributing = np.empty(0, dtype=np.uint8)
        self.offsets = np.empty(1, dtype=np.int64)
        self.neighbors = np.empty(1 << 12, dtype=np.int32)

    cdef gather(self, const BridgeRequest *request, bint with_ghosts, int n_species):
        """Fill the arrays: rows of contributing particles first, in their order, then ghosts'."""
        cdef Fault fault = self.check_particles(request, n_species)
        cdef Py_ssize_t n = request.n_particles
        if self.particles.shape[0] < n:
            capacity = n + n // 4  # ghosts come and go
            self.particles = np.empty(capacity, dtype=np.int32)
            self.contributing = np.empty(capacity, dtype=np.uint8)
            self.offsets = np.empty(capacity + 1, dtype=np.int64)
        if fault == GOOD:
            # With Python's lock held: the simulator may answer from Python (kimpy's callbacks).
            fault = self.fill(request, with_ghosts)
        while fault == NO_SPACE:
            self.neighbors = np.empty(2 * self.neighbors.shape[0], dtype=np.int32)
            fault = self.fill(request, with_ghosts)
        if fault == NOT_FINITE:
            place = [request.positions[3 * self.at + axis] for axis in range(3)]
            raise InputError(f"positions: particle {self.at} is at {place}; it must be finite")
        if fault == NO_SUCH_SPECIES:
            raise InputError(
                f"species: code {request.species[self.at]} of particle {self.at} is none of the"
                f" model's, 0 to {n_species - 1}"
            )
        if fault == NO_ROW:
            raise InputError(f"the simulator gives no neighbors of particle {self.at}")
        if fault == NO_SUCH_NEIGHBOR:
            raise InputError(
                f"the neighbors of particle {self.at} are not all among the {n} particles"
            )

    cdef Fault check_particles(self, const BridgeRequest *request, int n_species) noexcept:
        cdef int k
        for k in range(request.n_particles):
            self.at = k
            if not 0 <= request.species[k] < n_species:
                return NO_SUCH_SPECIES
            if not (
                isfinite(request.positions[3 * k])
                and isfinite(request.positions[3 * k + 1])
                and isfinite(request.positions[3 * k + 2])
            ):
                return NOT_FINITE
        return GOOD

    cdef Fault fill(self, const BridgeRequest *request, bint with_ghosts) noexcept:
        cdef int32_t *particles = <int32_t *> cnp.PyArray_DATA(self.particles)
        cdef cnp.uint8_t *contributing = <cnp.uint8_t *> cnp.PyArray_DATA(self.contributing)
        cdef int64_t *offsets = <int64_t *> cnp.PyArray_DATA(self.offsets)
        cdef int k, ghosts
        self.n_rows = 0
        for ghosts in range(2):
            for k in range(request.n_particles):
                if (request.contributing[k] == 0) == ghosts:
                    particles[self.n_rows] = k
                    self.n_rows += 1
            if not ghosts:
                self.n_centers = self.n_rows
        for k in range(request.n_particles):
            contributing[k] = request.contributing[k] != 0
        if not with_ghosts:
            self.n_rows = self.n_centers
        return self.copy_rows(request, particles, offsets)

    cdef Fault copy_rows(
        self, const BridgeRequest *request, const int32_t *particles, int64_t *offsets
    ) noexcept:
        cdef int32_t *neighbors = <int32_t *> cnp.PyArray_DATA(self.neighbors)
        cdef Py_ssize_t capacity = cnp.PyArray_SIZE(self.neighbors), k, filled = 0
        cdef unsigned beyond = 0
        cdef const int *row
        cdef int n, entry
        offsets[0] = 0
        for k in range(self.n_rows):
            self.at = particles[k]
            if request.row(request.lists, self.at, &n, &row) != 0 or n < 0:
                return NO_ROW
            if filled + n > capacity:
                return NO_SPACE
            memcpy(neighbors + filled, row, n * sizeof(int32_t))
            for entry in range(n):
                beyond |= <unsigned> neighbors[filled + entry] >= <unsigned> request.n_particles
            if beyond:
                return NO_SUCH_NEIGHBOR
            filled += n
            offsets[k + 1] = filled
        return GOOD

    cdef configuration(self, const BridgeRequest *request, names):
        """The Configuration of these rows; it lasts until the next step."""
        cdef Py_ssize_t n = request.n_particles
        offsets = self.offsets[: self.n_rows + 1]
        neighbors = self.neighbors[: offsets[self.n_rows]]
        own = offsets[: self.n_centers + 1]
        return Configuration.unchecked(
            positions=doubles(request.positions, n, 3),
            species=integers(request.species, n),
            contributing=self.contributing[:n].view(bool),
            centers=self.particles[: self.n_centers],
            offsets=own,
            neighbors=neighbors[: own[self.n_centers]],
            species_names=names,
            all_rows=(self.particles[: self.n_rows], offsets, neighbors)
            if self.n_rows == n
            else None,
        )


cdef doubles(const double *values, Py_ssize_t rows, Py_ssize_t columns):
    """An array (rows, columns) over the simulator's memory, or None."""
    cdef cnp.npy_intp[2] shape
    if values == NULL:
        return None if rows else np.empty((0, columns))
    shape[0], shape[1] = rows, columns
    return cnp.PyArray_SimpleNewFromData(2, shape, cnp.NPY_FLOAT64, <void *> values)


cdef integers(const int *values, Py_ssize_t n):
    cdef cnp.npy_intp[1] shape
    if values == NULL:
        return np.empty(0, dtype=np.int32)
    shape[0] = n
    return cnp.PyArray_SimpleNewFromData(1, shape, cnp.NPY_INT32, <void *> values)


cdef class Handle:
    """What the driver's library owns: a model, and the arrays of its lists."""

    cdef object model
    cdef Rows rows
    cdef object names           # bytes, kept alive
    cdef object pointers

    def __init__(self, model):
        self.model = model
        self.rows = Rows()
        self.names = [name.encode() for name in model.species]
        self.pointers = np.array(
            [<size_t> <const char *> name for name in self.names], dtype=np.uintp
        )

    cdef fill(self, BridgeModel *out):
        cdef size_t[::1] pointers = self.pointers
        out.influence_distance = self.model.influence_distance
        out.cutoff = self.model.cutoff
        out.without_ghost_rows = not self.model.needs_ghost_rows
        out.with_particle_virial = self.model.gives_particle_virials
        out.n_species = len(self.names)
        out.species = <const char *const *> &pointers[0]

    cdef compute(self, const BridgeRequest *request):
        cdef Py_ssize_t n = request.n_particles
        # taken away: another thread, or a call by the simulator's lists, finds none and makes one
        cdef Rows rows = self.rows
        self.rows = None
        if rows is None:
            rows = Rows()
        rows.gather(request, self.model.needs_ghost_rows, len(self.names))
        warnings = self.model.compute(
            rows.configuration(request, self.model.species),
            Results(
                doubles(request.energy, 1, 1),
                doubles(request.particle_energies, n, 1),
                doubles(request.forces, n, 3),
                doubles(request.virial, 1, 6),
                doubles(request.particle_virials, n, 6),
            ),
        )
        self.rows = rows
        return warnings


cdef char *as_message(text) noexcept:
    """A copy that free_message frees."""
    as_bytes = text.encode("utf-8", "replace")
    return strdup(as_bytes)


cdef int failed(char **message, error) noexcept:
    message[0] = as_message(describe(error))
    return 1


cdef int create(
    const char *folder, double length, double energy, BridgeModel *out, char **message
) noexcept with gil:
    cdef Handle handle
    try:
        handle = Handle(KimModel(folder.decode(), length, energy))
        handle.fill(out)
        Py_INCREF(handle)
        out.python = <void *> handle
        return 0
    except BaseException as error:
        return failed(message, error)


cdef int compute(void *python, const BridgeRequest *request, char **message) noexcept with gil:
    try:
        warnings = (<Handle> python).compute(request)
        if warnings:
            message[0] = as_message("\n".join(warnings))
        return 0
    except BaseException as error:
        return failed(message, error)


cdef int write(
    void *python, const char *folder, NameFile name_file, void *argument, char **message
) noexcept with gil:
    try:
        for name in (<Handle> python).model.write(folder.decode()):
            name_file(argument, name.encode())
        return 0
    except BaseException as error:
        return failed(message, error)


cdef void destroy(BridgeModel *model) noexcept with gil:
    Py_DECREF(<object> model.python)
    model.python = NULL


cdef void free_message(char *message) noexcept nogil:
    free(message)


cdef Bridge functions

functions.version = BRIDGE_VERSION
functions.create = create
functions.compute = compute
functions.write = write
functions.destroy = destroy
functions.free_message = free_message

bridge = PyCapsule_New(&functions, BRIDGE_CAPSULE, NULL)
