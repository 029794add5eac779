"""Potentials of other programs as portable models, and back."""

from torchml_core.convert.n2p2_potential import n2p2 as n2p2
from torchml_core.convert.snap import snap as snap
from torchml_core.convert.snap_writer import to_snap as to_snap

__all__ = ["n2p2", "snap", "to_snap"]
