"""Training sets: structures with energies, forces and stresses, and their neighbor lists."""

from torchml_core.dataset.combined import combined as combined
from torchml_core.dataset.dataset import Dataset as Dataset
from torchml_core.dataset.example import Example as Example

__all__ = ["Dataset", "Example", "combined"]
