"""The bispectrum of a group of environments. See the .pyx."""

from libc.stdint cimport int32_t

from torchml_core.descriptors.bispectrum.kernel.expansion cimport ExpansionPlan
from torchml_core.descriptors.bispectrum.kernel.products cimport ProductPlan
from torchml_core.kernels.verbs cimport Verbs
from torchml_core.simd.vectors cimport vec


cdef struct BispectrumPlan:
    ExpansionPlan expansion
    ProductPlan products
    Py_ssize_t width
    Py_ssize_t n_values         # of triples and channels, see products.pxd
    const int32_t *sources      # (width,) which of them a component is; -1: always 0
    const double *scales        # (width,) how often
    const double *shifts        # (n_species, width) by species of the center, what is subtracted


cdef void fill_verbs(Verbs *verbs, const vec *type_tag) noexcept
