"""The drawings. matplotlib is used without pyplot: no display, no global state."""

from __future__ import annotations

from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import files
from torchml_core.errors import InputError, UnsupportedError
from torchml_core.plots.curves import angle_curves, distance_curves
from torchml_core.plots.maps import neighbor_histogram, principal_map

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import ase
    from matplotlib.figure import Figure

    from torchml_core.annotations import Doubles, PathLike
    from torchml_core.descriptors.base import Descriptor

PANEL = (4.4, 3.2)  # inches
MOST_PANELS = 6  # of distances, and of angles
MOST_DISTRIBUTIONS = 24


def check_picture_file(option: str, path: PathLike) -> None:
    """Raise an error before the work, not after it, if a picture cannot be drawn or written."""
    try:
        from matplotlib.backend_bases import FigureCanvasBase
    except ImportError as error:
        raise UnsupportedError(
            f"{option} needs matplotlib: pip install torchml_core[plots]"
        ) from error
    path = Path(path)
    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix[1:].lower() not in kinds:
        raise InputError(f"{option} {path}: its name must end in one of .{', .'.join(kinds)}")
    files.require_place(option, path)


def draw_functions(
    descriptor: Descriptor, elements: Sequence[str] | None = None, distance: float | None = None
) -> Figure:
    """Draw the values of an atom with one neighbor over distance, and with two over the angle.

    Parameters
    ----------
    descriptor : Descriptor
    elements : sequence of str, optional
        Those of center and neighbors; at most six panels are drawn of distances and of angles.
        None: those of the descriptor, or hydrogen if it has none.
    distance : float, optional
        Of the two neighbors from the center, in Å. None: half of the cutoff.

    Returns
    -------
    matplotlib.figure.Figure
    """
    elements = list(elements or descriptor.species or ["H"])
    distance = descriptor.cutoff / 2 if distance is None else distance
    pairs = [(a, b) for a in elements for b in elements][:MOST_PANELS]
    triples = [(a, pair) for a in elements for pair in combinations_with_replacement(elements, 2)][
        :MOST_PANELS
    ]
    figure, grid = panels(2, max(len(pairs), len(triples)))
    for axes, (a, b) in zip(grid[0], pairs, strict=False):
        _draw_curves(axes, *distance_curves(descriptor, a, b))
        axes.set(title=f"{a} with one neighbor {b}", xlabel="distance [Å]", ylabel="value")
    for axes, (a, (b, c)) in zip(grid[1], triples, strict=False):
        _draw_curves(axes, *angle_curves(descriptor, a, (b, c), distance))
        title = f"{a} with neighbors {b} and {c} at {distance:.3g} Å"
        axes.set(title=title, xlabel="angle [°]", ylabel="value")
    _hide_empty(grid, (len(pairs), len(triples)))
    return figure


def draw_map(values: Doubles, colors: Sequence[object], label: str) -> Figure:
    """Draw rows on their two principal axes, see :func:`principal_map`.

    Parameters
    ----------
    values : (n, width) float64
    colors : sequence
        Of n numbers, for a color bar, or of n names, for a legend.
    label : str
        What the colors are.

    Returns
    -------
    matplotlib.figure.Figure
    """
    places, fractions = principal_map(values)
    figure, ((axes,),) = panels(1, 1, (5.6, 4.6))
    colors_ = np.asarray(colors)
    style = {"s": 6, "alpha": 0.6, "linewidths": 0, "rasterized": True}
    if colors_.dtype.kind in "fiu":
        drawn = axes.scatter(*places.T, c=colors_, cmap="viridis", **style)
        figure.colorbar(drawn, ax=axes, label=label)
    else:
        for name in dict.fromkeys(colors_.tolist()):
            chosen = colors_ == name
            axes.scatter(*places[chosen].T, label=str(name), **style)
        axes.legend(title=label, markerscale=2)
    axes.set(
        xlabel=f"principal axis 1 ({fractions[0]:.0%} of the variance)",
        ylabel=f"principal axis 2 ({fractions[1]:.0%})",
    )
    return figure


def draw_distributions(
    values: Doubles, labels: Sequence[str], limits: tuple[Doubles, Doubles] | None = None
) -> Figure:
    """Draw a histogram of each component, with the limits of the training range.

    Parameters
    ----------
    values : (n, width) float64
        Of the atoms of one element.
    labels : sequence of str
        Of the components. If there are many, 24 of them, at equal intervals, are drawn.
    limits : (min, max) of (width,) float64, optional
        The training range.

    Returns
    -------
    matplotlib.figure.Figure
    """
    width = values.shape[1]
    chosen = np.unique(
        np.linspace(0, width - 1, min(width, MOST_DISTRIBUTIONS)).round().astype(int)
    )
    columns = min(6, len(chosen))
    figure, grid = panels(-(-len(chosen) // columns), columns, (2.4, 1.9))
    for axes, k in zip(grid.ravel(), chosen, strict=False):
        axes.hist(values[:, k], bins=50)
        if limits is not None:
            for limit in (limits[0][k], limits[1][k]):
                axes.axvline(limit, color="C3", linewidth=1)
        axes.set_title(labels[k], fontsize=6)
        axes.tick_params(labelsize=6)
        axes.set_yticks([])
    for axes in grid.ravel()[len(chosen) :]:
        axes.set_visible(False)
    return figure


def draw_neighbors(structures: Iterable[ase.Atoms], cutoff: float) -> Figure:
    """Draw how many neighbors an atom has at each distance, by pair of elements.

    Parameters
    ----------
    structures : iterable of ase.Atoms
    cutoff : float
        In Å.

    Returns
    -------
    matplotlib.figure.Figure
    """
    edges, counts = neighbor_histogram(structures, cutoff)
    figure, ((axes,),) = panels(1, 1, (6.4, 4.0))
    for (a, b), count in counts.items():
        axes.stairs(count / np.diff(edges), edges, label=f"{b} around {a}")
    axes.set(xlabel="distance [Å]", ylabel="neighbors per atom and Å", xlim=(0, cutoff))
    axes.legend(fontsize=8)
    return figure


def panels(rows, columns, size=PANEL):
    """Return a figure and its panels, (rows, columns), of a size in inches each."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


def _draw_curves(axes, x, values):
    """One line for each component that is not constant, in the order of components."""
    import matplotlib

    changing = np.flatnonzero(np.ptp(values, axis=0) > 1e-12)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 1, values.shape[1]))
    for k in changing:
        axes.plot(x, values[:, k], color=colors[k], linewidth=0.9)


def _hide_empty(grid, used):
    for row, n in zip(grid, used, strict=True):
        for axes in row[n:]:
            axes.set_visible(False)
