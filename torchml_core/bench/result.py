"""The result of a run: tables, and where, when and with what they were measured. Stored as JSON."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from torchml_core import _compiled, _processor, files
from torchml_core.bench import peers
from torchml_core.bench.table import Table
from torchml_core.json_text import JsonFile, json_text
from torchml_core.threads import n_processors
from torchml_core.versions import versions as own_versions

FORMAT, VERSION = "torchml_core benchmarks", 1
FACTS = {"date": str, "machine": dict, "versions": dict, "settings": dict, "missing": dict}
# Of those that a build may use, which kernels are written for, by the names of their macros.
INSTRUCTIONS = ("SSE4_2", "AVX2", "FMA", "AVX512F", "AVX512DQ", "AVX512VL", "ARM_NEON")
# of show_versions: what tells who ran it, and where, is nobody's business
PRIVATE = ("torchml_core", "Python", "system")


class Result:
    """Tables of benchmarks.

    Parameters
    ----------
    settings : dict
        How they were measured: ``threads``, ``quick``; ``finished`` becomes True at the end.

    Attributes
    ----------
    tables : dict of Table
    date : str
        Of the beginning, in UTC.
    commit : str or None
        Of the source code, with ``+`` where files have been changed; None if it is not known.
    machine, versions : dict of str
    missing : dict of str
        {package: what pip installs} of those that could not take part.
    """

    def __init__(self, settings: dict[str, Any] | None = None) -> None:
        self.settings = {"finished": False} | (settings or {})
        self.date = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.commit = commit()
        self.machine, self.versions = machine(), versions()
        self.missing = peers.missing()
        self.tables: dict[str, Table] = {}

    def write(self, path: str | Path) -> None:
        """Write the JSON file, in one step."""
        document = {"format": FORMAT, "version": VERSION, "commit": self.commit}
        document |= {name: getattr(self, name) for name in FACTS}
        document["tables"] = {name: table.stored() for name, table in self.tables.items()}
        files.replace_bytes("path", path, json_text(document).encode())

    @classmethod
    def read(cls, path: str | Path) -> Result:
        """Read a result.

        Raises
        ------
        MissingFileError, FileAccessError, FileFormatError
        """
        file = JsonFile(path, "result of benchmarks")
        file.require_format(FORMAT, VERSION, ": a file that `torchml-core bench` has written")
        result = cls.__new__(cls)
        for name, kind in (FACTS | {"tables": dict}).items():
            if not isinstance(file.content.get(name), kind):
                raise file.error(f"{name} is needed, as {kind.__name__}", name)
            setattr(result, name, file.content[name])
        result.commit = file.content.get("commit")
        result.tables = {}
        for name, stored in file.content["tables"].items():
            try:
                result.tables[name] = Table.restored(name, stored)
            except ValueError as error:
                raise file.error(f"{name}: {error}", "tables", name) from None
        return result


def commit() -> str | None:
    """The commit of the source, with ``+`` where files have been changed; None without git."""
    package = Path(__file__).parents[1]

    def git(*words):
        command = ["git", "-C", str(package), *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # an installed package can be in a repository of something else
        if Path(git("rev-parse", "--show-toplevel")).resolve() != package.resolve().parent:
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def machine() -> dict[str, str]:
    """What can be said of the machine, without its name."""
    found = {
        "processor": _processor_name(),
        "cores": f"{n_processors()} that this process may use, of {os.cpu_count()}",
        "instructions": f"{_compiled.LEVEL} ({' '.join(_instructions()) or 'the base set'})",
        "system": f"{platform.system()} {platform.machine()}",
    }
    load = _load()
    return found | ({"load at the beginning": load} if load else {})


def note_load(result: Result) -> None:
    """Add what else the machine did to a result that is finished."""
    load = _load()
    if load:
        result.machine["load at the end"] = load


def _load():
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except (AttributeError, OSError):  # not on this system
        return ""


def _instructions():
    macros = {macro.strip("_") for macro in _processor.builds.get(_compiled.LEVEL, [])}
    return [name for name in INSTRUCTIONS if name in macros]


def _processor_name():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def versions() -> dict[str, str]:
    """What :func:`torchml_core.show_versions` prints but for paths, and the other packages."""
    own = own_versions()
    found = {
        "torchml_core": own["torchml_core"].split()[0],
        "Python": platform.python_version(),
    }
    found |= {name: value for name, value in own.items() if name not in PRIVATE}
    return found | peers.versions()
