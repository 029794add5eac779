"""Behler-Parrinello symmetry functions of one environment. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport AngularBlock
from torchml_core.descriptors.symmetry_functions.kernel.compact cimport CompactSet
from torchml_core.descriptors.symmetry_functions.kernel.radial cimport RadialBlock
from torchml_core.kernels.verbs cimport Verbs
from torchml_core.simd.vectors cimport vec


# Functions that are summed together; only one of the last three members is used.
cdef struct FunctionBlock:
    bint is_angular
    bint is_compact
    const int32_t *centers      # (n_classes,) whether a center of this class has them
    Py_ssize_t first            # of all sums
    Py_ssize_t n_sums
    RadialBlock radial
    AngularBlock angular
    CompactSet compact


# What planning.py makes.
cdef struct SymmetryFunctionPlan:
    Py_ssize_t width
    Py_ssize_t n_classes
    const int32_t *classes      # (n_species,) see neighborhood.pyx
    double far                  # beyond every cutoff
    Py_ssize_t n_sums           # of all blocks, padding included
    const int32_t *components   # (n_sums,) which value a sum is, -1: padding
    Py_ssize_t most_terms       # angular terms of a block
    Py_ssize_t n_blocks
    FunctionBlock *blocks
    const int32_t *compact_block  # (n_classes,) that of a center of this class; -1: it has none
    Py_ssize_t most_breaks      # of a compact block: see compact.pxd
    Py_ssize_t most_radials
    Py_ssize_t most_compact_terms


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept
