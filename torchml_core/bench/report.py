"""A result as a page of Markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from torchml_core.bench.peers import ONE_THREAD

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from torchml_core.bench.result import Result
    from torchml_core.bench.table import Table

ELSEWHERE = (
    "Not among these comparisons, because pip cannot install them: n2p2 and our driver in LAMMPS"
    " (`benchmarks/lammps_table.py` of the source code), libdescriptor (docs/xi.md)."
)


def report(result: Result, pictures: Collection[str] = (), *, title: bool = True) -> str:
    """Return the report.

    Parameters
    ----------
    result : Result
    pictures : collection of str
        Names of the tables that have a picture, ``NAME.png``, beside the report.
    title : bool
        Whether it has one. Without, it is part of a section, and headings are one level deeper.
    """
    lines = []
    if title:
        lines += [f"# Benchmarks of torchml_core {result.versions['torchml_core']}", ""]
    lines += [*_facts(result), ""]
    for name, table in result.tables.items():
        lines += [*_section(table, name in pictures, "##" if title else "###"), ""]
    lines += [*_missing(result), ELSEWHERE, ""]
    return "\n".join(lines)


def _facts(result: Result) -> Iterator[str]:
    threads = result.settings.get("threads", 1)
    how = f"{threads} thread{'s' if threads != 1 else ''}"
    if threads != 1:
        how += f" (always one: {', '.join(ONE_THREAD)})"
    if result.settings.get("quick"):
        how += ", quick: few cases and turns, so figures vary more"
    if not result.settings.get("finished"):
        how += ", **interrupted**: what follows was finished"
    facts = {"date": result.date, "commit": result.commit or "unknown", "measured with": how}
    facts |= result.machine
    facts["versions"] = ", ".join(f"{name} {value}" for name, value in result.versions.items())
    yield "| | |"
    yield "|---|---|"
    for name, value in facts.items():
        yield f"| {name} | {value} |"
    yield ""
    kind = "processor" if threads == 1 else "clock"
    yield (
        f"All programs of a row run in one process, in turns; figures are medians of {kind} times."
        " In parentheses: how many times as fast ours is as the other package, for the same work."
    )
    yield from _quality(result)
    wrong = [(t.title, *found) for t in result.tables.values() for found in t.disagreements()]
    for title, row, column, what in wrong:
        yield ""
        yield f"**{title}, {row}, {column}: {what}.**"


def _quality(result: Result) -> Iterator[str]:
    """How sure the figures are."""
    cells = [
        (number, table.spread[row][column], table.by_clock[row][column])
        for table in result.tables.values()
        for row, own in table.rows.items()
        for column, number in own.items()
        if column in table.spread.get(row, {}) and column in table.by_clock.get(row, {})
    ]
    if cells:
        widths = [(high - low) / number for number, (low, high), _ in cells]
        yield (
            f"The middle half of the turns is {statistics.median(widths):.0%} of a figure wide (the"
            f" median of all figures; at most {max(widths):.0%})."
        )
        if result.settings.get("threads") == 1:
            clock = statistics.median(by_clock / number for number, _, by_clock in cells)
            yield (
                "By the clock, which also counts what else the machine did, speeds were"
                f" {clock:.0%} of these (median)."
            )


def _section(table: Table, has_picture: bool, heading: str) -> Iterator[str]:
    yield f"{heading} {table.title}"
    yield ""
    if table.text:
        yield table.text
        yield ""
    yield table.markdown() if not table.first else _with_unit(table)
    yield ""
    for column, note in table.notes.items():
        yield f"- {column}: {note}."
    yield from _agreement(table)
    for row, own in table.failed.items():
        for column, message in own.items():
            yield f"- {row}, {column}: could not be run: {message}"
    if has_picture:
        yield ""
        yield f"![{table.title}]({table.name}.png)"


def _with_unit(table):
    head, rest = table.markdown().split("\n", 1)
    return f"{head.replace(f'| {table.first} |', f'| {table.first}: {table.unit} |', 1)}\n{rest}"


def _agreement(table: Table) -> Iterator[str]:
    """A line for each program: how far its results are from ours, in all rows."""
    found: dict[str, list] = {}
    for own in table.agreement.values():
        for column, checked in own.items():
            found.setdefault(column, []).append(checked)
    for column, checks in found.items():
        what = checks[0][0]
        if any(difference is None for _, difference, _ in checks):
            yield f"- {column}: **{what} differ from ours**."
            continue
        largest = max(difference for _, difference, _ in checks)
        wrong = any(difference > allowed for _, difference, allowed in checks)
        word = "**differ from ours**" if wrong else "agree with ours"
        size = "exactly" if largest == 0 else f"to {largest:.0e}"
        yield f"- {column}: {what} {word} {size}."


def _missing(result: Result) -> Iterator[str]:
    if result.missing:
        yield (
            f"Not installed: {', '.join(result.missing)}. `pip install"
            f" {' '.join(result.missing.values())}` adds them, `pip install"
            ' "torchml_core[peers]"` all that are compared.'
        )
        yield ""
