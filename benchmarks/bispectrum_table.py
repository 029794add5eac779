"""Print the speed of the bispectrum, ours and other packages', as a table in Markdown.

    OMP_NUM_THREADS=1 taskset -c 0 python benchmarks/bispectrum_table.py

All run in one process with one thread, in turns; ours with lists given, MDescriptor with lists of
its own. LAMMPS is timed by slope, from two numbers of evaluations, so that what it does once in a
run does not count. Figures are medians of several turns; the first turn is not counted.
"""

import statistics
import time

import numpy as np
from bispectrum_peers import CASES, Lammps, lammps_is_there, mdescriptor_values, structure
from tables import Table

import torchml_core as tm

TURNS = 8
FEW, MANY = 2, 5  # evaluations of LAMMPS


def ours(d, c, dtype):
    """Return {name: function} of our own."""
    weights = np.random.default_rng(0).standard_normal((c.n_centers, d.width)).astype(dtype)

    def values():
        d.compute(c, dtype=dtype, n_threads=1)

    def two_passes():
        values()
        d.vjp(c, weights, n_threads=1)

    bits = np.dtype(dtype).itemsize * 8
    return {
        f"values, float{bits}": values,
        f"values, then VJP, float{bits}": two_passes,
        f"energies and forces in one pass, float{bits}": lambda: d.energy_and_gradient(
            c, weights[0], n_threads=1
        ),
    }


def seconds(function):
    """Processor time: with one thread, the time that an idle machine would take."""
    start = time.process_time()
    function()
    return time.process_time() - start


def measure(twojmax, cutoff, kind):
    """Return {name: atoms per second}."""
    atoms = structure(kind)
    d = tm.Bispectrum(["Si"], cutoff, twojmax)
    c = tm.Configuration.from_atoms(atoms, cutoff, ["Si"])
    functions = {name: lambda f=f: seconds(f) for name, f in ours(d, c, np.float64).items()}
    functions |= {name: lambda f=f: seconds(f) for name, f in ours(d, c, np.float32).items()}
    if lammps_is_there():
        snap = Lammps(atoms, twojmax, cutoff, np.ones(d.width))
        functions["LAMMPS pair_style snap"] = lambda: (
            (seconds(lambda: snap.evaluate(MANY)) - seconds(lambda: snap.evaluate(FEW)))
            / (MANY - FEW)
        )
    try:
        mdescriptor_values(atoms, twojmax, cutoff)
    except ImportError:
        pass
    else:
        functions["MDescriptor, values, lists included"] = lambda: seconds(
            lambda: mdescriptor_values(atoms, twojmax, cutoff)
        )
    times = {name: [] for name in functions}
    for turn in range(TURNS):
        for name, function in functions.items():
            found = function()
            if turn:
                times[name].append(found)
    return {name: len(atoms) / statistics.median(found) for name, found in times.items()}


def main():
    table = Table("bispectrum", "atoms/s", higher_is_better=True)
    for case, arguments in CASES.items():
        for name, speed in measure(*arguments).items():
            table.add(name, {case: speed})
    print(table.markdown())
    table.save()


if __name__ == "__main__":
    main()
