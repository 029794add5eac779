"""Potentials of other programs as portable models."""

from torchml_core.convert.n2p2_potential import n2p2 as n2p2

__all__ = ["n2p2"]
