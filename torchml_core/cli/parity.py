"""Parity plots: predicted against reference values, one panel per quantity."""

import numpy as np

from torchml_core.cli.comparison import UNITS
from torchml_core.plots.parity import SIZE, draw_parity
from torchml_core.plots.pictures import panels


def write_parity_plot(comparison, path):
    """Draw the values that a Comparison kept and write the picture to a file."""
    values = {name: pairs for name, pairs in comparison.values.items() if pairs}
    figure, (row,) = panels(1, len(values), SIZE)
    for axes, (name, pairs) in zip(row, values.items(), strict=True):
        reference, predicted = (np.concatenate(column) for column in zip(*pairs, strict=True))
        unit, factor = UNITS[name]
        errors = comparison.errors[name]
        title = f"{name}: MAE {factor * errors.mae:.3g}, RMSE {factor * errors.rmse:.3g} {unit}"
        draw_parity(axes, name, [(reference, predicted, {})], title)
    figure.savefig(path, dpi=200)
