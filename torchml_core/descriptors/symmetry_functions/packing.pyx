"""The parameters of symmetry functions, packed for the kernel."""

import numpy as np

from libc.stdlib cimport calloc, free

from torchml_core._descriptors cimport Kernel
from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport AngularBlock
from torchml_core.descriptors.symmetry_functions.kernel.compact cimport CompactSet, TripletBlock
from torchml_core.descriptors.symmetry_functions.kernel.core_functions cimport (
    CORE_EXPONENTIAL, CORE_POLYNOMIAL_1, CORE_POLYNOMIAL_2, CORE_POLYNOMIAL_3, CORE_POLYNOMIAL_4,
    Intervals,
)
from torchml_core.descriptors.symmetry_functions.kernel.radial cimport RadialBlock
from torchml_core.descriptors.symmetry_functions.kernel.symmetry_functions cimport (
    FunctionBlock, SymmetryFunctionPlan, fill_verbs,
)
from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.simd.vectors cimport SIMD_BYTES, vdouble, vfloat

CORES = {
    "poly1": CORE_POLYNOMIAL_1,
    "poly2": CORE_POLYNOMIAL_2,
    "poly3": CORE_POLYNOMIAL_3,
    "poly4": CORE_POLYNOMIAL_4,
    "exp": CORE_EXPONENTIAL,
}


cdef class SymmetryFunctionKernel(Kernel):
    """Symmetry functions, as ``planning.py`` and ``compact_planning.py`` lay them out.

    Parameters
    ----------
    width : int
    cutoffs : (n_species, n_species) float64
        The largest of all functions.
    classes : (n_species,) int32
    pair_cutoffs : list of (cutoff function, inner, cutoffs of classes, weights of classes)
    blocks : list of dict
    components : (n_sums,) int32
    """

    cdef SymmetryFunctionPlan plan
    cdef PairCutoff *pair_cutoffs

    def __init__(self, width, cutoffs, classes, pair_cutoffs, blocks, components):
        cdef Py_ssize_t k
        self.plan.width = width
        self.plan.n_classes = np.max(classes) + 1
        self.plan.classes = self.ints(classes)
        self.plan.far = 2 * np.max(cutoffs)
        self.plan.n_sums = len(components)
        self.plan.components = self.ints(components)
        self.pair_cutoffs = <PairCutoff *> calloc(len(pair_cutoffs), sizeof(PairCutoff))
        self.plan.blocks = <FunctionBlock *> calloc(len(blocks), sizeof(FunctionBlock))
        if self.pair_cutoffs == NULL or self.plan.blocks == NULL:
            raise MemoryError()
        for k, (function, inner, class_cutoffs, weights) in enumerate(pair_cutoffs):
            self.pair_cutoff(&self.pair_cutoffs[k], function, inner, class_cutoffs, weights)
        self.plan.n_blocks = len(blocks)
        compact_block = np.full(self.plan.n_classes, -1, dtype=np.int32)
        for k, block in enumerate(blocks):
            self.pack(&self.plan.blocks[k], block)
            if self.plan.blocks[k].is_compact:
                compact_block[np.flatnonzero(block["centers"])] = k
        self.plan.compact_block = self.ints(compact_block)
        fill_verbs(&self.info.single, <const vfloat *> NULL)
        fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, width, cutoffs, SIMD_BYTES)

    def __dealloc__(self):
        cdef Py_ssize_t k
        for k in range(self.plan.n_blocks):
            free(self.plan.blocks[k].compact.blocks)
        free(self.pair_cutoffs)
        free(self.plan.blocks)

    cdef pack(self, FunctionBlock *packed, block):
        packed.centers = self.ints(block["centers"])
        packed.first = block["first"]
        packed.is_compact = block["type"] == "compact"
        packed.is_angular = not packed.is_compact and block["type"] > 3
        if packed.is_compact:
            self.pack_compact(&packed.compact, block)
            packed.n_sums = block["n_sums"]
        elif packed.is_angular:
            self.pack_angular(&packed.angular, block)
            packed.n_sums = len(block["term"]) * (1 + max(block["channel"]))
        else:
            self.pack_radial(&packed.radial, block)
            packed.n_sums = block["n_rows"] * (1 + max(block["channels"]))

    cdef pack_radial(self, RadialBlock *packed, block):
        packed.type = block["type"]
        packed.pair_cutoff = &self.pair_cutoffs[<Py_ssize_t> block["pair_cutoff"]]
        packed.channels = self.ints(block["channels"])
        packed.n_rows = block["n_rows"]
        if packed.type == 2:
            packed.eta = self.doubles(block["eta"])
            packed.shift = self.doubles(block["Rs"])
        elif packed.type == 3:
            packed.kappa = self.doubles(block["kappa"])

    cdef pack_angular(self, AngularBlock *packed, block):
        packed.which.pair_cutoff = &self.pair_cutoffs[<Py_ssize_t> block["pair_cutoff"]]
        packed.which.with_jk = block["type"] == 4
        packed.which.shift = block["shift"]
        packed.which.n_pairs = len(block["channel"])
        packed.which.channel = self.ints(block["channel"])
        packed.which.first = self.ints(block["first_class"])
        packed.which.second = self.ints(block["second_class"])
        packed.n_rows = block["n_rows"]
        packed.n_terms = len(block["zeta"])
        packed.zeta = self.doubles(block["zeta"])
        packed.whole_zeta = self.ints(block["whole_zeta"])
        packed.lam = self.doubles(block["lambda"])
        packed.n_groups = len(block["eta"])
        packed.eta = self.doubles(block["eta"])
        packed.group = self.ints(block["group"])
        packed.term = self.ints(block["term"])
        self.plan.most_terms = max(self.plan.most_terms, packed.n_terms)

    cdef pack_compact(self, CompactSet *packed, block):
        cdef Py_ssize_t k
        packed.n_breaks = len(block["breaks"])
        packed.breaks = self.doubles(block["breaks"])
        self.pack_intervals(&packed.radials, block["radials"])
        packed.first_bin = self.ints(block["first_bin"])
        packed.last_bin = self.ints(block["last_bin"])
        packed.n_rows = len(block["row_sum"])
        packed.row_class = self.ints(block["row_class"])
        packed.row_radial = self.ints(block["row_radial"])
        packed.row_sum = self.ints(block["row_sum"])
        packed.row_weight = self.doubles(block["row_weight"])
        packed.blocks = <TripletBlock *> calloc(
            1 + len(block["triplets"]), sizeof(TripletBlock)
        )
        if packed.blocks == NULL:
            raise MemoryError()
        packed.n_blocks = len(block["triplets"])
        for k, triplets in enumerate(block["triplets"]):
            self.pack_triplets(&packed.blocks[k], triplets)
            self.plan.most_compact_terms = max(
                self.plan.most_compact_terms, packed.blocks[k].angles.n
            )
        self.plan.most_breaks = max(self.plan.most_breaks, packed.n_breaks)
        self.plan.most_radials = max(self.plan.most_radials, packed.radials.n)

    cdef pack_triplets(self, TripletBlock *packed, block):
        packed.with_jk = block["with_jk"]
        packed.first_sum = block["first_sum"]
        packed.n_pairs = len(block["weight"])
        packed.first = self.ints(block["first_class"])
        packed.second = self.ints(block["second_class"])
        packed.weight = self.doubles(block["weight"])
        self.pack_intervals(&packed.angles, block["angles"])
        packed.n_groups = len(block["radial"])
        packed.radial = self.ints(block["radial"])
        packed.group = self.ints(block["group"])
        packed.term = self.ints(block["term"])

    cdef pack_intervals(self, Intervals *packed, intervals):
        """``intervals``: a list of (left, right, core, asymmetric)."""
        left, right, cores, asymmetric = zip(*intervals)
        scale = 2 / np.subtract(right, left)
        packed.n = len(intervals)
        packed.core = self.ints([CORES[core] for core in cores])
        packed.asymmetric = self.ints(asymmetric)
        packed.scale = self.doubles(scale)
        packed.offset = self.doubles(np.add(left, right) / -2 * scale)
