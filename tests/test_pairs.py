"""Searches that other threads, signal handlers and finalizers come in between."""

import linecache
import os
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from children import in_child
from structures import rattled_silicon

import torchml_core as tm
from torchml_core import _parallel
from torchml_core._neighbors import PairSearch
from torchml_core.graph import staged_graph
from torchml_core.pairs import search_pairs
from torchml_core.structure import as_structure

QUANTITIES = "ijSDd"


def lists_of(search):
    n = search.n_pairs
    arrays = [np.empty(n, np.int32), np.empty(n, np.int32), np.empty((n, 3), np.int32)]
    arrays += [np.empty((n, 3)), np.empty(n)]
    search.fill(*arrays)
    return arrays


def assert_equal(found, expected):
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@contextmanager
def timer(handler, first, interval=0.0):
    before = signal.signal(signal.SIGALRM, lambda *_: handler())
    signal.setitimer(signal.ITIMER_REAL, first, interval)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Interruption(Exception):
    pass


def interrupt():
    raise Interruption


def test_a_search_holds_while_another_runs():
    one, other = as_structure(rattled_silicon(2, seed=1)), as_structure(rattled_silicon(4, seed=2))
    expected = tm.neighbor_list(QUANTITIES, one, 5.0)
    with search_pairs(one, 5.0) as search:
        with search_pairs(other, 6.0) as inner:
            assert inner is not search
        assert_equal(lists_of(search), expected)
    with search_pairs(other, 5.0) as again, search_pairs(one, 5.0) as third:
        assert again is not third


def test_the_memory_of_a_small_search_is_used_again():
    with search_pairs(as_structure(rattled_silicon(1)), 3.0) as first:
        pass
    with search_pairs(as_structure(rattled_silicon(1)), 3.0) as second:
        assert second is first


def test_a_search_that_failed_is_not_used_again():
    structure = as_structure(rattled_silicon(1))
    with pytest.raises(Interruption), search_pairs(structure, 3.0) as first:
        interrupt()
    with search_pairs(structure, 3.0) as second:
        assert second is not first


def test_a_workspace_in_use_is_refused():
    atoms, out = rattled_silicon(1), tm.NeighborWorkspace()
    with search_pairs(as_structure(atoms), 3.0, search=out._search):
        with pytest.raises(tm.InputError, match="out = this workspace: it is in use by another"):
            tm.neighbor_list("ij", atoms, 3.0, out=out)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(tm.neighbor_list, "ij", atoms, 3.0, out=out)
            assert isinstance(other.exception(), tm.InputError)
    assert_equal(
        tm.neighbor_list(QUANTITIES, atoms, 3.0, out=out), tm.neighbor_list(QUANTITIES, atoms, 3.0)
    )


@pytest.fixture(scope="module")
def long_search():
    """Arguments of PairSearch.run with which it takes some tenths of a second, on any machine."""
    positions = np.random.default_rng(0).uniform(0, 100, (40_000, 3))
    offsets, cells = np.array([0, len(positions)]), np.zeros((1, 3, 3))
    for cutoff in 5.0 * 1.3 ** np.arange(8):
        arguments = (positions, offsets, cells, np.zeros((1, 3), np.int32), cutoff)
        search = PairSearch()
        start = time.perf_counter()
        search.run(*arguments, ordered=True)  # slower, so that there are not too many pairs
        if time.perf_counter() - start > 0.3:
            break
    return search, arguments


def test_signal_handlers_run_within_a_search(long_search):
    _, arguments = long_search
    calls = []
    with timer(lambda: calls.append(time.perf_counter()), 0.01, 0.01):
        PairSearch().run(*arguments, ordered=True, n_threads=2)
        n_calls = len(calls)
    assert n_calls > 2  # else Python itself calls it once, when run has returned


def test_a_search_that_is_interrupted_can_be_used_again(long_search):
    expected, arguments = long_search
    search = PairSearch()
    with timer(interrupt, 0.1), pytest.raises(Interruption):
        search.run(*arguments, ordered=True, n_threads=2)
    search.run(*arguments, ordered=True)
    np.testing.assert_array_equal(search.offsets, expected.offsets)
    neighbors = [np.empty(expected.n_pairs, np.int32) for _ in range(2)]
    search.fill(j=neighbors[0])
    expected.fill(j=neighbors[1])
    assert np.array_equal(*neighbors)


def test_a_forked_child_searches_with_threads_of_its_own():
    atoms = rattled_silicon(6)
    expected = tm.neighbor_list(QUANTITIES, atoms, 5.0, n_threads=2)

    def work():
        at_first = _parallel.n_helpers()
        assert_equal(tm.neighbor_list(QUANTITIES, atoms, 5.0, n_threads=3), expected)
        return 10 * at_first + _parallel.n_helpers()

    assert in_child(work) == 2


def test_a_child_that_is_forked_within_a_search_does_not_wait_for_its_parents_threads(long_search):
    expected, arguments = long_search
    search, child, said = PairSearch(), None, ""

    def fork():
        nonlocal child
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(20)  # rather than to hang

    with timer(fork, 0.1):
        try:
            search.run(*arguments, ordered=True, n_threads=2)
        except RuntimeError as error:
            said = str(error)
        if child == 0:  # all is there if it was forked between two loops
            os._exit(not (said.startswith("this process was forked") or search.n_pairs))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not said
    np.testing.assert_array_equal(search.offsets, expected.offsets)


@pytest.mark.slow
def test_signal_handlers_run_within_each_long_step():
    """A handler is called several times at one place in Python only if the step there lets it."""
    atoms = rattled_silicon(58)
    atoms.pbc = False
    calls = Counter()

    def note():
        frame = sys._getframe(2)  # what was interrupted
        calls[linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()] += 1

    with timer(note, 0.01, 0.01):
        for structure in (atoms, as_structure(atoms)):  # the second takes another way
            tm.neighbor_list("j", structure, 6.0, n_threads=1)
            c = tm.Configuration.from_atoms(structure, 6.0, n_threads=1)
        c.all_rows = c.centers, c.offsets, c.neighbors
        c.staged_graph(5.0, 1)
    one_step = ("plain_lists(", "plain_particles(")
    steps = ("found.run(", "search.fill(", "search.particles(", "near_rows(", "staged_edges(")
    for step in (*one_step, *steps):
        assert max((n for line, n in calls.items() if step in line), default=0) > 2, (step, calls)


def test_handlers_may_search():
    """In whatever step the interrupted search is: each gets its own lists, and the right ones."""
    atoms, other = rattled_silicon(10), rattled_silicon(2)
    expected, other_expected = (tm.neighbor_list(QUANTITIES, a, 6.0) for a in (atoms, other))
    graph = staged_graph(atoms.positions, np.ones(len(atoms), bool), 4.0, 2)
    n_calls = 0

    def search():
        nonlocal n_calls
        n_calls += 1
        assert_equal(tm.neighbor_list(QUANTITIES, other, 6.0), other_expected)

    with timer(search, 0.01, 0.01):
        for _ in range(3):
            found = tm.neighbor_list(QUANTITIES, atoms, 6.0)
            edges = staged_graph(atoms.positions, np.ones(len(atoms), bool), 4.0, 2)
    assert n_calls > 0
    assert_equal(found, expected)
    assert_equal(edges, graph)


def test_memory_is_asked_for_before_a_search(monkeypatch):
    atoms = rattled_silicon(6)
    n_pairs = len(tm.neighbor_list("i", atoms, 12.0))
    for module in ("pairs", "_one_step"):
        monkeypatch.setattr(f"torchml_core.{module}.available_memory", lambda: 20 * n_pairs)
    assert len(tm.neighbor_list("i", atoms, 12.0)) == n_pairs
    with pytest.raises(tm.InputError, match="cutoff = 12 is far too large for this cell"):
        tm.neighbor_list("ijSDd", atoms, 12.0)  # five times as many bytes
