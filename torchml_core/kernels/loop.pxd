"""The loop over atoms. See the .pyx."""

from libc.stdint cimport int32_t, int64_t

from torchml_core._parallel cimport Threads
from torchml_core.kernels.verbs cimport Environment, KernelInfo, Verb, Verbs


cdef enum:
    ROWS_AT_ONCE = 4           # a thread takes so many rows at a time, and is not started for fewer
    PAIRS_OF_BLOCK = 1 << 16   # of a vjp: their gradients stay in cache until they are added up
    ROWS_OF_BLOCK = 1 << 13


ctypedef fused real:
    float
    double


cdef struct ConfigurationInfo:
    const double *positions    # (n_particles, 3)
    const int32_t *species     # (n_particles,)
    const int32_t *centers     # (n_rows,)
    const int64_t *offsets     # (n_rows + 1,)
    const int32_t *neighbors   # (n_pairs,)
    Py_ssize_t n_rows
    Py_ssize_t n_pairs


cdef struct Call


# What the loop itself does with results, in their precision.
ctypedef bint (*AreFinite)(const void *numbers, Py_ssize_t n) noexcept nogil
ctypedef void (*RowVirial)(
    const Environment *env, const void *gradients, double *virial
) noexcept nogil
ctypedef void (*AddOntoParticles)(
    const Call *call, const void *gradient, Py_ssize_t begin, Py_ssize_t end
) noexcept nogil


# One thread's own.
cdef struct Workspace:
    Environment *group
    void *scratch
    Py_ssize_t coincident      # the first entry found at distance 0, n_pairs if there is none
    bint not_finite            # whether a result was


# What a verb is called with, for all threads; and the functions for the precision of its results.
cdef struct Call:
    const KernelInfo *kernel
    const ConfigurationInfo *lists
    Workspace *work            # of each thread
    const Verbs *verbs
    Verb verb
    AreFinite are_finite
    RowVirial row_virial
    AddOntoParticles add_onto_particles
    Py_ssize_t group           # rows at a time
    bint streams               # whether the verb stores past the caches, and checks it itself
    Py_ssize_t number_bytes
    const char *dE_dD          # (n_rows, width) numbers, of a vjp
    const double *dr           # (n_particles, 3), of a jvp
    Py_ssize_t first, last     # rows, of the block
    char *out                  # begins with what belongs to the first row, as virials do
    Py_ssize_t row_bytes       # of out for each row
    Py_ssize_t entry_bytes     # of out for each entry of the lists
    char *kept                 # of the first n_kept groups, NULL if nothing is
    Py_ssize_t kept_bytes      # of each
    Py_ssize_t n_kept
    double *energies           # (n_rows,), of a vjp, NULL if not wanted
    double *virials            # (rows of the block, 3, 3): of each row, NULL if not wanted
    double *onto               # (n_particles, 3), of a vjp
    int n_parts                # in which it is added up


cdef void set_precision(Call *call, const real *type_tag) noexcept
cdef int compute_block(Call *call, Threads threads) except -1 nogil
cdef int compute_vjp(Call *call, Threads threads, double *virial) except -1 nogil
