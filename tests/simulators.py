"""LAMMPS, and every other program that loads the driver, run from tests."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

# mpirun refuses to run as root, or to start more ranks than there are cores, unless told otherwise.
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMP_NUM_THREADS": "1",
}
LMP = ["lmp", "-in", "in.lammps", "-log", "log.lammps"]


class Ended(NamedTuple):
    """A program that has ended, and what it left in its folder."""

    code: int
    stdout: str
    stderr: str
    seconds: float
    folder: Path

    def text(self, name):
        """A file of the folder, empty where there is none."""
        path = self.folder / name
        return path.read_text(errors="replace") if path.is_file() else ""

    @property
    def kim_log(self):
        return self.text("kim.log")

    def good(self):
        """Itself, after checking that the program has no complaint."""
        assert self.code == 0, self.stdout[-1000:] + self.stderr
        assert self.stderr == ""
        return self

    def thermo(self):
        """LAMMPS's table of each ``run``: a list of {column: array}."""
        return list(_tables(self.text("log.lammps").splitlines()))

    def dump(self, name):
        """The one snapshot of a dump file: {column: array}, atoms by their numbers."""
        head, _, body = self.text(name).partition("ITEM: ATOMS ")[2].partition("\n")
        rows = np.array([line.split() for line in body.splitlines()], dtype=float)
        columns = dict(zip(head.split(), rows.T, strict=True))
        order = np.argsort(columns["id"])
        return {column: values[order] for column, values in columns.items()}


def _tables(lines):
    table = None
    for line in lines:
        words = line.split()
        if words[:1] == ["Step"]:
            table = {word: [] for word in words}
        elif line.startswith("Loop time") and table is not None:
            yield {word: np.array(values) for word, values in table.items()}
            table = None
        elif table is not None and len(words) == len(table) and words[0].isdigit():
            for values, word in zip(table.values(), words, strict=True):
                values.append(float(word))


# Structures of tests are outside of the training range of models that know one; this would be told.
QUIET = {"TORCHML_CORE_KIM_SHOW_EXTRAPOLATIONS": "none"}


def start(command, folder, environment=(), **options):
    """Start a program in a folder, with more variables in its environment."""
    environment = {**os.environ, **MPI, **dict(environment)}
    return subprocess.Popen(
        [str(word) for word in command], cwd=folder, env=environment, text=True, **options
    )


def run(command, folder, environment=(), timeout=60):
    """Run a program to its end; one that takes longer than ``timeout`` seconds fails the test."""
    begun = time.monotonic()
    with (
        open(Path(folder, "stdout"), "w+") as out,
        open(Path(folder, "stderr"), "w+") as err,
    ):
        process = start(command, folder, environment, stdout=out, stderr=err)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            stop(process)
            out.seek(0)
            raise AssertionError(f"{command} still ran after {timeout} s:\n{out.read()}") from None
        seconds = time.monotonic() - begun
        out.seek(0), err.seek(0)
        return Ended(code, out.read(), err.read(), seconds, Path(folder))


def stop(process):
    """End a program; mpirun, asked kindly, ends its ranks too."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def lammps(text, folder, ranks=1, *, environment=(), timeout=60):
    """Run LAMMPS on an input, alone or with mpirun."""
    Path(folder, "in.lammps").write_text(text)
    mpirun = [] if ranks == 1 else ["mpirun", "-np", ranks]
    return run([*mpirun, *LMP], folder, environment, timeout)
