"""What became faster or slower between two results, cell by cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torchml_core import markdown
from torchml_core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torchml_core.bench.result import Result
    from torchml_core.bench.table import Table


class Change(NamedTuple):
    """A cell of two tables.

    Attributes
    ----------
    table, row, column, unit : str
    old, new : float
    ratio : float
        Times as fast as before.
    ours : bool
        Whether it is not the figure of another package.
    clear : bool
        Whether the middle halves of the turns do not overlap; True where turns are not known.
    """

    table: str
    row: str
    column: str
    unit: str
    old: float
    new: float
    ratio: float
    ours: bool
    clear: bool


def changes(old: Result, new: Result) -> list[Change]:
    """Return all cells that both results have.

    Raises
    ------
    InputError
        If there are none, or tables of the same name have other units.
    """
    found: list[Change] = []
    for name in old.tables.keys() & new.tables.keys():
        found += _of_table(old.tables[name], new.tables[name])
    if not found:
        names = " and ".join(", ".join(result.tables) or "none" for result in (old, new))
        raise InputError(f"the results have no figure in common: their tables are {names}")
    return found


def _of_table(old: Table, new: Table) -> Iterator[Change]:
    if (old.unit, old.higher_is_better) != (new.unit, new.higher_is_better):
        raise InputError(f"{old.name}: the units are {old.unit} and {new.unit}; one is needed")
    for row, own in new.rows.items():
        for column, after in own.items():
            before = old.rows.get(row, {}).get(column)
            if before and after:
                ratio = after / before if new.higher_is_better else before / after
                ours = column not in new.against
                spreads = [t.spread.get(row, {}).get(column) for t in (old, new)]
                clear = None in spreads or not _overlap(*spreads)
                yield Change(new.name, row, column, new.unit, before, after, ratio, ours, clear)


def _overlap(one, other):
    return max(one[0], other[0]) <= min(one[1], other[1])


def facts_that_differ(old: Result, new: Result) -> Iterator[str]:
    """Yield a line for each thing that is not the same, by which figures may differ."""
    yield f"date: {old.date} -> {new.date}"
    yield f"commit: {old.commit} -> {new.commit}"
    for name in ("machine", "versions", "settings"):
        one, other = getattr(old, name), getattr(new, name)
        for key in {**one, **other}:
            if one.get(key) != other.get(key):
                yield f"{key}: {one.get(key)} -> {other.get(key)}"
    for here, there, word in ((old, new, "old"), (new, old, "new")):
        only = [name for name in here.tables if name not in there.tables]
        if only:
            yield f"only in the {word} result: {', '.join(only)}"


def ratios_as_markdown(found: list[Change]) -> str:
    """Return one table for each of the results' tables: how many times as fast as before."""
    parts = []
    for name in dict.fromkeys(change.table for change in found):
        own = {(c.row, c.column): c.ratio for c in found if c.table == name}
        columns = list(dict.fromkeys(column for _, column in own))
        lines = []
        for row in dict.fromkeys(row for row, _ in own):
            cells = [own.get((row, column)) for column in columns]
            lines.append([row, *("" if ratio is None else f"{ratio:.2f}" for ratio in cells)])
        parts.append(markdown.table([f"{name}: times as fast", *columns], lines).rstrip())
    return "\n\n".join(parts)
