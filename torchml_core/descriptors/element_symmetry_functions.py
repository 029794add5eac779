"""ElementSymmetryFunctions, by the path that it had before it moved to symmetry_functions."""

from torchml_core.descriptors.symmetry_functions.element_symmetry_functions import (
    ElementSymmetryFunctions,
)
from torchml_core.descriptors.symmetry_functions.functions import Function

__all__ = ["ElementSymmetryFunctions", "Function"]
