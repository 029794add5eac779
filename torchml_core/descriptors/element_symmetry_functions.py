"""ElementSymmetryFunctions at its former path; it is now in descriptors/symmetry_functions."""

from torchml_core.descriptors.symmetry_functions.element_symmetry_functions import (
    ElementSymmetryFunctions,
)
from torchml_core.descriptors.symmetry_functions.functions import Function

__all__ = ["ElementSymmetryFunctions", "Function"]
