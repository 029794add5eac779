"""The parameters of symmetry functions, packed for the kernel."""

import numpy as np

from libc.stdlib cimport calloc, free

from torchml_core._descriptors cimport Kernel
from torchml_core.descriptors.symmetry_functions.kernel.angular_terms cimport AngularBlock
from torchml_core.descriptors.symmetry_functions.kernel.radial cimport RadialBlock
from torchml_core.descriptors.symmetry_functions.kernel.symmetry_functions cimport (
    FunctionBlock, SymmetryFunctionPlan, fill_verbs,
)
from torchml_core.kernels.cutoff cimport PairCutoff
from torchml_core.simd.vectors cimport SIMD_BYTES, vdouble, vfloat


cdef class SymmetryFunctionKernel(Kernel):
    """g1-g5, as ``planning.py`` lays them out.

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
        for k, block in enumerate(blocks):
            self.plan.blocks[k].is_angular = block["type"] > 3
            self.plan.blocks[k].centers = self.ints(block["centers"])
            self.plan.blocks[k].first = block["first"]
            if block["type"] > 3:
                self.pack_angular(&self.plan.blocks[k].angular, block)
                self.plan.blocks[k].n_sums = len(block["term"]) * (1 + max(block["channel"]))
            else:
                self.pack_radial(&self.plan.blocks[k].radial, block)
                self.plan.blocks[k].n_sums = block["n_rows"] * (1 + max(block["channels"]))
        fill_verbs(&self.info.single, <const vfloat *> NULL)
        fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, width, cutoffs, SIMD_BYTES)

    def __dealloc__(self):
        free(self.pair_cutoffs)
        free(self.plan.blocks)

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
