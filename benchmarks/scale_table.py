"""Print time and memory of one evaluation of large structures, from 10⁴ to 4·10⁶ atoms.

    python benchmarks/scale_table.py [atoms ...]

Silicon, 51 symmetry functions and a network of 32-32 nodes, two threads; each size in a process of
its own, once. Memory is the largest resident size of the process minus that before the structure.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from saving import save

from torchml_core.bench.table import Table

ATOMS = (10_000, 100_000, 1_000_000, 4_000_000)


def main():
    times = Table("scale", "µs per atom", higher_is_better=False, first="atoms")
    memory = Table("scale_memory", "bytes per atom", higher_is_better=False, first="atoms")
    for n in [int(word) for word in sys.argv[1:]] or ATOMS:
        command = [sys.executable, __file__, "--one", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        n_atoms, seconds, sizes = json.loads(done.stdout.splitlines()[-1])
        times.add(f"{n_atoms:,}", {k: 1e6 * t / n_atoms for k, t in seconds.items()})
        memory.add(f"{n_atoms:,}", {k: size / n_atoms for k, size in sizes.items()})
        print(times.markdown([f"{n_atoms:,}"]), memory.markdown([f"{n_atoms:,}"]), sep="\n")
    print("\n" + times.markdown() + "\n\n" + memory.markdown())
    save("scale", times, memory)


def one(n):
    """Print seconds and bytes of one size, as JSON."""
    import numpy as np
    from ase.build import bulk
    from lammps_table import Silicon

    import torchml_core as tm

    with tempfile.TemporaryDirectory() as folder:
        model = Silicon(None).make_model(Path(folder, "model"))
    repeat = round((n / 8) ** (1 / 3))
    model.evaluate(bulk("Si", cubic=True))
    before = size()
    atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
    atoms.positions += np.random.default_rng(0).normal(scale=0.03, size=atoms.positions.shape)
    seconds, sizes = {}, {"structure": size() - before}
    begin = time.perf_counter()
    c = tm.Configuration.from_atoms(atoms, model.cutoff, model.species, n_threads=2)
    seconds["lists"] = time.perf_counter() - begin
    sizes["lists too"] = size() - before
    begin = time.perf_counter()
    model.evaluate(c, n_threads=2).fold().forces  # noqa: B018
    seconds["energy and forces"] = time.perf_counter() - begin
    sizes["everything"] = size() - before
    print(json.dumps([len(atoms), seconds, sizes]))


def size():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        one(int(sys.argv[2]))
    else:
        main()
