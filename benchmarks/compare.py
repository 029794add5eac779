"""Compare two files of benchmarks/results/, cell by cell.

    python benchmarks/compare.py old.json new.json [--least 1.1]

Prints how many times as fast each cell of the new table is, and the cells that changed by at
least the factor ``--least``. The exit code is 1 if one of them became slower.
"""

import argparse
import json
import sys
from pathlib import Path


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--least", type=float, default=1.1, help="changes that are listed: 1.1")
    arguments = parser.parse_args()
    old, new = read(arguments.old), read(arguments.new)
    for name in ("table", "unit"):
        if old[name] != new[name]:
            sys.exit(f"{name}: {old[name]} and {new[name]}; the same table is needed")
    for name in ("machine", "versions"):
        for key in sorted(old[name].keys() | new[name].keys()):
            if old[name].get(key) != new[name].get(key):
                print(f"{name}: {key}: {old[name].get(key)} -> {new[name].get(key)}")
    print(f"commit: {old['commit']} -> {new['commit']}; {old['date']} -> {new['date']}\n")
    ratios = times_as_fast(old, new)
    print_ratios(ratios)
    changed = {
        cell: ratio
        for cell, ratio in ratios.items()
        if ratio is not None and not 1 / arguments.least < ratio < arguments.least
    }
    print()
    for (row, column), ratio in sorted(changed.items(), key=lambda item: item[1]):
        before, after = old["rows"][row][column], new["rows"][row][column]
        word = "faster" if ratio > 1 else "SLOWER"
        print(f"{word} {ratio:.2f}x: {row}, {column}: {before:.4g} -> {after:.4g} {new['unit']}")
    sys.exit(any(ratio < 1 for ratio in changed.values()))


def read(path):
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        sys.exit(f"{path}: {error}")
    if not isinstance(stored, dict) or stored.get("format") != 1:
        sys.exit(f"{path}: a file that tables.py has written is needed")
    return stored


def times_as_fast(old, new):
    """{(row, column): ratio}, None where one of the two has no number."""
    cells = {}
    for table in (old, new):
        cells.update({(row, column): None for row, own in table["rows"].items() for column in own})
    for row, column in cells:
        before, after = (table["rows"].get(row, {}).get(column) for table in (old, new))
        if before and after:
            cells[row, column] = after / before if new["higher_is_better"] else before / after
    return cells


def print_ratios(ratios):
    columns = list(dict.fromkeys(column for _, column in ratios))
    print(f"| times as fast | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 1)}")
    for row in dict.fromkeys(row for row, _ in ratios):
        cells = [ratios.get((row, column)) for column in columns]
        shown = ["" if ratio is None else f"{ratio:.2f}" for ratio in cells]
        print(f"| {row} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main()
