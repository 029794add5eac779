"""``torchml-core bench``, with a comparison that takes no time."""

import pytest

from torchml_core.bench import peers, running
from torchml_core.bench.comparison import Agreement, Case, Comparison, Program
from torchml_core.bench.result import Result
from torchml_core.bench.turns import Effort
from torchml_core.cli import bench


@pytest.fixture
def tiny(monkeypatch):
    """Let the command know one comparison only: a function that makes it, of its cases."""
    for variable in peers.THREAD_VARIABLES:
        monkeypatch.setenv(variable, "1")  # which the command sets, and this restores
    for name in ("FULL", "QUICK"):
        monkeypatch.setattr(running, name, Effort(0.0, 2, 2, 0.0))

    def use(**cases):
        found = {name: Case(make, quick=True) for name, make in cases.items()}
        comparison = Comparison("tiny", "Tiny", "atoms/s", "row", "", found)
        monkeypatch.setattr(running, "COMPARISONS", {"tiny": comparison})
        monkeypatch.setattr(bench, "NAMES", ("tiny",))

    return use


def ours_and_ase(difference=0.0):
    def make(n_threads):
        peer = Program(
            "ase",
            list,
            peer="ase",
            against="ours",
            check=lambda: Agreement("values", difference, 1e-9),
        )
        return 1, [Program("ours", list), peer]

    return make


def interrupted(n_threads):
    raise KeyboardInterrupt


def test_report_results_and_picture(run, tiny, tmp_path):
    tiny(first=ours_and_ase())
    done = run("bench", "--quick", "-o", tmp_path / "new" / "folder")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "new" / "folder" / "report.md").read_text()
    assert "- ase: values agree with ours exactly." in text
    assert "![Tiny](tiny.png)" in text
    assert (tmp_path / "new" / "folder" / "tiny.png").read_bytes().startswith(b"\x89PNG")
    found = Result.read(tmp_path / "new" / "folder" / "results.json")
    assert found.settings == {"finished": True, "threads": 1, "quick": True}


def test_results_that_differ_are_an_error(run, tiny, tmp_path):
    tiny(first=ours_and_ase(1e-3))
    done = run("bench", "-o", tmp_path)
    assert done.exit_code == 1
    assert "error: first, ase: values differ by 1.0e-03, more than 1e-09" in done.stderr


def test_what_was_finished_before_an_interruption_is_kept(run, tiny, tmp_path):
    tiny(first=ours_and_ase(), second=interrupted)
    done = run("bench", "-o", tmp_path)
    assert done.exit_code == 130
    found = Result.read(tmp_path / "results.json")
    assert list(found.tables["tiny"].rows) == ["first"]
    assert not found.settings["finished"]
    assert "**interrupted**" in (tmp_path / "report.md").read_text()


def test_without_matplotlib_there_are_no_pictures(run, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    tiny(first=ours_and_ase())
    done = run("bench", "-o", tmp_path)
    assert done.exit_code == 0
    assert "no pictures: they need matplotlib" in done.stderr
    assert "![" not in (tmp_path / "report.md").read_text()


def test_help_names_all_tables(run):
    assert tuple(running.COMPARISONS) == bench.NAMES
    text = "".join(run("bench", "--help").output.split())
    assert f"only:{','.join(running.COMPARISONS)}." in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--only", "lists,soaps"), "soaps: the tables are lists, symmetry-functions, soap,"),
        (("--only", " , "), "no name: the tables are"),
        (("--threads", "0"), "0 is not in the range"),
        (("--compare", "a.json", "b.json", "--quick"), "--least is its only other option"),
    ],
)
def test_usage_errors(run, arguments, message):
    done = run("bench", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr


def test_two_results_are_compared(run, tiny, tmp_path):
    tiny(first=ours_and_ase())
    run("bench", "-o", tmp_path)
    old, new = tmp_path / "results.json", tmp_path / "new.json"
    result = Result.read(old)
    result.tables["tiny"].spread = {}
    own = result.tables["tiny"].rows["first"]
    own["ours"], own["ase"] = own["ours"] / 2, own["ase"] * 3
    result.commit = "abc"
    result.write(new)
    done = run("bench", "--compare", old, new)
    assert done.exit_code == 1
    assert "SLOWER 0.50x: tiny, first, ours:" in done.output
    assert "faster 3.00x: tiny, first, ase:" in done.output
    assert "-> abc" in done.output
    assert "| first | 0.50 | 3.00 |" in done.output
    assert run("bench", "--compare", old, old).exit_code == 0
    own["ours"] *= 2
    own["ase"] /= 9
    result.write(new)
    done = run("bench", "--compare", old, new)
    assert "SLOWER 0.33x: tiny, first, ase:" in done.output
    assert done.exit_code == 0  # ours is not slower
    own["ours"] /= 2
    result.write(new)
    assert run("bench", "--compare", old, new, "--least", "4").exit_code == 0
    done = run("bench", "--compare", old, tmp_path / "none.json")
    assert done.exit_code == 1
    assert "none.json" in done.stderr
