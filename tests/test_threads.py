"""What n_threads means; where no threads can be started, and in forked children."""

import math
import os
import subprocess
import sys

import pytest

import torchml_core as tm
from torchml_core import threads
from torchml_core.threads import processor_time, resolve_threads


def test_none_is_what_the_environment_says(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    processors = resolve_threads()
    assert processors == (threads.n_processors(), True)
    for nonsense in ("many", "", "0", "-3", "²", "1e3", "0x10", "٣"):
        monkeypatch.setenv("OMP_NUM_THREADS", nonsense)
        assert resolve_threads() == processors
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert resolve_threads() == (3, True)
    assert resolve_threads(5) == (5, False)
    assert threads.threads_of_text("0") is None


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, math.inf),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 0\n"}, math.inf),
        (  # of another controller, whose name begins alike
            {
                "proc/self/cgroup": "4:cpuset:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
            },
            math.inf,
        ),
        (  # the least of a group and those around it; the memory's group is another
            {
                "proc/self/cgroup": "0::/slice/job\n",
                "sys/fs/cgroup/slice/job/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/slice/cpu.max": "300000 100000\n",
            },
            3.0,
        ),
        (
            {
                "proc/self/cgroup": "0::/slice/job\n",
                "sys/fs/cgroup/slice/job/cpu.max": "200000 100000\n",
                "sys/fs/cgroup/slice/cpu.max": "300000 100000\n",
            },
            2.0,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/other\n2:cpu,cpuacct:/job\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "250000\n",
                "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            2.5,
        ),
    ],
)
def test_what_control_groups_allow(tmp_path, files, expected):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processor_time(tmp_path) == expected


@pytest.mark.parametrize(("allowed", "expected"), [(0.3, 1), (1.5, 2), (math.inf, 3)])
def test_processors_are_those_of_affinity_and_container(monkeypatch, allowed, expected):
    monkeypatch.setattr(threads, "processor_time", lambda: allowed)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5})
    assert threads.n_processors() == expected


@pytest.mark.parametrize(("idle", "expected"), [(0, 1), (1, 2), (5, 3)])
def test_searches_take_idle_processors_only(monkeypatch, idle, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setattr(threads._parallel, "idle_processors", lambda: idle)
    assert threads.resolve_n_threads() == expected
    assert threads.resolve_n_threads(4) == 4  # what is asked for is done


def test_no_more_than_are_of_use(monkeypatch):
    limit = max(16, 4 * os.cpu_count())
    assert resolve_threads(10**6) == resolve_threads(2**70) == (limit, False)
    for huge in ("1000000", "9" * 5000):
        monkeypatch.setenv("OMP_NUM_THREADS", huge)
        assert resolve_threads() == (limit, True)


@pytest.mark.parametrize("n_threads", [0, -1, 1.5, True, "4", 1e400, float("nan"), 1j, [2]])
def test_bad_numbers_are_named(n_threads):
    with pytest.raises(tm.InputError, match="n_threads = "):
        resolve_threads(n_threads)


FORK = """
import os
import resource
import numpy as np
import torchml_core as tm
from torchml_core import _parallel

positions = np.random.default_rng(0).uniform(0, 20, (2000, 3))
sf = tm.SymmetryFunctions(["Si"], 3.0, [("g2", [[0.1, 0.0]])])

def work(n_threads):
    c = tm.Configuration.from_atoms(
        cutoff=3.0, positions=positions, symbols=["Si"] * 2000, n_threads=n_threads
    )
    return sf.compute(c, n_threads=n_threads).sum()

def in_child(work):
    child = os.fork()
    if child == 0:
        os._exit(0 if work() else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))

def in_little_memory():
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (4 << 20), -1))  # a thread's stack needs 8 MiB
    values = sf.compute(c, n_threads=16)
    # stacks of threads that the parent had, OpenBLAS's, are used again
    return _parallel.n_helpers() < 15 and np.array_equal(values, sf.compute(c, n_threads=1))

c = tm.Configuration.from_atoms(
    cutoff=3.0, positions=positions[:64], symbols=["Si"] * 64, n_threads=1
)
in_child(in_little_memory)
expected = work(2)
in_child(lambda: work(2) == expected and work(None) == expected)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_no_threads_to_be_had_and_new_ones_after_a_fork():
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == ["0", "0"]
