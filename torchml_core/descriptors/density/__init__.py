"""Descriptors of the atomic density: its coefficients, and SOAP, their power spectrum."""

from torchml_core.descriptors.density.soap import SOAP
from torchml_core.descriptors.density.spherical_expansion import SphericalExpansion

__all__ = ["SOAP", "SphericalExpansion"]
