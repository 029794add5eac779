"""Long runs: memory stays flat, and a rank that is killed ends the others."""

import os
import re
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import structures
from ase.io.lammpsdata import write_lammps_data
from simulators import LMP, run, start, stop

INPUT = """
kim           init {model} metal
atom_modify   map array
read_data     silicon.data
kim           interactions Si
velocity      all create 300 4711
fix           ensemble all nve
thermo        100
thermo_modify flush yes
run           {steps}
"""


@pytest.fixture
def silicon(tmp_path):
    atoms = structures.rattled_silicon(1, seed=1)
    write_lammps_data(tmp_path / "silicon.data", atoms, masses=True)


def resident(pid):
    """Memory of a process in kB, None if it is ending."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return found and int(found[1])


def step_of(folder):
    log = (folder / "log.lammps").read_text() if (folder / "log.lammps").is_file() else ""
    steps = re.findall(r"^ +(\d+)( +\S+){5}\s*$", log, re.MULTILINE)
    return int(steps[-1][0]) if steps else -1


@pytest.mark.parametrize(
    ("model", "steps"),
    [("StillingerWeber_Si", 3000), ("SymmetryFunctions_Si", 3000), ("Graph_Si", 1000)],
)
def test_memory_of_lammps_is_flat(model, steps, our_models, lmp, silicon, tmp_path):
    """One array of positions forgotten at each step would be 24 MB or more; noise is 1 MB."""
    (tmp_path / "in.lammps").write_text(INPUT.format(model=model, steps=steps))
    with open(tmp_path / "stdout", "w") as out:
        process = start(LMP, tmp_path, stdout=out)
    samples = []
    while process.poll() is None:
        if step_of(tmp_path) >= 200:  # torch has seen the model often enough
            samples.append(resident(process.pid))
        time.sleep(0.05)
    assert process.returncode == 0
    samples = [kB for kB in samples if kB is not None]
    quarter = len(samples) // 4
    assert quarter >= 3
    growth = np.median(samples[-quarter:]) - np.median(samples[:quarter])
    print(model, len(samples), growth, "kB")
    assert growth < 4000  # kB


CREATE = """
import sys
import kimpy

def resident():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
for k in range(60):
    units = (kimpy.length_unit.A, kimpy.energy_unit.eV, kimpy.charge_unit.e)
    rest = (kimpy.temperature_unit.K, kimpy.time_unit.ps, sys.argv[1])
    accepted, model = kimpy.model.create(kimpy.numbering.zeroBased, *units, *rest)
    arguments = model.compute_arguments_create()
    del arguments, model
    print(resident())
"""


def test_models_that_are_destroyed_give_their_memory_back(kimpy, our_models, tmp_path):
    (tmp_path / "host.py").write_text(CREATE)
    done = run([sys.executable, "host.py", "SymmetryFunctions_Si"], tmp_path).good()
    memory = np.array(done.stdout.split(), dtype=int)
    print(memory[[0, 20, -1]], "kB")
    assert memory[-10:].max() - memory[20:30].min() < 2000


def children(pid):
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def is_running(pid):
    """Not gone, and not a zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_a_rank_that_is_killed_ends_the_others(our_models, lmp, mpirun, silicon, tmp_path):
    text = INPUT.format(model="SymmetryFunctions_Si", steps=100_000_000)
    (tmp_path / "in.lammps").write_text(text)
    with open(tmp_path / "stdout", "w") as out, open(tmp_path / "stderr", "w") as err:
        process = start(["mpirun", "-np", 2, *LMP], tmp_path, stdout=out, stderr=err)
    try:
        deadline = time.monotonic() + 60
        while step_of(tmp_path) < 100:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        one, other = children(process.pid)
        os.kill(one, signal.SIGKILL)
        assert process.wait(30) != 0
        time.sleep(0.5)
        assert not is_running(other)
    finally:
        if process.poll() is None:
            stop(process)
