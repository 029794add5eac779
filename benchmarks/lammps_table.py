"""Print the speed of a model in LAMMPS, compared with the library alone, and on two ranks.

    python benchmarks/lammps_table.py [repeat ...]

The model is set51 (symmetry functions) and a small network; the structure is silicon with repeat³
cells of 8 atoms. A time step of LAMMPS is compared with energy and forces of the library on the
same kind of lists (cutoff and a skin of 2 Å, LAMMPS's default). Both run in turns, with one thread
per rank; times are medians. LAMMPS's time is that of its loop, without its start. Needs the
KIM-API and LAMMPS.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from ase.build import bulk
from set51 import CUTOFF, set51

import torchml_core as tm

SKIN, TURNS = 2.0, 5
INPUT = """
kim init Set51 metal
lattice diamond 5.43
region box block 0 {repeat} 0 {repeat} 0 {repeat}
create_box 1 box
create_atoms 1 box
mass 1 28.0855
kim interactions Si
displace_atoms all random 0.05 0.05 0.05 1
velocity all create 300 1 loop geom
timestep 0.0005
fix 1 all nve
run {steps}
"""


def main():
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = make_model(Path(folder, "Set51"))
        environment = install(Path(folder), "Set51")
        print("| atoms | library, ms | LAMMPS, ms per step | ratio | 2 ranks | 2 ranks / 1 |")
        print("|---" * 6 + "|")
        for repeat in [int(word) for word in sys.argv[1:]] or [3, 10]:
            turns = [turn(model, folder, environment, repeat) for _ in range(TURNS)]
            alone, one, two = (1000 * statistics.median(t) for t in zip(*turns, strict=True))
            print(
                f"| {8 * repeat**3} | {alone:.3g} | {one:.3g} | {alone / one:.0%} | {two:.3g}"
                f" | {one / two:.2f} |",
                flush=True,
            )


def turn(model, folder, environment, repeat):
    """Return the seconds of the library, and of LAMMPS on one rank and on two ranks."""
    steps = max(10, 20000 // repeat**3)
    on = [lammps(folder, environment, repeat, steps, ranks) for ranks in (1, 2)]
    return library(model, repeat), *on


def make_model(folder):
    descriptor = set51()
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(descriptor.width, 32),
        torch.nn.Tanh(),
        torch.nn.Linear(32, 32),
        torch.nn.Tanh(),
        torch.nn.Linear(32, 1),
    ).double()
    return tm.PortableModel.create(folder, model=network, species=["Si"], descriptor=descriptor)


def install(folder, model):
    """Install the driver and a model in collections of their own; return the environment."""
    places = {"MODEL_DRIVERS_DIR": "md", "PORTABLE_MODELS_DIR": "pm", "SIMULATOR_MODELS_DIR": "sm"}
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "KIM_API_CONFIGURATION_FILE": str(folder / "config"),
    }
    for variable, name in places.items():
        folder.joinpath(name).mkdir()
        environment[f"KIM_API_{variable}"] = str(folder / name)
    for arguments in (["install-driver"], ["install", str(folder / model)]):
        command = [sys.executable, "-m", "torchml_core.cli", "kim", *arguments]
        subprocess.run([*command, "--collection", "environment"], env=environment, check=True)
    return environment


def library(model, repeat):
    """Return the seconds of one evaluation, without making the lists."""
    atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
    atoms.rattle(0.03, seed=0)
    c = tm.Configuration.from_atoms(atoms, CUTOFF + SKIN, ["Si"], n_threads=1)
    times = []
    for _ in range(max(3, 2000 // repeat**3)):
        begin = time.perf_counter()
        model.evaluate(c, virial=False, n_threads=1)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def lammps(folder, environment, repeat, steps, ranks):
    """Return the seconds of one step."""
    Path(folder, "in.lammps").write_text(INPUT.format(repeat=repeat, steps=steps))
    command = [*(["mpirun", "-np", str(ranks)] if ranks > 1 else []), "lmp", "-in", "in.lammps"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    loop = re.search(r"Loop time of (\S+)", done.stdout)
    if loop is None:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return float(loop[1]) / steps


if __name__ == "__main__":
    main()
