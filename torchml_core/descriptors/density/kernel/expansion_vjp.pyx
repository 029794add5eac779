"""Gradient of the density expansion of one environment with respect to its neighbors.

For an energy with w_nlm = norm dE/dd, see expansion.pyx, and f = fc g of a neighbor at r:

    dE/dr = Σ_lm A_lm ∇S_lm / rc + 2 r Σ_lm B_lm S_lm
    A_lm = Σ_n w_nlm f_nl,    B_lm = Σ_n w_nlm df_nl/d(R²)

There are two ways to sum. Where functions fill vectors, vjp_by_functions.pyx has fewer loads and
nothing to transpose; where lanes of these would be empty, vjp_by_neighbors.pyx is faster.
"""

from torchml_core.descriptors.density.kernel.expansion cimport begin_expansion, repeat_of
from torchml_core.descriptors.density.kernel.vjp_by_functions cimport vjp_by_functions
from torchml_core.descriptors.density.kernel.vjp_by_neighbors cimport vjp_by_neighbors
from torchml_core.kernels.verbs cimport GRADIENTS
from torchml_core.simd.vectors cimport lanes_of, vec, vectors_for


cdef inline bint functions_fill_vectors(
    const ExpansionPlan *plan, const vec *type_tag
) noexcept nogil:
    """Whether at least four of five lanes hold one, counted over all (l, m)."""
    cdef Py_ssize_t n_lanes = 0, n_functions = 0, n
    cdef int repeat = repeat_of(plan, type_tag), l
    for l in range(plan.l_max + 1):
        n = repeat * plan.table.n_of_l[l]
        n_functions += (2 * l + 1) * n
        n_lanes += (2 * l + 1) * vectors_for(n, type_tag) * lanes_of(type_tag)
    return 5 * n_functions >= 4 * n_lanes


cdef void expand_vjp(
    const ExpansionPlan *plan, const Environment *env, Expansion *work, const vec *by_density,
    vec *out,
) noexcept nogil:
    """Set out[slot[j]] to dE/dr_j; ``by_density``: norm dE/dd, 0 in padding."""
    begin_expansion(plan, env, GRADIENTS, work, out)
    if functions_fill_vectors(plan, out):
        vjp_by_functions(plan, env, work, by_density, out)
    else:
        vjp_by_neighbors(plan, env, work, by_density, out)
