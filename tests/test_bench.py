"""Results of benchmarks: measured, stored, reported, compared. What is measured here is tiny."""

import json

import numpy as np
import pytest

from torchml_core.bench import lists, peers, running
from torchml_core.bench.changes import changes, facts_that_differ
from torchml_core.bench.comparison import Agreement, Case, Comparison, Program
from torchml_core.bench.report import report
from torchml_core.bench.result import Result
from torchml_core.bench.structures import silicon
from torchml_core.bench.table import Table
from torchml_core.bench.turns import Effort, Seconds, in_turns
from torchml_core.errors import FileFormatError, InputError

TINY = Effort(0.0, 2, 2, 0.0)


def a_table(*, higher_is_better=True, ours=2000.0, theirs=100.0):
    table = Table("speeds", "atoms/s", higher_is_better=higher_is_better, first="row")
    table.add("a", {"ours": ours, "theirs": theirs, "none": None})
    table.add("b", {"ours": 5.0})
    table.against["theirs"] = "ours"
    return table


def a_result(**options):
    result = Result({"threads": 1, "finished": True})
    result.tables["speeds"] = a_table(**options)
    return result


def program(name, peer="", difference=0.0, work=lambda: None):
    return Program(
        name,
        work,
        peer=peer,
        against="ours" if peer else "",
        check=(lambda: work() or Agreement("values", difference, 1e-9)) if peer else None,
        seconds=lambda _: Seconds(1e-3 if not peer else 4e-3, 5e-3),
    )


def measured(*programs, n_threads=1):
    table = Table("speeds", "atoms/s", higher_is_better=True)
    running.measure(table, "row", Case(lambda n: (10, list(programs))), TINY, n_threads)
    return table


def test_ratios_say_how_many_times_as_fast_ours_is():
    assert a_table().ratio("a", "theirs") == 20
    assert a_table(higher_is_better=False).ratio("a", "theirs") == pytest.approx(1 / 20)
    assert a_table().ratio("b", "theirs") is None
    text = a_table().markdown()
    assert "| a | 2,000 | 100 (20×) |" in text
    assert "| b | 5 |  |" in text
    assert "none" not in text


def test_medians_are_of_processor_time_for_one_thread():
    one, two = (measured(program("ours"), n_threads=n) for n in (1, 2))
    assert one.rows["row"]["ours"] == pytest.approx(10 / 1e-3)
    assert one.by_clock["row"]["ours"] == pytest.approx(10 / 5e-3)
    assert two.rows["row"]["ours"] == pytest.approx(10 / 5e-3)


def test_short_work_is_repeated():
    counts = []
    in_turns({"short": lambda n: counts.append(n) or Seconds(1e-5, 1e-5)}, TINY)
    assert counts == [1, 2000, 2000]


def test_other_packages_fail_differ_or_are_missing(monkeypatch):
    def fail():
        raise OSError("libmpi.so.12:\nno such file")

    monkeypatch.setattr(running, "installed", lambda name: name != "featomic")
    table = measured(
        program("ours"),
        program("good", peer="ase"),
        program("wrong", peer="vesin", difference=1e-3),
        program("other pairs", peer="vesin", difference=np.inf),
        program("broken", peer="LAMMPS", work=fail),
        program("absent", peer="featomic"),
    )
    assert table.columns() == ["ours", "good", "wrong", "other pairs"]
    assert table.ratio("row", "good") == pytest.approx(4)
    assert table.failed == {"row": {"broken": "OSError: libmpi.so.12: no such file"}}
    assert [found[1] for found in table.disagreements()] == ["wrong", "other pairs"]
    result = a_result()
    result.tables = {"speeds": table}
    result.missing = {"featomic": "featomic"}
    text = report(result)
    assert "- good: values agree with ours exactly." in text
    assert "- wrong: values **differ from ours** to 1e-03." in text
    assert "**speeds, row, other pairs: values differ.**" in text
    assert "could not be run: OSError: libmpi.so.12: no such file" in text
    assert "Not installed: featomic. `pip install featomic`" in text


def test_our_own_failures_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        measured(Program("ours", lambda: 1 / 0))


def test_a_result_is_stored_and_read_back(tmp_path):
    result, path = a_result(), tmp_path / "results.json"
    result.tables["speeds"].add_agreement("a", "theirs", Agreement("values", np.inf, 0.0))
    result.write(path)
    found = Result.read(path)
    assert found.tables["speeds"].stored() == result.tables["speeds"].stored()
    assert report(found) == report(result)
    assert found.versions["numpy"] == np.__version__
    assert found.machine["instructions"]
    assert "/" not in found.versions["torchml_core"]  # no paths of who ran it


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: [], "a JSON object is needed"),
        (lambda d: d | {"format": "x"}, "`torchml-core bench` has written"),
        (lambda d: d | {"date": 3}, "date is needed, as str"),
        (lambda d: d | {"tables": {"speeds": {}}}, "speeds: rows, title, .* are needed"),
        (
            lambda d: d | {"tables": {"speeds": a_table().stored() | {"rows": {"a": {"x": "1"}}}}},
            "speeds: rows is needed as",
        ),
    ],
)
def test_other_files_are_refused(damage, message, tmp_path):
    path = tmp_path / "results.json"
    a_result().write(path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(FileFormatError, match=rf"results.json:\d+: .*{message}"):
        Result.read(path)


def test_changes_of_two_results():
    old, new = a_result(theirs=100.0), a_result(theirs=200.0)
    assert [c.ratio for c in changes(old, new)] == [1, 2, 1]
    assert [c.ours for c in changes(old, new)] == [True, False, True]
    for result, spread in ((old, [90, 110]), (new, [105, 300])):
        result.tables["speeds"].spread = {"a": {"theirs": spread}}
    assert [c.clear for c in changes(old, new)] == [True, False, True]
    new.tables["speeds"].spread["a"]["theirs"][0] = 111
    assert [c.clear for c in changes(old, new)] == [True, True, True]
    old, new = (a_result(higher_is_better=False, theirs=x) for x in (100.0, 200.0))
    assert [c.ratio for c in changes(old, new)] == [1, 0.5, 1]
    new.settings["threads"] = 2
    assert "2 threads (always one: ase," in report(new)
    assert "threads: 1 -> 2" in list(facts_that_differ(old, new))
    with pytest.raises(InputError, match="the units are"):
        changes(a_result(), new)
    new.tables = {}
    with pytest.raises(InputError, match="no figure in common"):
        changes(old, new)


def test_packages_are_installed_or_missing():
    assert {*peers.missing()} | {*peers.versions()} == {*peers.PEERS}


def test_lists_with_other_pairs_are_found():
    atoms = silicon(1)
    right = lists.ase(atoms, 4.0, 1)
    assert lists._compare(lambda: right, atoms, 4.0).agrees
    order = np.random.default_rng(0).permutation(len(right[0]))
    assert lists._compare(lambda: [x[order] for x in right], atoms, 4.0).agrees
    assert not lists._compare(lambda: [x[1:] for x in right], atoms, 4.0).agrees
    i, j, S, D, d = right
    swapped = np.r_[j[1], j[0], j[2:]]
    assert not lists._compare(lambda: (i, swapped, S, D, d), atoms, 4.0).agrees
    assert not lists._compare(lambda: (i, j, S, D, d + 1e-6), atoms, 4.0).agrees


@pytest.mark.slow
@pytest.mark.parametrize(
    ("comparison", "case"),
    [
        ("lists", "8 Si, 6 Å (many images)"),
        ("symmetry-functions", "values"),
        ("soap", "one element"),
    ],
)
def test_what_is_installed_agrees_with_ours(comparison, case):
    table = Table(comparison, "atoms/s", higher_is_better=True)
    running.measure(table, case, running.COMPARISONS[comparison].cases[case], TINY, 1)
    assert table.disagreements() == []
    assert table.failed == {}
    assert table.agreement[case]  # ASE and DScribe are among what tests need


def tiny_comparison(cases):
    return Comparison("tiny", "Tiny", "atoms/s", "row", "A text.", cases)


def test_a_run_yields_after_each_case(monkeypatch):
    monkeypatch.setattr(running, "QUICK", TINY)
    cases = {
        "a": Case(lambda n: (1, [program("ours")]), quick=True),
        "b": Case(lambda n: (1, [program("ours")])),
        "c": Case(lambda n: (1, [program("ours")]), quick=True),
    }
    result, seen = Result(), []
    for step in running.run(result, [tiny_comparison(cases)], quick=True, n_threads=1):
        seen.append((step, len(result.tables["tiny"].rows) if result.tables else 0))
    assert seen == [(("Tiny", 0, 2), 0), (("Tiny", 1, 2), 1), (("Tiny", 2, 2), 2)]


def test_results_in_the_source_code_can_be_read(project):
    paths = sorted((project / "benchmarks" / "results").glob("*.json"))
    assert paths
    for path in paths:
        assert Result.read(path).tables, path
