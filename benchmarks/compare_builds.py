"""The speed of two builds of torchml_core, kernel by kernel: a wheel beside a native build, say.

    python benchmarks/compare_builds.py PYTHON [PYTHON] [--level LEVEL ...] [--turns N]

Each PYTHON is that of an environment with a build. Processes with each of them run in turns, and
each turn's time is the least of many; printed are medians over the turns, and their ratio. With one
PYTHON, whose build has several levels, these are compared: --level x86-64-v3 x86-64-v4.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time


def measure():
    """Print the times of this process's build, in ms."""
    import numpy as np
    from ase.build import bulk

    import torchml_core as tm

    atoms = bulk("Si", cubic=True) * 4
    atoms.rattle(0.1, seed=1)
    functions = [
        ("g2", [[eta, shift] for eta in (0.05, 0.2, 0.8, 2.0) for shift in (0.0, 2.0)]),
        ("g4", [[zeta, lam, 0.01] for zeta in (1, 2, 4, 16) for lam in (-1, 1)]),
    ]
    descriptors = {
        "SymmetryFunctions": tm.SymmetryFunctions(["Si"], 5.0, functions),
        "SOAP": tm.SOAP(["Si"], 5.0, 8, 6),
        "SphericalExpansion": tm.SphericalExpansion(["Si"], 5.0, 8, 6),
        "Bispectrum": tm.Bispectrum(["Si"], 4.7, 8),
        "Xi": tm.Xi(6, 5.0),
        "ZBL": tm.ZBL(["Si"], 3.0, 5.0),
    }
    jobs = {
        "neighbor list": lambda: tm.neighbor_list("ijSDd", atoms, 6.0, n_threads=1),
        "configuration": lambda: tm.Configuration.from_atoms(atoms, 5.0, n_threads=1),
    }
    for name, descriptor in descriptors.items():
        configuration = tm.Configuration.from_atoms(atoms, descriptor.cutoff)
        for dtype in ("float64", "float32"):
            dtype = np.dtype(dtype)
            values = descriptor.compute(configuration, dtype=dtype, n_threads=1)
            gradient = np.random.default_rng(1).normal(size=values.shape).astype(dtype)
            jobs[f"{name} {dtype}"] = lambda d=descriptor, c=configuration, t=dtype: d.compute(
                c, dtype=t, n_threads=1
            )
            jobs[f"{name} vjp {dtype}"] = lambda d=descriptor, c=configuration, g=gradient: d.vjp(
                c, g, n_threads=1
            )
    times = {}
    for name, job in jobs.items():
        job()
        least, end = float("inf"), time.perf_counter() + 0.15
        while time.perf_counter() < end:
            begin = time.perf_counter()
            job()
            least = min(least, time.perf_counter() - begin)
        times[name] = 1e3 * least
    from torchml_core import _compiled

    print(json.dumps({"level": _compiled.LEVEL, "times": times}))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("python", nargs="+")
    parser.add_argument("--level", nargs="+", default=[""])
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    builds = [(python, level) for python in arguments.python for level in arguments.level]
    turns = [[] for _ in builds]
    for _ in range(arguments.turns):
        for results, (python, level) in zip(turns, builds, strict=True):
            env = {**os.environ, "TORCHML_CORE_LEVEL": level, "OMP_NUM_THREADS": "1"}
            command = [os.path.abspath(python), os.path.abspath(__file__), "measure"]
            done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True)
            if done.returncode:
                sys.exit(done.stderr)
            results.append(json.loads(done.stdout))
    levels = [results[0]["level"] for results in turns]
    print("| ms | " + " | ".join(levels) + " | speed of the first relative to the last |")
    print("|---" * (len(levels) + 2) + "|")
    for name in turns[0][0]["times"]:
        medians = [statistics.median(turn["times"][name] for turn in results) for results in turns]
        cells = " | ".join(f"{value:.3g}" for value in medians)
        print(f"| {name} | {cells} | {100 * medians[-1] / medians[0]:.0f} % |")


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
