"""The contract between the loop over atoms and a kernel: what a kernel is given, what it fills.

A kernel is the mathematics of one descriptor: four functions, the *verbs*, which the loop in
``loop.pyx`` calls with a few atoms at a time. It knows neither lists nor threads nor Python.

PLAN     the descriptor's parameters, in a struct of the kernel's own. The class that packs it
         (a subclass of ``_descriptors.Kernel``) keeps it alive; the verbs only read it.
GROUP    the environments of 1 ... ``Verbs.group`` atoms, consecutive rows of the lists. Where
         groups begin does not depend on the number of threads.
OUT      filled by the verb, in its precision, for the environments of the group in their order:
             value, jvp   (width,) for each environment
             vjp          (3,) for each list entry: neighbor j of an environment is entry slot[j]
             jacobian     (3, width) for each list entry, as in vjp
         Entries that are beyond their cutoff are in no environment; the loop sets them to 0.
SCRATCH  scratch_size(plan, n) bytes for a group whose largest environment has n neighbors. It
         begins at a multiple of 64 bytes, and what is in it is undefined.

KEPT     NULL, or kept_size(plan) bytes for each group: what ``value`` leaves there spares ``vjp``
         of the same group the work of finding it again. With or without, results are the same to
         the last bit.

All memory belongs to the loop: a verb allocates nothing and keeps nothing else. Verbs of one plan
run in many threads at once, each with its own group, out and scratch. What is written for one
environment may not depend on the other environments of the group, to the last bit: a neighbor
list may be computed in parts.
"""

from libc.stdint cimport int32_t


# One atom's neighbors. Always in float64, in either precision of the kernel: a difference of two
# positions far from the origin has lost its digits before float32 could hold it. Kernels round
# what they make of it. Arrays of doubles may be loaded in whole vectors: there is room after them.
cdef struct Environment:
    Py_ssize_t n                # neighbors with r <= the cutoff of their pair of species
    int species                 # code of the center
    int32_t *neighbor_species   # (n,) codes of the neighbors
    double *x                   # (n,) r_j - r_i, component by component
    double *y
    double *z
    double *r                   # (n,) its length, never 0
    double *dx                  # (n,) dr_j - dr_i, the direction of a jvp; only there
    double *dy
    double *dz
    Py_ssize_t *slot            # (n,) which list entry a neighbor is, from the group's first on
    const void *dE_dD           # (width,) dE/dD of a vjp, in the kernel's precision; only there
    void *kept                  # of the whole group, in its first environment; NULL: nothing
    bint *not_finite            # NULL, or: store results past the caches, and say if one is
    double *energy              # where a vjp with_energies puts Σ_k dE/dD_k D_k; NULL: not wanted


# What parts of a kernel are asked for.
cdef enum Purpose:
    VALUES
    GRADIENTS                   # values, and what derivatives with respect to positions need
    TANGENTS                    # values, and their changes along the directions


ctypedef void (*Verb)(
    const void *plan, const Environment *group, Py_ssize_t n_environments, void *scratch, void *out
) noexcept nogil
ctypedef Py_ssize_t (*ScratchSize)(const void *plan, Py_ssize_t n) noexcept nogil
ctypedef Py_ssize_t (*KeptSize)(const void *plan) noexcept nogil


# A kernel's functions in one precision. They are written once, with a fused type, and cast:
# ``verbs.value = <Verb> value[vec]``, where ``value`` takes its own plan and ``vec *out``.
cdef struct Verbs:
    Verb value                  # D
    Verb vjp                    # dE/dr_j of the energy E whose gradient dE/dD is given
    Verb jvp                    # the change of D along the directions
    Verb jacobian               # dD/dr_j
    ScratchSize scratch_size
    Py_ssize_t group            # how many environments it wants at a time
    KeptSize kept_size          # a multiple of 64; may be left NULL: nothing is kept
    Py_ssize_t jacobian_group   # how many a jacobian wants, whose output is long; 0: as many
    bint values_stream          # whether value looks at Environment.not_finite; may be left False
    bint jacobian_streams       # whether jacobian does
    bint with_energies          # whether vjp fills Environment.energy; may be left False


# What the loop needs to know of any kernel.
cdef struct KernelInfo:
    Verbs single                # float32
    Verbs double_               # float64
    const void *plan
    Py_ssize_t width
    int n_species
    const double *cutoffs       # (n_species, n_species)
