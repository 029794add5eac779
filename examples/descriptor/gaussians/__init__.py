"""An example of a descriptor: see "Add a descriptor" in CONTRIBUTING.md."""

from .gaussians import Gaussians

__all__ = ["Gaussians"]
