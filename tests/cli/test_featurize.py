"""``torchml-core featurize``: what it writes and says, and what is left after it is killed."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

import torchml_core as tm
from torchml_core.cli import progress
from torchml_core.dataset import Dataset, FeatureFile

D = tm.SymmetryFunctions(["Si"], 4.0, [("g2", [[0.5, 0.0]]), ("g4", [[1, 1, 0.1]])])


@pytest.fixture
def files(tmp_path):
    """A descriptor's file, a data set, and a name for the output."""
    D.to_file(tmp_path / "d.json")
    atoms = [bulk("Si", cubic=True, a=5.3 + 0.1 * k) for k in range(4)]
    write(tmp_path / "data.extxyz", atoms)
    return tmp_path / "d.json", tmp_path / "data.extxyz", tmp_path / "f.h5"


def test_a_file_is_written(run, files):
    descriptor, source, output = files
    result = run("featurize", descriptor, f"{source}@1:", "-o", output, "--dtype", "float32")
    assert result.exit_code == 0
    head = f"{output}: 3 structures, 24 atoms, 2 values per atom in float32, in "
    assert result.stdout.startswith(head)
    assert result.stderr == ""
    f, data = FeatureFile(output), Dataset.read(source)
    expected = D.compute(data.configuration(2, 4.0), dtype="float32")
    np.testing.assert_array_equal(f.values(1), expected)
    again = run("featurize", descriptor, f"{source}@1:", "-o", output, "--resume")
    assert again.exit_code == 1
    message = "was made with dtype = 'float32'; this run has 'float64', and the same is needed"
    assert again.stderr == f"error: resume: {output} {message}\n"


def test_the_descriptor_of_a_model_or_of_a_dat_file(run, files, tmp_path, examples):
    _, source, output = files
    model = examples / "models" / "SymmetryFunctions_Si"
    assert run("featurize", model, source, "-o", output).exit_code == 0
    assert FeatureFile(output).descriptor == tm.PortableModel.load(model).descriptor
    D.to_file(tmp_path / "d.dat")
    kind = ("--kind", "SymmetryFunctions")
    assert run("featurize", tmp_path / "d.dat", source, "-o", output, *kind).exit_code == 0
    assert FeatureFile(output).descriptor == D
    raw = run("featurize", examples / "models" / "StillingerWeber_Si", source, "-o", output)
    assert "a model with a descriptor is needed" in raw.stderr


def test_bad_structures(run, files):
    descriptor, source, output = files
    write(source, bulk("C"), append=True)
    stopped = run("featurize", descriptor, source, "-o", output)
    message = f"{source}@4 (line 41): species = 'C': one of Si, those of the descriptor, is needed"
    assert (stopped.exit_code, stopped.stderr) == (1, f"error: {message}\n")
    assert not output.exists()
    skipped = run("featurize", descriptor, source, "-o", output, "--skip-bad")
    assert skipped.exit_code == 1
    assert skipped.stderr.splitlines() == [
        f"error: {message}",
        f"error: {output}: 1 structures were left out",
    ]
    assert FeatureFile(output).skipped == [message]


def test_progress_of_stages(monkeypatch, capsys):
    with progress.Stages() as stages:
        stages("reading", 1, None)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.Stages() as stages:
        stages("reading", 1, None)
        stages("computing", 1, 2)
        first, second = stages._bar.tasks
    assert (first.description, first.completed, first.total) == ("reading", 1, None)
    assert (second.description, second.completed, second.total) == ("computing", 1, 2)


@pytest.mark.slow
def test_killed_at_any_moment(files):
    """With SIGKILL, with and without worker processes; then resumed."""
    descriptor, source, output = files
    large = tm.SOAP(["Si"], 5.0, n_max=8, l_max=6)
    large.to_file(descriptor)
    write(source, [bulk("Si", cubic=True) * 2 for _ in range(500)])
    command = [sys.executable, "-m", "torchml_core.cli", "featurize", descriptor, source, "-o"]
    subprocess.run([*command, output.with_name("whole.h5")], check=True)
    whole = output.with_name("whole.h5").read_bytes()
    chance, partial = random.Random(0), 0
    for k in range(6):
        workers = ["--workers", "2"] if k % 3 == 2 else []
        process = subprocess.Popen(
            [*command, output, "--resume", *workers], start_new_session=True, stderr=-3, stdout=-3
        )
        if k == 0:
            time.sleep(1.5)  # while structures are read
        else:
            until_values(output, process)
            time.sleep(chance.uniform(0, 0.2))
        with contextlib.suppress(ProcessLookupError):
            # the parent alone, or all of its processes
            (os.kill if k % 2 else os.killpg)(process.pid, signal.SIGKILL)
        process.wait()
        if output.exists():
            f = FeatureFile(output)
            known = np.flatnonzero(f.array("checksums"))
            partial += 0 < len(known) < len(f)
            for place in known[:: max(1, len(known) // 20)]:
                f.values(int(place))  # compared with their checksums
            if f.complete:
                output.unlink()
    subprocess.run([*command, output, "--resume"], check=True)
    assert output.read_bytes() == whole
    assert partial  # killed between its first and last structure


def until_values(output, process):
    """Wait until a process has written more values than there were."""
    before = -1
    while process.poll() is None:
        if output.exists():
            known = np.count_nonzero(FeatureFile(output).array("checksums"))
            if before not in (-1, known):
                return
            before = known
        time.sleep(0.01)
