"""Parity plots: predicted against reference values, one panel per quantity."""

import numpy as np

from torchml_core.cli.comparison import UNITS

AXIS_UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}


def write_parity_plot(comparison, path):
    """Draw the values that a Comparison kept and write the picture to a file."""
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    values = {name: pairs for name, pairs in comparison.values.items() if pairs}
    figure = Figure(figsize=(4.6 * len(values), 4.6), layout="constrained")
    for axes, (name, pairs) in zip(
        figure.subplots(1, len(values), squeeze=False)[0], values.items(), strict=True
    ):
        reference, predicted = (np.concatenate(column) for column in zip(*pairs, strict=True))
        _draw_panel(axes, name, reference, predicted, comparison.errors[name])
    figure.savefig(path, dpi=200)


def _draw_panel(axes, name, reference, predicted, errors):
    unit, factor = UNITS[name]
    lowest = min(reference.min(), predicted.min())
    highest = max(reference.max(), predicted.max())
    margin = 0.03 * (highest - lowest) or 1e-3
    limits = (lowest - margin, highest + margin)
    axes.plot(limits, limits, color="0.6", linewidth=1, zorder=1)
    # rasterized: a million force components would make a vector graphic unusable
    axes.plot(reference, predicted, ".", markersize=2.5, alpha=0.5, rasterized=True)
    axes.set(
        xlim=limits,
        ylim=limits,
        aspect="equal",
        title=f"{name}: MAE {factor * errors.mae:.3g}, RMSE {factor * errors.rmse:.3g} {unit}",
        xlabel=f"reference [{AXIS_UNITS[name]}]",
        ylabel=f"predicted [{AXIS_UNITS[name]}]",
    )
