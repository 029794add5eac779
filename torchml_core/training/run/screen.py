"""What a run prints: lines, and on a terminal a bar that moves."""

from __future__ import annotations

import contextlib
import sys
import time

EVERY = 15.0  # seconds between lines on epochs where there is no terminal
UNITS = {"energy": "meV/atom", "forces": "meV/Å", "stress": "meV/Å³"}


def in_words(errors):
    """``energy 1.2 meV/atom, forces 30 meV/Å`` of {label: error in eV...}."""
    return ", ".join(
        f"{name} {1e3 * errors[name]:.3g} {unit}"
        for name, unit in UNITS.items()
        if errors.get(name) is not None
    )


class Screen:
    """Prints to standard output; without control sequences unless that is a terminal.

    Parameters
    ----------
    quiet : bool
    began : float, optional
        Since when the time is counted, by ``time.monotonic()``. None: now.
    """

    def __init__(self, quiet=False, began=None):
        self._quiet, self._bar, self._last = quiet, None, 0.0
        self._began = time.monotonic() if began is None else began

    def say(self, text):
        """Print a line, with the time since the start."""
        if not self._quiet:
            line = f"{time.monotonic() - self._began:6.1f} s  {text}"
            if self._bar is not None:
                self._bar.console.print(line, markup=False, highlight=False, soft_wrap=True)
            else:
                print(line, flush=True)

    @contextlib.contextmanager
    def epochs(self):
        """Within, :meth:`epoch` shows how far a training is."""
        if self._quiet or not sys.stdout.isatty():
            yield
            return
        from rich.progress import BarColumn, Progress, TextColumn

        with Progress(
            TextColumn("network"), BarColumn(), TextColumn("{task.description}"), transient=True
        ) as bar:
            self._bar, self._task = bar, bar.add_task("", total=1.0)
            try:
                yield
            finally:
                self._bar = None

    def epoch(self, epoch, done):
        """Show an epoch; ``done`` is the part of the training that is over, from 0 to 1."""
        errors = in_words(epoch.validation_errors)
        text = f"epoch {epoch.number}: {errors}"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, description=text)
        elif time.monotonic() - self._last > EVERY:
            self._last = time.monotonic()
            self.say(f"{text} on validation structures")
