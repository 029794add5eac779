from torchml_core import ase as ase
from torchml_core import autograd as autograd
from torchml_core import convert as convert
from torchml_core import dataset as dataset
from torchml_core import nn as nn
from torchml_core import plots as plots
from torchml_core import testing as testing
from torchml_core import training as training
from torchml_core._memory import set_kept_memory as set_kept_memory
from torchml_core.building import extension_arguments as extension_arguments
from torchml_core.configuration import Configuration as Configuration
from torchml_core.descriptors.bispectrum import Bispectrum as Bispectrum
from torchml_core.descriptors.density import SOAP as SOAP
from torchml_core.descriptors.density import SphericalExpansion as SphericalExpansion
from torchml_core.descriptors.files import read_descriptor as read_descriptor
from torchml_core.descriptors.registry import register_descriptor as register_descriptor
from torchml_core.descriptors.symmetry_functions import (
    ElementSymmetryFunctions as ElementSymmetryFunctions,
)
from torchml_core.descriptors.symmetry_functions import SymmetryFunctions as SymmetryFunctions
from torchml_core.descriptors.symmetry_functions import read_n2p2 as read_n2p2
from torchml_core.descriptors.xi import Xi as Xi
from torchml_core.errors import ExtrapolationError as ExtrapolationError
from torchml_core.errors import ExtrapolationWarning as ExtrapolationWarning
from torchml_core.errors import FileAccessError as FileAccessError
from torchml_core.errors import FileFormatError as FileFormatError
from torchml_core.errors import InputError as InputError
from torchml_core.errors import InstallationError as InstallationError
from torchml_core.errors import MissingFileError as MissingFileError
from torchml_core.errors import ModelError as ModelError
from torchml_core.errors import ModelWarning as ModelWarning
from torchml_core.errors import TorchMLError as TorchMLError
from torchml_core.errors import UnsupportedError as UnsupportedError
from torchml_core.neighbors import NeighborWorkspace as NeighborWorkspace
from torchml_core.neighbors import neighbor_list as neighbor_list
from torchml_core.neighbors import neighbor_lists as neighbor_lists
from torchml_core.pair_terms.zbl import ZBL as ZBL
from torchml_core.portable.committee import Committee as Committee
from torchml_core.portable.committee import CommitteePrediction as CommitteePrediction
from torchml_core.portable.extrapolation import Extrapolation as Extrapolation
from torchml_core.portable.model import PortableModel as PortableModel
from torchml_core.portable.model_json import ModelCard as ModelCard
from torchml_core.portable.prediction import Prediction as Prediction
from torchml_core.portable.training_range import training_range as training_range
from torchml_core.torch_neighbors import neighbor_graph as neighbor_graph
from torchml_core.verlet import VerletList as VerletList
from torchml_core.versions import show_versions as show_versions

__version__: str
