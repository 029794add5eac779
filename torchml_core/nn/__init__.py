"""Networks on descriptors. Importing this package imports torch."""

from torchml_core.nn.element_networks import ElementNetworks as ElementNetworks

__all__ = ["ElementNetworks"]
