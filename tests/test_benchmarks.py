"""Tables of benchmarks are kept and compared; no benchmark is run here."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import compare
    import tables

    yield tables, compare
    for name in ("compare", "tables"):
        sys.modules.pop(name)


@pytest.mark.parametrize(("higher_is_better", "slower"), [(True, "b"), (False, "a")])
def test_two_tables_are_compared(modules, higher_is_better, slower, tmp_path, monkeypatch, capsys):
    tables, compare = modules
    paths = []
    for name, a, b in (("old", 1.0, 2000.0), ("new", 2.0, 1000.0)):
        table = tables.Table("speeds", "atoms/s", higher_is_better=higher_is_better)
        table.add("a", {"x": a, "none": None})
        table.add("b", {"x": b})
        table.add("c", {"x": 5.0})
        paths.append(table.save(tmp_path / f"{name}.json"))
    assert "| b | 1,000 |" in table.markdown()
    assert "none" not in table.markdown()
    stored = compare.read(paths[0])
    assert stored["rows"]["a"] == {"x": 1.0}
    assert stored["versions"]["numpy"]
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["compare.py", *map(str, paths)])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert f"SLOWER 0.50x: {slower}, x" in said
    assert said.count("faster 2.00x") == 1
    monkeypatch.setattr(sys, "argv", ["compare.py", str(paths[0]), str(paths[0])])
    with pytest.raises(SystemExit) as ended:
        compare.main()
    assert ended.value.code == 0


def test_other_files_are_refused(modules, tmp_path):
    tmp_path.joinpath("x.json").write_text("[]")
    with pytest.raises(SystemExit, match=r"x.json: a file that tables.py has written is needed"):
        modules[1].read(tmp_path / "x.json")
