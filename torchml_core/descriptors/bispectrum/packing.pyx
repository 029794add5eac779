"""The parameters of a bispectrum, packed for the kernel."""

import numpy as np

from torchml_core._descriptors cimport Kernel
from torchml_core.descriptors.bispectrum.kernel.bispectrum cimport BispectrumPlan, fill_verbs
from torchml_core.descriptors.bispectrum.kernel.expansion cimport Block, ExpansionPlan
from torchml_core.descriptors.bispectrum.kernel.products cimport (
    MOST_OUTPUTS, ListHead, ProductPlan,
)
from torchml_core.descriptors.bispectrum.kernel.rotations cimport RotationPlan
from torchml_core.simd.vectors cimport SIMD_BYTES, vdouble, vfloat


cdef class BispectrumKernel(Kernel):
    """Bispectra.

    Parameters
    ----------
    rotation : dict
        The members of RotationPlan, of which cutoffs (n_species, n_species), sinner and dinner
        (the same, or None) take the place of per_length and so on.
    twojmax : int
    elements : Elements
    lists : Lists
        Both from coupling.py.
    n_triples : int
    self_in_all : bool
    sources, scales, shifts : arrays
        See BispectrumPlan.
    """

    cdef BispectrumPlan plan

    def __init__(
        self, rotation, twojmax, elements, lists, n_triples, self_in_all, sources, scales, shifts
    ):
        self.pack_rotation(&self.plan.expansion.rotation, rotation)
        self.pack_expansion(&self.plan.expansion, twojmax, elements, self_in_all)
        self.pack_products(&self.plan.products, lists, n_triples)
        self.plan.products.n_channels = self.plan.expansion.rotation.n_channels
        self.plan.products.n_elements = self.plan.expansion.n_elements
        self.plan.width = len(sources)
        self.plan.n_values = n_triples * self.plan.products.n_channels ** 3
        self.plan.sources = self.ints(sources)
        self.plan.scales = self.doubles(scales)
        self.plan.shifts = self.doubles(shifts)
        fill_verbs(&self.info.single, <const vfloat *> NULL)
        fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, len(sources), rotation["cutoffs"], SIMD_BYTES)

    cdef pack_rotation(self, RotationPlan *packed, rotation):
        packed.n_species = len(rotation["weights"])
        packed.n_channels = 1 + max(rotation["channels"])
        packed.channels = self.ints(rotation["channels"])
        packed.weights = self.doubles(rotation["weights"])
        packed.per_length = self.doubles(1 / (rotation["cutoffs"] - rotation["rmin0"]))
        packed.rfac0 = rotation["rfac0"]
        packed.rmin0 = rotation["rmin0"]
        packed.switches = rotation["switches"]
        packed.switches_inside = rotation["sinner"] is not None
        if packed.switches_inside:
            packed.inner_centers = self.doubles(rotation["sinner"])
            packed.per_inner_width = self.doubles(1 / rotation["dinner"])

    cdef pack_expansion(self, ExpansionPlan *packed, twojmax, elements, self_in_all):
        blocks = elements.blocks
        packed.twojmax = twojmax
        packed.most_degrees = twojmax // 2 + 1
        packed.n_elements = len(elements.labels)
        packed.n_blocks = len(blocks)
        packed.blocks = <const Block *> self.ints(
            [(b.s, b.t, len(b.chebyshev), b.plus, b.minus) for b in blocks]
        )
        packed.n_sums = sum(
            len(b.chebyshev) * (1 + (b.s > 0)) * (1 + (b.t > 0)) for b in blocks
        )
        chebyshev = np.concatenate([np.ravel(b.chebyshev) for b in blocks])
        packed.chebyshev = self.doubles(chebyshev)
        packed.chebyshev_single = self.floats(chebyshev)
        packed.self_in_all = self_in_all

    cdef pack_products(self, ProductPlan *packed, lists, n_triples):
        targets = lists.targets * [2, 1]
        heads = np.concatenate([lists.heads, targets.reshape(-1, 2 * MOST_OUTPUTS)], axis=1)
        packed.n_triples = n_triples
        packed.n_lists = len(heads)
        packed.heads = <const ListHead *> self.ints(heads)
        packed.factors = self.ints(2 * SIMD_BYTES * lists.factors)
        packed.coefficients = self.doubles(lists.coefficients)
        packed.coefficients_single = self.floats(lists.coefficients)
