"""Fits of models to data sets."""

from torchml_core.training.callbacks import CSVFile as CSVFile
from torchml_core.training.callbacks import TensorBoard as TensorBoard
from torchml_core.training.choose.descriptor import choose_descriptor as choose_descriptor
from torchml_core.training.choose.functions import select_functions as select_functions
from torchml_core.training.committees import committee as committee
from torchml_core.training.epochs import Epoch as Epoch
from torchml_core.training.linear import LinearFit as LinearFit
from torchml_core.training.linear import fit_linear as fit_linear
from torchml_core.training.second_order import KalmanFilter as KalmanFilter
from torchml_core.training.second_order import LevenbergMarquardt as LevenbergMarquardt
from torchml_core.training.trainer import Trainer as Trainer

__all__ = [
    "CSVFile",
    "Epoch",
    "KalmanFilter",
    "LevenbergMarquardt",
    "LinearFit",
    "TensorBoard",
    "Trainer",
    "choose_descriptor",
    "committee",
    "fit_linear",
    "select_functions",
]
