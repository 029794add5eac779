"""A progress bar on stderr; nothing is shown if stderr is not a terminal."""

import sys

from torchml_core.structure_files.structures import count_structures


def track(items, sources):
    """Yield items; on a terminal show how many have been done, and how many there are."""
    if not sys.stderr.isatty():
        yield from items
        return
    with _bar() as progress:
        task = progress.add_task("evaluating", total=count_structures(sources))
        for item in items:
            yield item
            progress.advance(task)


class Stages:
    """Progress of work in several stages: ``stages(what, done, total)``, one bar after another."""

    def __enter__(self):
        self._bar = _bar() if sys.stderr.isatty() else None
        self._tasks = {}
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_):
        if self._bar:
            self._bar.stop()

    def __call__(self, what, done, total):
        if not self._bar:
            return
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=total)
        self._bar.update(self._tasks[what], completed=done, total=total)


def _bar():
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # transient: the bar goes when the work is done, the results stay
    return Progress(*columns, console=Console(stderr=True), transient=True)
