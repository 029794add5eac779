"""Descriptors, neighbor lists and portable models for atomistic simulation."""

import importlib

from torchml_core import _compiled  # noqa: F401  (first: it says why others cannot be imported)
from torchml_core.descriptors.registry import MODULES as _DESCRIPTORS

# Each public name and the module that it comes from, loaded when the name is first used:
# neighbor lists and descriptors are there at once, torch only when a model is.
_HOME = {
    "Committee": "portable.committee",
    "CommitteePrediction": "portable.committee",
    "Configuration": "configuration",
    "Extrapolation": "portable.extrapolation",
    "ExtrapolationError": "errors",
    "ExtrapolationWarning": "errors",
    "FileAccessError": "errors",
    "FileFormatError": "errors",
    "InputError": "errors",
    "InstallationError": "errors",
    "MissingFileError": "errors",
    "ModelCard": "portable.model_json",
    "ModelError": "errors",
    "ModelWarning": "errors",
    "NeighborWorkspace": "neighbors",
    "PortableModel": "portable.model",
    "Prediction": "portable.prediction",
    "TorchMLError": "errors",
    "UnsupportedError": "errors",
    "VerletList": "verlet",
    "extension_arguments": "building",
    "neighbor_graph": "torch_neighbors",
    "neighbor_list": "neighbors",
    "neighbor_lists": "neighbors",
    "read_descriptor": "descriptors.files",
    "read_n2p2": "descriptors.symmetry_functions",
    "register_descriptor": "descriptors.registry",
    "set_kept_memory": "_memory",
    "show_versions": "versions",
    "training_range": "portable.training_range",
}
_HOME |= _DESCRIPTORS
_MODULES = ("ase", "autograd", "convert", "dataset", "nn", "plots", "testing", "training")

__version__ = "0.1.0"
__all__ = [*_HOME, *_MODULES]


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module(f"torchml_core.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'torchml_core' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"torchml_core.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *__all__})
