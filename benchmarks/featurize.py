"""Times of ``featurize``, per structure, and of the kernels alone.

All are processor times of one thread: they depend little on what else the machine does. The
structures are 64 rattled silicon atoms (set51), and molecules of 20 atoms of three elements.

``python benchmarks/featurize.py [number of structures]``
"""

import contextlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import write

import torchml_core as tm
from torchml_core.bench.symmetry_functions import CUTOFF, G2, G4, set51
from torchml_core.dataset import FeatureFile, combined, featurize
from torchml_core.dataset.feature_work import FeatureWork


def silicon(k):
    atoms = bulk("Si", cubic=True) * 2
    atoms.rattle(0.1, seed=k)
    return atoms


def molecules(k):
    atoms = molecule("C6H6") + Atoms(
        molecule("CH3CH2OH"), positions=molecule("CH3CH2OH").positions + 4
    )
    atoms = atoms[:20]
    atoms.rattle(0.05, seed=k)
    return atoms


def timed(function):
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def measure(name, descriptor, make, n):
    with tempfile.TemporaryDirectory() as folder:
        source, path = Path(folder, "data.extxyz"), Path(folder, "features.h5")
        write(source, [make(k) for k in range(n)])
        marks = {}
        total, _ = timed(
            lambda: featurize(
                descriptor,
                source,
                path,
                n_threads=1,
                progress=lambda what, *_: marks.setdefault(what, time.process_time()),
            )
        )
        reading = marks["computing"] - marks["reading"]
        kernels = lists = 0.0
        with contextlib.closing(FeatureWork(path, descriptor)) as work:
            for first, end in work.blocks(np.arange(n), 4000):
                structures = work.block(first, end).structures
                seconds, made = timed(
                    lambda s=structures: [
                        tm.Configuration.from_atoms(a, descriptor.cutoff, work.species, n_threads=1)
                        for a in s
                    ]
                )
                lists += seconds
                joined = combined(made)
                kernels += timed(lambda j=joined: descriptor.compute(j, n_threads=1))[0]
        stored = timed(lambda: [FeatureFile(path).values(slice(0, n))])[0]
    computing = total - reading
    print(
        f"{name}: µs per structure: kernels {1e6 * kernels / n:.1f}, lists {1e6 * lists / n:.1f},"
        f" featurize without reading {1e6 * computing / n:.1f}"
        f" ({kernels / computing:.0%} of the kernels' speed, {(kernels + lists) / computing:.0%}"
        f" with lists), reading {1e6 * reading / n:.1f}; stored values {1e6 * stored / n:.1f}"
    )


if __name__ == "__main__":
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    for _ in range(2):
        measure("64 Si", set51(), silicon, n)
        functions = [("g2", G2), ("g4", G4)]
        measure("20 C H O", tm.SymmetryFunctions(["C", "H", "O"], CUTOFF, functions), molecules, n)
        measure("64 Si, SOAP", tm.SOAP(["Si"], 5.0, n_max=8, l_max=6), silicon, n)
