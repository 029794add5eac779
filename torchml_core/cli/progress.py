"""A progress bar on stderr; nothing is shown if stderr is not a terminal."""

import sys

from torchml_core.structure_files.structures import count_structures


def track(items, sources):
    """Yield items; on a terminal show how many have been done, and how many there are."""
    if not sys.stderr.isatty():
        yield from items
        return
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
        TextColumn("evaluating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    # transient: the bar goes when the work is done, the results stay
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=count_structures(sources))
        for item in items:
            yield item
            progress.advance(task)
