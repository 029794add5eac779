"""The parameters of Xi, packed for its kernel."""

import numpy as np

from torchml_core.descriptors.density.packing cimport DensityKernel
from torchml_core.descriptors.xi.kernel cimport xi
from torchml_core.descriptors.xi.kernel.xi cimport XiPlan
from torchml_core.simd.vectors cimport SIMD_BYTES, vdouble, vfloat


cdef class XiKernel(DensityKernel):
    """Products of three density coefficients.

    Parameters
    ----------
    settings : dict
        As for ExpansionKernel, of one species.
    terms : Terms
    """

    cdef XiPlan plan

    def __init__(self, settings, terms):
        self.pack(&self.plan.expansion, settings)
        width = len(terms.values)
        self.plan.products.width = width
        self.plan.products.n_coefficients = self.plan.expansion.n_lm * self.plan.expansion.n_max
        self.plan.products.n_sums = len(terms.products) - 1
        self.plan.products.terms = self.ints(terms.terms)
        self.plan.products.first = self.ints(terms.first)
        self.plan.products.sums = self.ints(terms.sums)
        self.plan.products.scales = self.doubles(terms.scales)
        self.plan.products.scales_single = self.floats(terms.scales)
        self.plan.products.products = self.ints(terms.products)
        self.plan.products.second = self.ints(terms.second)
        self.plan.products.third = self.ints(terms.third)
        self.plan.products.factors = self.doubles(terms.factors)
        self.plan.products.factors_single = self.floats(terms.factors)
        xi.fill_verbs(&self.info.single, <const vfloat *> NULL)
        xi.fill_verbs(&self.info.double_, <const vdouble *> NULL)
        self.set_up(&self.plan, width, np.array([[settings["cutoff"]]]), SIMD_BYTES)
