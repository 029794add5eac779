"""SOAP, by the path that it had before it moved to descriptors/density."""

from torchml_core.descriptors.density.soap import SOAP

__all__ = ["SOAP"]
