"""A Sphinx extension that draws the results of benchmarks/results/: one of each release.

It writes ``_generated/benchmarks.md``, which docs/benchmarks.md includes, and the pictures beside
it; both are made by what ``torchml-core bench`` makes them with.
"""

import re
from pathlib import Path

from torchml_core.bench.pictures import write_pictures
from torchml_core.bench.report import report
from torchml_core.bench.result import Result
from torchml_core.plots.pictures import panels

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"
RELEASE = re.compile(r"\d+\.\d+\.\d+")


def setup(app):
    app.connect("builder-inited", lambda app: generate(RESULTS, Path(app.srcdir, "_generated")))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def generate(results, folder):
    """Write the page of the last release, and a picture of all releases if there are several."""
    folder.mkdir(exist_ok=True)
    releases = read_releases(results)
    version, last = next(reversed(releases.items()))
    pictures = write_pictures(last, folder)
    lines = [f"## Figures of {version}", "", report(last, pictures, title=False)]
    if len(releases) > 1:
        draw_releases(releases).savefig(folder / "releases.png", dpi=130)
        lines += ["## From release to release", "", "![all releases](releases.png)"]
    (folder / "benchmarks.md").write_text("\n".join(lines), encoding="utf-8")


def read_releases(results):
    """{version: Result}, the oldest first."""
    paths = [path for path in results.glob("*.json") if RELEASE.fullmatch(path.stem)]
    paths.sort(key=lambda path: [int(number) for number in path.stem.split(".")])
    return {path.stem: Result.read(path) for path in paths}


def draw_releases(releases):
    """Draw the speed of ours in the first row of each table, relative to the first release."""
    figure, ((axes,),) = panels(1, 1, (6.4, 3.6))
    for name in dict.fromkeys(name for result in releases.values() for name in result.tables):
        found = {}
        for version, result in releases.items():
            if name in result.tables:
                table = result.tables[name]
                found[version] = table.rows[next(iter(table.rows))][table.columns()[0]]
        first = next(iter(found.values()))
        axes.plot(list(found), [speed / first for speed in found.values()], "o-", label=name)
    axes.set(xlabel="release", ylabel="speed relative to the first", ylim=(0, None))
    axes.legend(fontsize=8)
    return figure
