"""Xi: rotation-invariant products of three density coefficients."""

from torchml_core.descriptors.xi.xi import Xi

__all__ = ["Xi"]
