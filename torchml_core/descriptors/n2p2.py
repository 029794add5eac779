"""read_n2p2 at its former path; it is now in descriptors/symmetry_functions."""

from torchml_core.descriptors.symmetry_functions.n2p2 import read_n2p2

__all__ = ["read_n2p2"]
