"""Errors that ``torchml-core train`` reaches with its defaults, in a given time.

Run it as ``python benchmarks/training_table.py si=si.extxyz.gz Mo=train.xyz,test.xyz ...``: each
data set is ``NAME=TRAIN[,TEST][:MINUTES[:SEEDS]]``. Without a file of tests, a fifth of the
structures is kept out, of each kind. Each run is a process of its own, which is timed as a whole.
``--with "network.optimizer=adam size=small"`` adds a run with these settings for each data set; it
may be given several times, and ``--with ""`` are the defaults. The table is printed in Markdown;
``--json FILE`` stores it with the errors of each kind.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from torchml_core import markdown

HEAD = ("data", "settings", "limit", "seed", "time", "model", "energies", "forces", "stresses")
UNITS = ("", "", "min", "", "s", "", "meV/atom", "meV/Å", "meV/Å³")


def cases(text):
    """Yield (name, training file, test file or None, minutes, seed) of an argument."""
    match = re.fullmatch(r"(\w+)=([^,:]+)(?:,([^:]+))?(?::([\d.]+))?(?::(\d+))?", text)
    if match is None:
        raise SystemExit(f"{text}: NAME=TRAIN[,TEST][:MINUTES[:SEEDS]] is needed")
    name, train, test, minutes, seeds = match.groups()
    for seed in range(int(seeds or 1)):
        yield name, train, test, float(minutes or 5), seed


def with_settings(settings, text):
    """Add settings such as ``network.optimizer=adam``, separated by spaces; values are YAML."""
    for item in text.split():
        names, separator, value = item.partition("=")
        if not separator:
            raise SystemExit(f"--with {text!r}: NAME=VALUE is needed, separated by spaces")
        *sections, last = names.split(".")
        section = settings
        for key in sections:
            section = section.setdefault(key, {})
        section[last] = yaml.safe_load(value)
    return settings


def measured(name, train, test, minutes, seed, given=""):
    """Train a model; return a row of the table, with the errors of each kind."""
    with tempfile.TemporaryDirectory() as place:
        config = Path(place, "config.yaml")
        data = {"train": str(Path(train).absolute()), "test": 0.2}
        if test is not None:
            data["test"] = str(Path(test).absolute())
        settings = {"data": data, "output": "out", "seed": seed, "time_limit": 60 * minutes}
        config.write_text(json.dumps(with_settings(settings, given)))  # JSON is YAML
        command = [sys.executable, "-m", "torchml_core.cli", "train", str(config)]
        start = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
        if done.returncode:
            raise SystemExit(f"{name}: the command failed")
        state = json.loads(Path(place, "out", "run", "run.json").read_text())
    found = state["result"]
    return {
        "data": name,
        "settings": given,
        "minutes": minutes,
        "seed": seed,
        "seconds": round(seconds, 1),
        "model": found["stage"],
        "errors": found["errors"],
        "stages": {
            key: {k: facts.get(k) for k in ("seconds", "n_parameters", "validation")}
            for key, facts in state["stages"].items()
        },
    }


def table(rows):
    """The lines of a table in Markdown; of test structures, all kinds together."""
    head = [f"{name}, {unit}" if unit else name for name, unit in zip(HEAD, UNITS, strict=True)]
    lines = []
    for row in rows:
        of_all = row["errors"]["test"]["all"]
        errors = (
            f"{1e3 * of_all[label][0]:.3g}" if label in of_all else ""
            for label in ("energy", "forces", "stress")
        )
        first = row["data"], row["settings"], f"{row['minutes']:g}", row["seed"]
        first = *first, f"{row['seconds']:.0f}"
        lines.append([*first, row["model"], *errors])
    return markdown.table(head, lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", metavar="NAME=TRAIN[,TEST][:MINUTES[:SEEDS]]")
    parser.add_argument("--with", dest="given", action="append", metavar="SETTINGS")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for text in arguments.data:
        for case, given in itertools.product(cases(text), arguments.given or [""]):
            rows.append(measured(*case, given))
            print(json.dumps({k: v for k, v in rows[-1].items() if k != "errors"}), file=sys.stderr)
            if arguments.json is not None:
                content = {"processors": os.cpu_count(), "rows": rows}
                arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
