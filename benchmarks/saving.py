"""Tables of the scripts here, kept in ``benchmarks/results/`` like those of torchml-core bench.

``torchml-core bench --compare OLD.json NEW.json`` compares two of these files.
"""

from pathlib import Path

from torchml_core.bench.result import Result, note_load

RESULTS = Path(__file__).parent / "results"


def save(name, *tables, path=None):
    """Write ``NAME.json``, or another file, with all that a Result says; print its path."""
    result = Result({"script": name, "finished": True})
    result.tables = {table.name: table for table in tables}
    note_load(result)
    path = path or RESULTS / f"{name}.json"
    result.write(path)
    print(f"\n{path}")
