"""Pictures of a report; none where matplotlib is not installed."""

from __future__ import annotations

import importlib.util

from torchml_core.plots.parity import AXIS_UNITS, SIZE, draw_parity
from torchml_core.plots.pictures import panels

MOST_POINTS = 20_000
SETS = {"train": "0.7", "validation": "C0", "test": "C3"}


def write(run, finished):
    """Draw the pictures; return (title, file name) of each."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    made = [("predicted against reference values", "parity.png")]
    _parity(finished.errors, run.folder.path / "parity.png")
    history = [e for fits in run.members for e in _history(run, fits)]
    if len(history) > 1:
        made.append(("errors of the network by epoch", "learning_curve.png"))
        _learning_curve(history, run.folder.path / "learning_curve.png")
    return made


def _history(run, fits):
    for candidate in fits.candidates:
        yield from candidate.facts.get("history", ())


def _parity(errors, path):
    labels = [x for x in AXIS_UNITS if any(x in own.pairs for own in errors.values())]
    figure, (row,) = panels(1, len(labels), SIZE)
    for axes, label in zip(row, labels, strict=True):
        sets = []
        for name, own in errors.items():
            if label in own.pairs:
                reference, predicted = own.pairs[label]
                step = max(1, len(reference) // MOST_POINTS)
                style = {"color": SETS[name], "label": name}
                sets.append((reference[::step], predicted[::step], style))
        draw_parity(axes, label, sets, label)
        axes.legend(markerscale=4)
    figure.savefig(path, dpi=150)


def _learning_curve(history, path):
    labels = [x for x in AXIS_UNITS if x in history[0]["errors"]]
    figure, (row,) = panels(1, len(labels), (4.6, 3.6))
    for axes, label in zip(row, labels, strict=True):
        for key, name in (("errors", "train"), ("validation_errors", "validation")):
            known = [(k + 1, e[key][label]) for k, e in enumerate(history) if label in e[key]]
            if known:
                axes.plot(*zip(*known, strict=True), color=SETS[name], label=name)
        axes.set(
            title=label, xlabel="epoch", ylabel=f"rms error [{AXIS_UNITS[label]}]", yscale="log"
        )
        axes.legend()
    figure.savefig(path, dpi=150)
