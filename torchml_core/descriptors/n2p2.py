"""read_n2p2, by the path that it had before it moved to symmetry_functions."""

from torchml_core.descriptors.symmetry_functions.n2p2 import read_n2p2

__all__ = ["read_n2p2"]
