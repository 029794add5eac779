"""Runs comparisons, a case at a time."""

from __future__ import annotations

import functools
import statistics
from typing import TYPE_CHECKING

from torchml_core.bench.bispectrum import BISPECTRUM
from torchml_core.bench.lists import LISTS
from torchml_core.bench.peers import installed
from torchml_core.bench.soap import SOAP, SOAP_GRADIENTS
from torchml_core.bench.symmetry_functions import SYMMETRY_FUNCTIONS
from torchml_core.bench.table import Table
from torchml_core.bench.turns import FULL, QUICK, in_turns, timed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torchml_core.bench.comparison import Case, Comparison, Program
    from torchml_core.bench.result import Result
    from torchml_core.bench.turns import Effort

COMPARISONS = {c.name: c for c in (LISTS, SYMMETRY_FUNCTIONS, SOAP, SOAP_GRADIENTS, BISPECTRUM)}


def run(
    result: Result, comparisons: Iterable[Comparison], *, quick: bool, n_threads: int
) -> Iterator[tuple[str, int, int]]:
    """Measure, and add to a result, what can be measured here.

    Parameters
    ----------
    result : Result
    comparisons : iterable of Comparison
    quick : bool
        Fewer cases and turns.
    n_threads : int

    Yields
    ------
    (comparison, done, total)
        Before the first and after each case, when the result is complete so far.
    """
    for comparison in comparisons:
        cases = {name: c for name, c in comparison.cases.items() if c.quick or not quick}
        if not cases:
            continue
        table = Table(
            comparison.name,
            comparison.unit,
            higher_is_better=True,
            title=comparison.title,
            first=comparison.first,
            text=comparison.text,
        )
        yield comparison.title, 0, len(cases)
        for done, (name, case) in enumerate(cases.items(), 1):
            measure(table, name, case, QUICK if quick else FULL, n_threads)
            result.tables[comparison.name] = table
            yield comparison.title, done, len(cases)


def measure(table: Table, row: str, case: Case, effort: Effort, n_threads: int) -> None:
    """Add a row: check what each program computes, then measure all in turns."""
    amount, programs = case.make(n_threads)
    if table.unit.startswith("M"):
        amount /= 1e6
    usable = [p for p in programs if not p.peer or (installed(p.peer) and _works(table, row, p))]
    timers = {p.name: p.seconds or functools.partial(timed, p.run) for p in usable}
    for name, found in in_turns(timers, effort).items():
        clock = statistics.median(x.clock for x in found)
        times = [x.processor if n_threads == 1 else x.clock for x in found]
        low, middle, high = statistics.quantiles(times, n=4)
        table.add(row, {name: amount / middle})
        table.spread.setdefault(row, {})[name] = [amount / high, amount / low]
        table.by_clock.setdefault(row, {})[name] = amount / clock
    for p in usable:
        if p.note:
            table.notes[p.name] = p.note
        if p.against:
            table.against[p.name] = p.against


def _works(table: Table, row: str, program: Program) -> bool:
    """Whether a program of another package can be run; notes how far its results are from ours."""
    try:
        if program.check is None:
            program.run()
        else:
            table.add_agreement(row, program.name, program.check())
    except Exception as error:  # another package may raise anything
        message = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        table.failed.setdefault(row, {})[program.name] = message
        return False
    return True
