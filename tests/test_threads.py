"""What n_threads means, and that forked children do not wait for threads they do not have."""

import os
import subprocess
import sys

import pytest

import torchml_core as tm
from torchml_core.threads import resolve_n_threads


def test_none_is_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert resolve_n_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert resolve_n_threads() >= 1
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert resolve_n_threads() >= 1
    assert resolve_n_threads(5) == 5


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, True])
def test_bad_numbers_are_named(n_threads):
    with pytest.raises(tm.InputError, match="n_threads = "):
        resolve_n_threads(n_threads)


FORK = """
import os
import numpy as np
import torchml_core as tm

positions = np.random.default_rng(0).uniform(0, 20, (2000, 3))
sf = tm.SymmetryFunctions(["Si"], 3.0, [("g2", [[0.1, 0.0]])])

def work(n_threads):
    c = tm.Configuration.from_atoms(
        cutoff=3.0, positions=positions, symbols=["Si"] * 2000, n_threads=n_threads
    )
    return sf.compute(c, n_threads=n_threads).sum()

expected = work(2)
child = os.fork()
if child == 0:
    os._exit(0 if work(2) == expected and work(None) == expected else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_does_not_hang():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "0"
