"""Fits of models to data sets."""

from torchml_core.training.linear import LinearFit as LinearFit
from torchml_core.training.linear import fit_linear as fit_linear

__all__ = ["LinearFit", "fit_linear"]
