"""``torchml-core bench``: our speed beside that of other packages, on this machine."""

import datetime
import sys
from pathlib import Path

import click

NAMES = ("lists", "symmetry-functions", "soap", "soap-gradients", "bispectrum")
INTERRUPTED = 130  # the exit code of shells for Ctrl-C


@click.command("bench")
@click.option(
    "--only",
    metavar="NAME,...",
    help=f"Make these tables only: {', '.join(NAMES)}.",
)
@click.option("--quick", is_flag=True, help="Fewer cases and turns: about a minute.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    help="Of each package that can use several. [default: 1]",
)
@click.option(
    "-o",
    "--output",
    metavar="FOLDER",
    help="Where to write report.md, results.json and pictures. [default: bench-DATE-TIME]",
)
@click.option(
    "--compare",
    nargs=2,
    metavar="OLD.json NEW.json",
    help="Measure nothing: print what became faster or slower between two results.",
)
@click.option(
    "--least",
    type=click.FloatRange(min=1),
    default=1.1,
    help="With --compare: list changes by at least this factor. [default: 1.1]",
)
def command(only, quick, threads, output, compare, least):
    """Measure our speed beside that of the other packages that are installed.

    Each program's results are compared with ours before it is measured; all run in one process, in
    turns. The exit code is 1 if results differ, or, with --compare, if ours became slower.
    """
    if compare:
        if only or quick or output or threads != 1:
            raise click.UsageError("--compare measures nothing: --least is its only other option")
        sys.exit(_compare(*compare, least))
    names = _chosen(only)
    from torchml_core.bench import peers

    peers.use_threads(threads)  # before anything that reads it is loaded
    sys.exit(_measure(names, quick, threads, output))


def _chosen(only):
    if only is None:
        return NAMES
    names = [name.strip() for name in only.split(",") if name.strip()]
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise click.BadParameter(
            f"{', '.join(unknown) or 'no name'}: the tables are {', '.join(NAMES)}",
            param_hint="--only",
        )
    return list(dict.fromkeys(names))


def _measure(names, quick, threads, output):
    from torchml_core import files
    from torchml_core.bench.result import Result, note_load
    from torchml_core.bench.running import COMPARISONS, run
    from torchml_core.cli.progress import Stages

    comparisons = [COMPARISONS[name] for name in names]
    now = datetime.datetime.now()
    folder = files.make_folder("--output", output or f"bench-{now:%Y-%m-%d-%H%M%S}")
    result = Result({"threads": threads, "quick": quick})
    code = 0
    try:
        with Stages() as progress:
            for what, done, total in run(result, comparisons, quick=quick, n_threads=threads):
                progress(what, done, total)
                _write(result, folder)
        result.settings["finished"] = True
    except KeyboardInterrupt:
        click.echo("interrupted: the report has what was finished", err=True)
        code = INTERRUPTED
    note_load(result)
    _write(result, folder, pictures=True)
    for table in result.tables.values():
        click.echo(f"{table.title}, {table.unit}\n\n{table.markdown()}\n")
    wrong = [found for table in result.tables.values() for found in table.disagreements()]
    for row, column, what in wrong:
        click.echo(f"error: {row}, {column}: {what}", err=True)
    if result.missing:
        pip = " ".join(result.missing.values())
        click.echo(f"not installed: {', '.join(result.missing)} (pip install {pip})")
    click.echo(f"wrote {folder / 'report.md'}")
    return code or int(bool(wrong))


def _write(result, folder, *, pictures=False):
    from torchml_core import files
    from torchml_core.bench.report import report

    result.write(folder / "results.json")
    drawn = _draw(result, folder) if pictures else []
    files.write_text("--output", folder / "report.md", report(result, drawn))


def _draw(result, folder):
    try:
        from torchml_core.bench.pictures import write_pictures

        return write_pictures(result, Path(folder))
    except ImportError:
        click.echo("no pictures: they need matplotlib (pip install torchml_core[plots])", err=True)
        return []


def _compare(old, new, least):
    from torchml_core.bench.changes import changes, facts_that_differ, ratios_as_markdown
    from torchml_core.bench.result import Result

    before, after = Result.read(old), Result.read(new)
    found = changes(before, after)
    for line in facts_that_differ(before, after):
        click.echo(line)
    click.echo(f"\n{ratios_as_markdown(found)}\n")
    listed = [c for c in found if c.clear and not 1 / least < c.ratio < least]
    for c in sorted(listed, key=lambda c: c.ratio):
        word = "faster" if c.ratio > 1 else "SLOWER"
        values = f"{c.old:.4g} -> {c.new:.4g} {c.unit}"
        click.echo(f"{word} {c.ratio:.2f}x: {c.table}, {c.row}, {c.column}: {values}")
    return int(any(c.ours and c.ratio < 1 for c in listed))
