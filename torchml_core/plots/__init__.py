"""Pictures of descriptors and data sets, which need matplotlib."""

from torchml_core.plots.curves import angle_curves, distance_curves
from torchml_core.plots.maps import neighbor_histogram, principal_map
from torchml_core.plots.pictures import (
    draw_distributions,
    draw_functions,
    draw_map,
    draw_neighbors,
)

__all__ = [
    "angle_curves",
    "distance_curves",
    "draw_distributions",
    "draw_functions",
    "draw_map",
    "draw_neighbors",
    "neighbor_histogram",
    "principal_map",
]
