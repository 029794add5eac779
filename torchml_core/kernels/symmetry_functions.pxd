"""Behler-Parrinello symmetry functions g1-g5 of one environment. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.cutoff cimport CutoffFunction
from torchml_core.kernels.environment cimport Environment, real


# The rows of one type. Component = first + channel * n_rows + row; a channel is a species (g1-g3)
# or an unordered pair of species (g4, g5) of the neighbors, and there is only one when pooled.
cdef struct FunctionBlock:
    int type                   # 1 ... 5
    Py_ssize_t first
    Py_ssize_t n_rows
    const double *eta          # (n_rows,) g2, g4, g5
    const double *shift        # (n_rows,) g2: Rs
    const double *kappa        # (n_rows,) g3
    const double *zeta         # (n_rows,) g4, g5
    const double *lam          # (n_rows,) g4, g5: lambda
    const int32_t *whole_zeta  # (n_rows,) zeta where it is a whole number, else 0
    const int32_t *eta_index   # (n_rows,) eta = etas[eta_index]: one exponential for all its rows
    const double *etas         # (n_etas,)
    Py_ssize_t n_etas


cdef struct SymmetryFunctionPlan:
    CutoffFunction cutoff_function
    Py_ssize_t width
    int n_species
    const double *cutoffs      # (n_species, n_species)
    const int32_t *channels    # (n_species,) of a neighbor
    const int32_t *pair_channels  # (n_species, n_species) of two neighbors
    Py_ssize_t n_blocks
    FunctionBlock *blocks


cdef Py_ssize_t scratch_size(const SymmetryFunctionPlan *plan, Py_ssize_t n) noexcept nogil
cdef void value(
    const SymmetryFunctionPlan *plan, const Environment *env, real *scratch, real *out
) noexcept nogil
cdef void vjp(
    const SymmetryFunctionPlan *plan, const Environment *env, const real *dE_dD, real *scratch,
    real *out,
) noexcept nogil
cdef void jvp(
    const SymmetryFunctionPlan *plan, const Environment *env, real *scratch, real *out
) noexcept nogil
cdef void jacobian(
    const SymmetryFunctionPlan *plan, const Environment *env, real *scratch, real *out
) noexcept nogil
