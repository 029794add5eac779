"""The parameters of symmetry functions, packed for the kernel."""

import numpy as np

from libc.stdint cimport int32_t
from libc.stdlib cimport calloc, free

from torchml_core._descriptors cimport Kernel
from torchml_core.kernels cimport cutoff
from torchml_core.kernels.neighborhood cimport Fading
from torchml_core.kernels.radial cimport RadialBlock
from torchml_core.kernels.shapes cimport AngularBlock
from torchml_core.kernels.simd cimport SIMD_BYTES, vdouble, vfloat
from torchml_core.kernels.symmetry_functions cimport (
    FunctionBlock, SymmetryFunctionPlan, fill_verbs,
)

CUTOFF_FUNCTIONS = {
    "cos": cutoff.COSINE,
    "poly1": cutoff.POLYNOMIAL_1,
    "poly2": cutoff.POLYNOMIAL_2,
    "poly3": cutoff.POLYNOMIAL_3,
    "tanh3": cutoff.TANH_CUBED,
}


cdef class SymmetryFunctionKernel(Kernel):
    """g1-g5, as ``descriptors/planning.py`` lays them out.

    Parameters
    ----------
    width : int
    cutoffs : (n_species, n_species) float64
        The largest of all functions.
    classes : (n_species,) int32
    fadings : list of (cutoff function, inner, cutoffs of classes, weights of classes)
    blocks : list of dict
    components : (n_sums,) int32
    """

    cdef SymmetryFunctionPlan plan
    cdef Fading *fadings

    def __init__(self, width, cutoffs, classes, fadings, blocks, components):
        cdef Py_ssize_t k
        self.plan.width = width
        self.plan.n_classes = np.max(classes) + 1
        self.plan.classes = self.ints(classes)
        self.plan.far = 2 * np.max(cutoffs)
        self.plan.n_sums = len(components)
        self.plan.components = self.ints(components)
        self.fadings = <Fading *> calloc(len(fadings), sizeof(Fading))
        self.plan.blocks = <FunctionBlock *> calloc(len(blocks), sizeof(FunctionBlock))
        if self.fadings == NULL or self.plan.blocks == NULL:
            raise MemoryError()
        for k, (function, inner, class_cutoffs, weights) in enumerate(fadings):
            self.fadings[k].function = CUTOFF_FUNCTIONS[function]
            self.fadings[k].inner = inner
            self.fadings[k].cutoffs = self.doubles(np.ravel(class_cutoffs))
            self.fadings[k].weights = self.doubles(weights)
        self.plan.n_blocks = len(blocks)
        for k, block in enumerate(blocks):
            self.plan.blocks[k].is_angular = block["type"] > 3
            self.plan.blocks[k].centers = self.ints(block["centers"])
            self.plan.blocks[k].first = block["first"]
            if block["type"] > 3:
                self.pack_angular(&self.plan.blocks[k].angular, block)
                self.plan.blocks[k].n_sums = len(block["shape"]) * (1 + max(block["channel"]))
            else:
                self.pack_radial(&self.plan.blocks[k].radial, block)
                self.plan.blocks[k].n_sums = block["n_rows"] * (1 + max(block["channels"]))
        fill_verbs(&self.info.single, <const vfloat *> NULL)
        fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, width, cutoffs, SIMD_BYTES)

    def __dealloc__(self):
        free(self.fadings)
        free(self.plan.blocks)

    cdef pack_radial(self, RadialBlock *packed, block):
        packed.type = block["type"]
        packed.fading = &self.fadings[<Py_ssize_t> block["fading"]]
        packed.channels = self.ints(block["channels"])
        packed.n_rows = block["n_rows"]
        if packed.type == 2:
            packed.eta = self.doubles(block["eta"])
            packed.shift = self.doubles(block["Rs"])
        elif packed.type == 3:
            packed.kappa = self.doubles(block["kappa"])

    cdef pack_angular(self, AngularBlock *packed, block):
        packed.which.fading = &self.fadings[<Py_ssize_t> block["fading"]]
        packed.which.with_jk = block["type"] == 4
        packed.which.shift = block["shift"]
        packed.which.n_pairs = len(block["channel"])
        packed.which.channel = self.ints(block["channel"])
        packed.which.first = self.ints(block["first_class"])
        packed.which.second = self.ints(block["second_class"])
        packed.n_rows = block["n_rows"]
        packed.n_shapes = len(block["zeta"])
        packed.zeta = self.doubles(block["zeta"])
        packed.whole_zeta = self.ints(block["whole_zeta"])
        packed.lam = self.doubles(block["lambda"])
        packed.n_groups = len(block["eta"])
        packed.eta = self.doubles(block["eta"])
        packed.group = self.ints(block["group"])
        packed.shape = self.ints(block["shape"])
        self.plan.most_shapes = max(self.plan.most_shapes, packed.n_shapes)
