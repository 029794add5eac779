"""Code and pickles that go so deep that torch would end the process."""

import pytest

from torchml_core.portable.script_nesting import check_code, check_value
from torchml_core.portable.script_pickle import Object

N = 3000


@pytest.mark.parametrize(
    "code",
    [
        "    x = " + "(" * N + "1" + ")" * N,
        "    x = " + "[" * N,
        "    x = 1" + " + y" * N,
        "    x = " + "-" * N + "1",
        "    x = " + "not " * N + "y",
        "    x = y" + "[0]" * N,
        "    x = y" + ".z" * N,
        "    x = " + "y if z else " * N + "y",
        "    x = (1" + "\n + y" * N + ")",  # a statement in brackets may have many lines
        "    x = 1" + " \\\n + y" * N,
        "".join(f"{'  ' * k}if x:\n" for k in range(N)),
        "List[" * N,
        '    x = """',  # could hide what follows from the reader here
    ],
)
def test_code_that_is_too_deep(code):
    with pytest.raises(ValueError, match="more than 500 levels|triple quotes"):
        check_code(f"class A(Module):\n{code}\n")


@pytest.mark.parametrize(
    "code",
    [
        "    x = 1 + y\n" * N,  # many statements
        "    x = [" + "-1.5e-05, " * N + "]\n",  # many numbers
        "    x = [" + "[1., 2.], " * N + "]\n",
        '    x = "' + "(-.+[" * N + '"\n',  # a text
        r'    x = "\"' + "(" * N + '"\n',
        "    x = f(y, )\n" * N,
    ],
)
def test_code_that_is_long_only(code):
    check_code(f"class A(Module):\n{code}")


def nested(wrap, n):
    value = ()
    for _ in range(n):
        value = wrap(value)
    return value


@pytest.mark.parametrize(
    "wrap",
    [
        lambda v: [v],
        lambda v: (1, v),
        lambda v: {"a": v},
        lambda v: Object("__torch__.A", {"part": v}),
    ],
)
def test_values(wrap):
    check_value(nested(wrap, 200))
    check_value([nested(wrap, 200)] * N)  # many, and the same
    with pytest.raises(ValueError, match="more than 500 levels"):
        check_value(nested(wrap, N))


def test_values_that_are_shared_are_looked_at_once():
    value = [1]
    for _ in range(100):
        value = [value, value]  # 2**100 paths
    check_value(value)


def test_values_that_hold_themselves():
    for value in ([], [[]]):
        value[-1:] = [value]
        with pytest.raises(ValueError, match="holds itself"):
            check_value(value)
    module = Object("__torch__.A")
    module.attributes["self"] = [module]
    with pytest.raises(ValueError, match="holds itself"):
        check_value(module)
