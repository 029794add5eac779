"""SphericalExpansion at its former path; it is now in descriptors/density."""

from torchml_core.descriptors.density.spherical_expansion import SphericalExpansion

__all__ = ["SphericalExpansion"]
