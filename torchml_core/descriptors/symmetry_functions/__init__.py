"""Behler-Parrinello symmetry functions, of all elements together or with a list for each."""

from torchml_core.descriptors.symmetry_functions.element_symmetry_functions import (
    ElementSymmetryFunctions,
)
from torchml_core.descriptors.symmetry_functions.functions import (
    CompactFunction,
    Function,
)
from torchml_core.descriptors.symmetry_functions.n2p2 import read_n2p2
from torchml_core.descriptors.symmetry_functions.symmetry_functions import SymmetryFunctions

__all__ = [
    "CompactFunction",
    "ElementSymmetryFunctions",
    "Function",
    "SymmetryFunctions",
    "read_n2p2",
]
