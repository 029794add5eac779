"""Potentials of other programs as portable models, and back."""

from torchml_core.convert.snap import snap as snap
from torchml_core.convert.snap_writer import to_snap as to_snap

__all__ = ["snap", "to_snap"]
