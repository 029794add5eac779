"""What other descriptors made of density coefficients need to pack their parameters."""

from torchml_core._descriptors cimport Kernel
from torchml_core.descriptors.density.kernel.expansion cimport ExpansionPlan


cdef class DensityKernel(Kernel):
    cdef pack(self, ExpansionPlan *plan, settings)
