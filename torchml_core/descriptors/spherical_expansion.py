"""SphericalExpansion, by the path that it had before it moved to descriptors/density."""

from torchml_core.descriptors.density.spherical_expansion import SphericalExpansion

__all__ = ["SphericalExpansion"]
