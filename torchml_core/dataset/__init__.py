"""Training sets: structures with energies, forces and stresses, and their neighbor lists."""

from torchml_core.dataset.combined import combined as combined
from torchml_core.dataset.dataset import Dataset as Dataset
from torchml_core.dataset.example import Example as Example
from torchml_core.dataset.feature_file import FeatureFile as FeatureFile
from torchml_core.dataset.feature_run import featurize as featurize
from torchml_core.dataset.findings import Finding as Finding
from torchml_core.dataset.findings import look_at as look_at
from torchml_core.dataset.selection import farthest_points as farthest_points

__all__ = [
    "Dataset",
    "Example",
    "FeatureFile",
    "Finding",
    "combined",
    "farthest_points",
    "featurize",
    "look_at",
]
