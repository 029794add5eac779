"""The demo as a user runs it, and the structures that it uses."""

import re
import subprocess
import sys

import pytest


def run(script, *arguments):
    return subprocess.run(
        [sys.executable, "-W", "error", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={"OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"},
        timeout=120,
    )


def relative_errors(output):
    return [float(value) for value in re.findall(r"\((\S+) of the largest\)", output)]


@pytest.mark.slow
def test_demo_shows_energy_forces_stress_and_their_errors(examples):
    done = run(examples / "demo.py")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for expected in ("SymmetryFunctions_Si", "Si64", "eV per atom", "atoms/s", "GPa", "largest"):
        assert expected in done.stdout
    errors = relative_errors(done.stdout)
    assert len(errors) == 2  # forces and stress
    assert max(errors) < 1e-7


@pytest.mark.slow
def test_demo_takes_another_model_and_structure(examples):
    models, structures = examples / "models", examples / "structures"
    done = run(
        examples / "demo.py", models / "StillingerWeber_Si", structures / "silicon_cluster.extxyz"
    )
    assert done.returncode == 0, done.stderr
    assert "Si29" in done.stdout
    assert "GPa" not in done.stdout  # a cluster has no stress
    assert [error < 1e-7 for error in relative_errors(done.stdout)] == [True]


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [("nowhere",), (".", "nowhere.xyz")])
def test_demo_says_what_is_missing(arguments, examples):
    model = {".": examples / "models" / "StillingerWeber_Si"}.get(arguments[0], arguments[0])
    done = run(examples / "demo.py", model, *arguments[1:])
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr


def test_structures_are_what_their_script_makes(examples, tmp_path):
    done = run(examples / "structures" / "make_structures.py", tmp_path)
    assert done.returncode == 0, done.stderr
    made = sorted(file.name for file in tmp_path.iterdir())
    assert made == ["silicon.extxyz", "silicon_cluster.extxyz"]
    for name in made:
        assert (tmp_path / name).read_text() == (examples / "structures" / name).read_text()
