"""Networks on descriptors. Importing this package imports torch."""

from torchml_core.nn.descriptor_model import DescriptorModel as DescriptorModel
from torchml_core.nn.descriptor_model import ModelOutput as ModelOutput
from torchml_core.nn.element_networks import ElementNetworks as ElementNetworks
from torchml_core.nn.element_polynomials import ElementPolynomials as ElementPolynomials
from torchml_core.nn.with_linear import WithLinear as WithLinear

__all__ = [
    "DescriptorModel",
    "ElementNetworks",
    "ElementPolynomials",
    "ModelOutput",
    "WithLinear",
]
