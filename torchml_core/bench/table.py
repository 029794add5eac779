"""A table of speeds or times: what is stored, and what Markdown shows of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torchml_core import markdown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torchml_core.bench.comparison import Agreement

# What a table has besides its rows, and of which type.
PARTS = {
    "title": str,
    "unit": str,
    "first": str,
    "text": str,
    "higher_is_better": bool,
    "spread": dict,
    "by_clock": dict,
    "against": dict,
    "agreement": dict,
    "notes": dict,
    "failed": dict,
}


class Table:
    """Numbers in rows and columns.

    Parameters
    ----------
    name : str
        By which tables of two results are recognized as the same.
    unit : str
        Of all numbers.
    higher_is_better : bool
    title, first, text : str
        A heading, the title of the column of names, and what should be said of the numbers.

    Attributes
    ----------
    rows : dict
        {row: {column: number}}
    spread : dict
        {row: {column: [low, high]}}: between them are the middle half of what was measured.
    by_clock : dict
        {row: {column: number}}: by clock time, where numbers are by time of the processor.
    against : dict
        {column: column of ours with which it is compared}
    agreement : dict
        {row: {column: [what, difference or None, allowed]}}: how far results were from ours; None:
        they could not be compared number by number, because there are others.
    notes : dict
        {column: remark}
    failed : dict
        {row: {column: message}}: programs that could not be run.
    """

    def __init__(
        self,
        name: str,
        unit: str,
        *,
        higher_is_better: bool,
        title: str = "",
        first: str = "",
        text: str = "",
    ) -> None:
        self.name, self.unit, self.higher_is_better = name, unit, higher_is_better
        self.title, self.first, self.text = title or name, first, text
        self.rows: dict[str, dict[str, float]] = {}
        self.spread: dict[str, dict[str, list[float]]] = {}
        self.by_clock: dict[str, dict[str, float]] = {}
        self.against: dict[str, str] = {}
        self.agreement: dict[str, dict[str, list[Any]]] = {}
        self.notes: dict[str, str] = {}
        self.failed: dict[str, dict[str, str]] = {}

    def add(self, row: object, numbers: Mapping[Any, float | None]) -> None:
        """Add numbers, a dict by column, to a row; None: there is none."""
        own = self.rows.setdefault(str(row), {})
        own.update({str(column): float(x) for column, x in numbers.items() if x is not None})

    def add_agreement(self, row: str, column: str, found: Agreement) -> None:
        """Add how far the results of a column are from ours."""
        difference = found.difference if found.difference < float("inf") else None
        self.agreement.setdefault(row, {})[column] = [found.what, difference, found.allowed]

    def disagreements(self) -> list[tuple[str, str, str]]:
        """Return (row, column, what is wrong) of results that are not ours."""
        found = []
        for row, own in self.agreement.items():
            for column, (what, difference, allowed) in own.items():
                if difference is None:
                    found.append((row, column, f"{what} differ"))
                elif difference > allowed:
                    wrong = f"{what} differ by {difference:.1e}, more than {allowed:.0e}"
                    found.append((row, column, wrong))
        return found

    def columns(self) -> list[str]:
        return list(dict.fromkeys(column for own in self.rows.values() for column in own))

    def ratio(self, row: str, column: str) -> float | None:
        """Return how many times as fast ours is as a column of another package."""
        own, ours = self.rows[row], self.against.get(column)
        if ours not in own or column not in own or not own[column] or not own[ours]:
            return None
        ratio = own[ours] / own[column]
        return ratio if self.higher_is_better else 1 / ratio

    def markdown(self, rows: Iterable[str] | None = None) -> str:
        """Return a table of these rows, all by default; ratios are in parentheses."""
        chosen = list(self.rows if rows is None else rows)
        columns = [c for c in self.columns() if any(c in self.rows[row] for row in chosen)]
        lines = [[row, *(self._cell(row, column) for column in columns)] for row in chosen]
        return markdown.table([self.first or self.unit, *columns], lines).rstrip()

    def _cell(self, row, column):
        if column not in self.rows[row]:
            return ""
        ratio = self.ratio(row, column)
        text = shown(self.rows[row][column])
        if ratio is None:
            return text
        return f"{text} ({ratio:.0f}×)" if ratio >= 10 else f"{text} ({ratio:.2g}×)"

    def stored(self) -> dict[str, Any]:
        """Return what is stored as JSON."""
        return {"rows": self.rows} | {name: getattr(self, name) for name in PARTS}

    @classmethod
    def restored(cls, name: str, stored: Mapping[str, Any]) -> Table:
        """Return the table that was stored; ValueError if it is none."""
        if not isinstance(stored, dict) or stored.keys() != {"rows", *PARTS}:
            raise ValueError(f"{', '.join(['rows', *PARTS])} are needed")
        for part, kind in {"rows": dict, **PARTS}.items():
            if not isinstance(stored[part], kind):
                raise ValueError(f"{part} is needed as {kind.__name__}")
        if not all(
            isinstance(own, dict) and all(type(x) in (int, float) for x in own.values())
            for own in stored["rows"].values()
        ):
            raise ValueError("rows is needed as {row: {column: number}}")
        table = cls(name, stored["unit"], higher_is_better=stored["higher_is_better"])
        for part in ("rows", *PARTS):
            setattr(table, part, stored[part])
        return table


def shown(x: float) -> str:
    """Three digits, from 1000 on all, with commas."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"
