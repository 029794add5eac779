"""Sums over neighbors of the elements of their rotations, and their derivatives. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.bispectrum.kernel.rotations cimport RotationPlan, Rotations
from torchml_core.kernels.verbs cimport Environment
from torchml_core.simd.vectors cimport vec


# One s and |t|: see coupling.py.
cdef struct Block:
    int32_t s
    int32_t t
    int32_t n_degrees
    int32_t plus                # number of the first element with t
    int32_t minus               # with -t


cdef struct ExpansionPlan:
    RotationPlan rotation
    int twojmax
    int most_degrees
    Py_ssize_t n_elements
    Py_ssize_t n_sums           # numbers of all blocks, see expansion.pyx
    Py_ssize_t n_blocks
    const Block *blocks         # s ascends, and t for each s
    const double *chebyshev     # (n_degrees, n_degrees) for each block
    const float *chebyshev_single
    bint self_in_all            # the center counts in all channels, not just in that of its species


# Elements are complex numbers, (n_channels, n_elements, 2) vectors: real and imaginary parts.
cdef struct Expansion:
    Rotations rotations
    void *powers                # of some neighbors
    void *sums                  # (n_sums,)
    void *sums_dot
    void *elements
    void *elements_dot          # their changes along the directions of a jvp
    void *gradient              # dE with respect to them; Im of an element that is real: anything
    void *by_power              # dE with respect to powers of ā and b̄ of one neighbor


cdef void lay_out_expansion(
    Expansion *work, const ExpansionPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil
cdef void expand(
    Expansion *work, const ExpansionPlan *plan, const Environment *group,
    Py_ssize_t n_environments, const vec *type_tag,
) noexcept nogil
cdef void expand_tangents(
    Expansion *work, const ExpansionPlan *plan, const vec *type_tag
) noexcept nogil
