"""Print the speed of neighbor lists, ours and other packages', as a table in Markdown.

    python benchmarks/neighbors_table.py [case ...]

All run in one process with one thread, in turns. Figures are medians of several turns; the first
turn is not counted. All make full lists with ijSDd (neighborlist_rs: half lists without vectors).
"fresh" makes new arrays in each call, as the other packages do; "reused" writes into the arrays of
the previous call.
"""

import statistics
import sys
import time

from cases import CASES
from peers import PEERS, ours, ours_reused
from tables import Table

import torchml_core as tm

SECONDS, FEWEST, MOST = 4.0, 5, 200
SLOW = {"ase": 100}  # the largest number of atoms it is run with


def ij_only(atoms, cutoff):
    return tm.neighbor_list("ij", atoms, cutoff, n_threads=1)


def from_atoms(atoms, cutoff):
    return tm.Configuration.from_atoms(atoms, cutoff, n_threads=1)


def main():
    rows = {"fresh": ours, "reused": ours_reused, "ij": ij_only, "from_atoms": from_atoms, **PEERS}
    table = Table("neighbors", "Mpairs/s", higher_is_better=True)
    for name in sys.argv[1:] or CASES:
        make, cutoff = CASES[name]
        atoms = make()
        usable = {k: f for k, f in rows.items() if len(atoms) <= SLOW.get(k, len(atoms))}
        n_pairs = len(ours(atoms, cutoff)[0])
        times = measure(usable, atoms, cutoff)
        table.add(name, {k: n_pairs / 1e6 / seconds for k, seconds in times.items()})
        print(table.markdown([name]), flush=True)
    print("\n" + table.markdown())
    table.save()


def measure(functions, atoms, cutoff):
    """Return the median seconds of each; they run in turns, so a slow minute is slow for all."""
    times = {name: [] for name in functions}
    begin = time.perf_counter()
    for turn in range(MOST):
        for name, function in functions.items():
            start = time.perf_counter()
            result = function(atoms, cutoff)
            times[name].append(time.perf_counter() - start)
            del result
        if turn >= FEWEST and time.perf_counter() - begin > SECONDS:
            break
    return {name: statistics.median(found[1:]) for name, found in times.items()}


if __name__ == "__main__":
    main()
