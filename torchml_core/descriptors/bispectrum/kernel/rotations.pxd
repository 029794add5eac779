"""Neighbors as rotations, several environments side by side. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.kernels.verbs cimport Environment, Purpose
from torchml_core.simd.vectors cimport vec


# The mapping of neighbors onto rotations, and their weights.
cdef struct RotationPlan:
    int n_species
    int n_channels              # sets of U: one, or one for each species of neighbors
    const int32_t *channels     # (n_species,) of each species
    const double *weights       # (n_species,)
    const double *per_length    # (n_species, n_species) 1/(rc - rmin0)
    double rfac0
    double rmin0
    bint switches               # f goes to 0 at the cutoff
    bint switches_inside        # and towards short distances:
    const double *inner_centers     # (n_species, n_species) sinner
    const double *per_inner_width   # (n_species, n_species) 1/dinner


# Arrays over the neighbors of a group: one vector for each, with one environment in each lane.
cdef struct Rotations:
    Py_ssize_t *end             # (n_channels,) after the neighbors of a channel
    int32_t *source             # (n, lanes) which neighbor of its environment; -1: padding
    int32_t *species            # (n, lanes) center * n_species + neighbor; for inner switching
    void *x                     # r_j - r_i
    void *y
    void *z
    void *r
    void *weight
    void *per_length
    void *a_re                  # ā
    void *a_im
    void *b_re                  # b̄
    void *b_im
    void *cosine                # 1 - 2|b|²
    void *f                     # weight * switching functions
    void *ratio                 # S = |sin(θ0)|/R
    void *a_slope               # derivatives with respect to R: of Re ā,
    void *ratio_slope           # of S,
    void *f_slope               # of f
    void *a_re_dot              # changes along the directions of a jvp
    void *a_im_dot
    void *b_re_dot
    void *b_im_dot
    void *cosine_dot
    void *f_dot


cdef void lay_out_rotations(
    Rotations *rotations, const RotationPlan *plan, Py_ssize_t n, char **free_bytes
) noexcept nogil
cdef Py_ssize_t gather_neighbors(
    Rotations *rotations, const RotationPlan *plan, const Environment *group,
    Py_ssize_t n_environments, const vec *type_tag,
) noexcept nogil
cdef void map_onto_rotations(
    Rotations *rotations, const RotationPlan *plan, const Environment *group, Purpose purpose,
    const vec *type_tag,
) noexcept nogil
