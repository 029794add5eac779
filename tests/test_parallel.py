"""Loops in threads: helpers, signals, forks; descriptors' verbs are such loops."""

import os
import signal
import time

import numpy as np
import pytest
from ase.build import bulk
from children import in_child

import torchml_core as tm
from torchml_core import _parallel

DESCRIPTOR = tm.SymmetryFunctions(["Si"], 5.0, [("g2", [[0.1, 0.0]]), ("g4", [[2, 1, 0.05]])])


def configuration(n_cells, cutoff=DESCRIPTOR.cutoff):
    atoms = bulk("Si", cubic=True) * (n_cells, 1, 1)
    atoms.rattle(0.05, seed=0)
    return tm.Configuration.from_atoms(atoms, cutoff)


SMALL = configuration(8)


def vjp(c, **options):
    return DESCRIPTOR.vjp(c, np.ones((c.n_centers, DESCRIPTOR.width)), virial=True, **options)[1]


def test_as_many_threads_as_are_asked_for():
    before = _parallel.n_helpers()
    DESCRIPTOR.compute(SMALL, n_threads=before + 2)
    assert _parallel.n_helpers() == before + 1


def test_a_million_threads():
    expected = DESCRIPTOR.compute(SMALL, n_threads=1)
    for huge in (10**6, 2**70):
        np.testing.assert_array_equal(DESCRIPTOR.compute(SMALL, n_threads=huge), expected)
    assert _parallel.n_helpers() < max(16, 4 * os.cpu_count())


def test_small_work_calls_nobody():
    tiny = configuration(1)
    in_one = in_child(lambda: DESCRIPTOR.compute(tiny).shape[0] + 100 * _parallel.n_helpers())
    assert in_one == tiny.n_centers


@pytest.mark.parametrize("verb", ["compute", "vjp"])
def test_signals_are_handled_in_the_middle(verb):
    slow = tm.SymmetryFunctions(["Si"], 7.0, [("g4", [[2, 1, 0.01 * k] for k in range(200)])])
    n_cells, took = 8, 0.0
    while took < 0.4:  # on whatever machine
        n_cells *= 2
        c = configuration(n_cells, slow.cutoff)
        given = (c,) if verb == "compute" else (c, np.ones((c.n_centers, slow.width)))
        took = -time.perf_counter()
        getattr(slow, verb)(*given)
        took += time.perf_counter()
    seen = []

    def handler(*_):
        seen.append(DESCRIPTOR.compute(SMALL))  # handlers may compute too
        if len(seen) == 2:  # after the call, there is only one: signals are not counted
            raise InterruptedError

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
    try:
        with pytest.raises(InterruptedError):
            getattr(slow, verb)(*given)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for values in (*seen, DESCRIPTOR.compute(SMALL)):
        np.testing.assert_array_equal(values, DESCRIPTOR.compute(SMALL, n_threads=1))


def test_a_forked_child_has_threads_of_its_own():
    expected = vjp(SMALL, n_threads=2)

    def work():
        at_first = _parallel.n_helpers()
        same = np.array_equal(vjp(SMALL, n_threads=3), expected)
        return 100 * at_first + 10 * _parallel.n_helpers() + same

    assert in_child(work) == 21
    assert in_child(lambda: in_child(work)) == 21  # and its children too
    np.testing.assert_array_equal(vjp(SMALL, n_threads=2), expected)
