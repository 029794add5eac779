"""A result as pictures, one for each table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchml_core.plots.pictures import panels

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from torchml_core.bench.result import Result
    from torchml_core.bench.table import Table

OURS, OTHERS = "osD^vP*", "xX+1234|"
INCHES_PER_ROW = 0.42


def draw(table: Table) -> Figure:
    """Draw a table: rows on the vertical axis, numbers on a logarithmic one; ours are filled."""
    figure, ((axes,),) = panels(1, 1, (8.0, 1.6 + INCHES_PER_ROW * max(3, len(table.rows))))
    rows = list(table.rows)
    places = {row: len(rows) - 1 - k for k, row in enumerate(rows)}
    ours = [c for c in table.columns() if c not in table.against]
    for kind, columns in (("ours", ours), ("others", list(table.against))):
        markers = OURS if kind == "ours" else OTHERS
        for k, column in enumerate(columns):
            found = [(own.get(column), places[row]) for row, own in table.rows.items()]
            points = [(x, y) for x, y in found if x]
            if points:
                color = f"C{k % 10}" if kind == "others" else str(0.15 * (k % 6))
                x, y = zip(*points, strict=True)
                marker = markers[k % len(markers)]
                axes.plot(x, y, marker, color=color, markersize=6, label=column)
    axes.set_yticks(list(places.values()), list(places))
    axes.set(xscale="log", xlabel=f"{table.unit}", title=table.title)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def write_pictures(result: Result, folder: Path) -> list[str]:
    """Write ``NAME.png`` for each table; return the names."""
    for name, table in result.tables.items():
        draw(table).savefig(folder / f"{name}.png", dpi=130)
    return list(result.tables)
