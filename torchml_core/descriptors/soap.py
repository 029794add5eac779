"""SOAP at its former path; it is now in descriptors/density."""

from torchml_core.descriptors.density.soap import SOAP

__all__ = ["SOAP"]
