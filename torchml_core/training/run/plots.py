"""Pictures of a report; none where matplotlib is not installed."""

from __future__ import annotations

import importlib.util

import numpy as np

UNITS = {"energy": "eV/atom", "forces": "eV/Å", "stress": "eV/Å³"}
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
    from matplotlib.figure import Figure  # not pyplot: no display, no global state

    labels = [x for x in UNITS if any(x in own.pairs for own in errors.values())]
    figure = Figure(figsize=(4.6 * len(labels), 4.6), layout="constrained")
    for axes, label in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels, strict=True):
        shown = {name: own.pairs[label] for name, own in errors.items() if label in own.pairs}
        every = np.concatenate([x for pair in shown.values() for x in pair])
        limits = float(every.min()), float(every.max())
        axes.plot(limits, limits, color="0.5", linewidth=1)
        for name, (reference, predicted) in shown.items():
            step = max(1, len(reference) // MOST_POINTS)
            axes.plot(
                reference[::step], predicted[::step], ".", markersize=2.5, alpha=0.5,
                color=SETS[name], label=name,
            )  # fmt: skip
        axes.set(
            title=label,
            xlabel=f"reference [{UNITS[label]}]",
            ylabel=f"predicted [{UNITS[label]}]",
        )
        axes.legend(markerscale=4)
    figure.savefig(path, dpi=150)


def _learning_curve(history, path):
    from matplotlib.figure import Figure

    labels = [x for x in UNITS if x in history[0]["errors"]]
    figure = Figure(figsize=(4.6 * len(labels), 3.6), layout="constrained")
    for axes, label in zip(figure.subplots(1, len(labels), squeeze=False)[0], labels, strict=True):
        for key, name in (("errors", "train"), ("validation_errors", "validation")):
            known = [(k + 1, e[key][label]) for k, e in enumerate(history) if label in e[key]]
            if known:
                axes.plot(*zip(*known, strict=True), color=SETS[name], label=name)
        axes.set(title=label, xlabel="epoch", ylabel=f"rms error [{UNITS[label]}]", yscale="log")
        axes.legend()
    figure.savefig(path, dpi=150)
