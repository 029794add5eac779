"""How many faults, put into a module one at a time, its tests find.

    PYTHONPATH=tests python -m reliability.mutants MODULE.py TEST.py ... [--size N] [--seed S]

A fault is another comparison or operator, a number or a truth value that is off by one, a condition
the other way round. Each is written into a copy of the project, whose tests are run; a mutant that
passes them all is printed, with its line. Only modules in Python: compiled ones take minutes each.
"""

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
OTHER = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


class Change(ast.NodeTransformer):
    """Makes the fault number ``wanted`` of a module; afterwards ``n`` is how many there are."""

    def __init__(self, wanted=None):
        self.wanted, self.n, self.line = wanted, 0, None

    def _this_one(self, node):
        self.n += 1
        if self.n - 1 != self.wanted:
            return False
        self.line = node.lineno
        return True

    def visit_Compare(self, node):
        self.generic_visit(node)
        if type(node.ops[0]) in OTHER and self._this_one(node):
            node.ops[0] = OTHER[type(node.ops[0])]()
        return node

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if type(node.op) in OTHER and self._this_one(node):
            node.op = OTHER[type(node.op)]()
        return node

    visit_BoolOp = visit_BinOp

    def visit_If(self, node):
        self.generic_visit(node)
        if self._this_one(node):
            node.test = ast.UnaryOp(ast.Not(), node.test)
        return node

    def visit_Constant(self, node):
        if isinstance(node.value, (bool, int, float)) and self._this_one(node):
            value = not node.value if isinstance(node.value, bool) else node.value + 1
            return ast.copy_location(ast.Constant(value), node)
        return node

    def visit_JoinedStr(self, node):  # messages
        return node


def run_tests(copy, tests):
    env = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "not slow", *tests]
    try:
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return 1
    return done.returncode


def try_mutants(module, tests, size, seed):
    """Print the mutants that survive. Return how many there were, and how many were killed."""
    source = (PROJECT / module).read_text()
    counter = Change()
    counter.visit(ast.parse(source))
    chosen = random.Random(seed).sample(range(counter.n), min(size, counter.n))
    killed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("torchml_core", "tests", "examples", "benchmarks"):
            shutil.copytree(PROJECT / name, copy / name, symlinks=True)
        shutil.copy(PROJECT / "pyproject.toml", copy)
        if run_tests(copy, tests):
            sys.exit(f"{tests} do not pass as they are")
        for number in chosen:
            change = Change(number)
            tree = ast.fix_missing_locations(change.visit(ast.parse(source)))
            (copy / module).write_text(ast.unparse(tree))
            if run_tests(copy, tests):
                killed += 1
            else:
                line = source.splitlines()[change.line - 1].strip()
                print(f"    survived, line {change.line}: {line}", flush=True)
    print(f"{module}: {killed} of {len(chosen)} mutants killed", flush=True)
    return len(chosen), killed


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("module")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args(arguments)
    try_mutants(told.module, told.tests, told.size, told.seed)


if __name__ == "__main__":
    main()
