"""The programs of docs/reliability.md, each at a small size."""

import ast

import pytest

from reliability import drift, long_runs, mutants, mutated_inputs, random_structures

pytestmark = pytest.mark.slow


def test_mutated_inputs(capfd):
    assert mutated_inputs.main(["--size", "50", "--seed", "7"]) == 0
    assert capfd.readouterr().out.count("50 files") == len(mutated_inputs.READERS)


def test_a_reader_that_fails_is_found(monkeypatch, capfd, tmp_path):
    def make(folder):
        (folder / "numbers.txt").write_text("1 2 3")
        return [folder / "numbers.txt"]

    def read(path):
        [float(word) for word in path.read_bytes().split()]

    monkeypatch.setattr(mutated_inputs.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setitem(mutated_inputs.READERS, "numbers", (make, read))
    assert mutated_inputs.main(["--size", "50", "numbers"]) == 1
    assert "ValueError in " in capfd.readouterr().out


def test_random_structures():
    assert random_structures.main(["--size", "3", "--seed", "7"]) == 0


def test_a_wrong_value_is_found(monkeypatch, capsys):
    draw, row_of = random_structures.KINDS["Xi"]
    monkeypatch.setitem(
        random_structures.KINDS, "Xi", (draw, lambda *a: row_of(*a) * (1 + 1e-8) + 1e-8)
    )
    assert random_structures.main(["Xi", "--size", "3"]) == 1


def test_long_runs():
    assert long_runs.main(["--size", "500", "--threads", "3", "--rounds", "1"]) == 0


def test_drift():
    assert drift.main(["--steps", "2000", "SymmetryFunctions"]) == 0


@pytest.mark.parametrize("kind", ["SymmetryFunctions"])
def test_wrong_forces_drift(monkeypatch, kind):
    right = drift.Energy.of_descriptor

    def wrong(self, atoms):
        energy, forces = right(self, atoms)
        return energy, 1.05 * forces

    monkeypatch.setattr(drift.Energy, "of_descriptor", wrong)
    assert drift.main(["--steps", "500", kind]) == 1


def test_every_fault_is_another_program():
    source = (
        "def f(a, b):\n    if a < b and a is not None:\n        return a + 1\n    return True\n"
    )
    counter = mutants.Change()
    counter.visit(ast.parse(source))
    assert counter.n == 7
    made = {ast.unparse(mutants.Change(k).visit(ast.parse(source))) for k in range(counter.n)}
    assert len(made) == 7
    assert ast.unparse(ast.parse(source)) not in made
