"""The bispectrum of SNAP potentials."""

from torchml_core.descriptors.bispectrum.bispectrum import Bispectrum

__all__ = ["Bispectrum"]
