"""Checks of arguments: what passes, what is refused, and that the message is short."""

import numpy as np
import pytest

from torchml_core import checks
from torchml_core.errors import InputError

NOT_NUMBERS = (
    None,
    "5",
    b"5",
    True,
    1j,
    np.nan,
    np.inf,
    10**400,
    [5.0],
    np.array([5.0]),
    {},
    object(),
)


@pytest.mark.parametrize("value", NOT_NUMBERS, ids=lambda value: repr(value)[:12])
def test_number_refuses(value):
    for check in (checks.number, checks.positive, checks.not_negative):
        with pytest.raises(InputError, match=r"^cutoff = .* is needed$") as caught:
            check("cutoff", value)
        assert len(str(caught.value)) < 200


def test_numbers_that_pass():
    assert checks.number("x", np.float32(-0.5)) == -0.5
    assert checks.positive("x", np.array(2)) == 2.0
    assert checks.not_negative("x", 0) == 0.0
    for check, value in ((checks.positive, 0.0), (checks.not_negative, -1e-300)):
        with pytest.raises(InputError, match="is needed"):
            check("x", value)


def test_whole():
    assert checks.whole("n", np.int8(3), 1, 3) == 3
    assert checks.whole("n", 1, 1, 3) == 1
    assert checks.whole("n", 2.0) == 2
    assert type(checks.whole("n", np.float32(2))) is int
    for value in (0, 4, 2.5, "2", True, None, 1e400, np.nan, [2], 2**4000):
        with pytest.raises(InputError, match="^n = .*: a whole number from 1 to 3 is needed$"):
            checks.whole("n", value, 1, 3)


def test_one_of_and_flag():
    assert checks.one_of("mode", "full", ("full", None)) == "full"
    with pytest.raises(InputError, match="^mode = 'x': one of 'full', None is needed$"):
        checks.one_of("mode", "x", ("full", None))
    with pytest.raises(InputError, match="one of"):
        checks.one_of("mode", np.array(["full", "x"]), ("full", "x"))
    assert checks.flag("half", np.bool_(True)) is True
    assert checks.flag("half", 0) is False
    for value in ("False", None, 2, np.nan, []):
        with pytest.raises(InputError, match="half = .*True or False is needed"):
            checks.flag("half", value)


def test_sequence():
    assert checks.sequence("names", ("a", "b")) == ["a", "b"]
    assert checks.sequence("names", iter("ab")) == ["a", "b"]
    for value in ("ab", b"ab", {"a", "b"}, frozenset("ab"), {"a": 1}.keys(), 3, np.array(3), None):
        with pytest.raises(InputError, match=r"^names = .*: a sequence is needed$"):
            checks.sequence("names", value)


@pytest.mark.parametrize("value", [None, "float64 ", np.int32, "x", 64, np.float16])
def test_real_dtype_refuses(value):
    with pytest.raises(InputError, match="^dtype = .*: float64 or float32 is needed$"):
        checks.real_dtype("dtype", value)


def test_periodic():
    assert checks.periodic("pbc", True).tolist() == [True] * 3
    assert checks.periodic("pbc", (1, 0, 1)).tolist() == [True, False, True]
    assert checks.periodic("pbc", [True, False, False], (2, 3)).shape == (2, 3)
    for value in ([[True], [False]], np.ones((2, 3), bool, order="F")):
        assert checks.periodic("pbc", value, (2, 3)).flags.c_contiguous
    for value in ("False", "FFF", np.nan, [True, False], [0, 1, 2], None, [[True], [True, False]]):
        with pytest.raises(InputError, match=r"^pbc = .*: True or False, or an array"):
            checks.periodic("pbc", value)


def test_flags():
    found = checks.flags("contributing", [1, 0, 1], (3,))
    assert found.dtype == bool
    assert found.tolist() == [True, False, True]
    assert checks.flags("contributing", [], (0,)).dtype == bool
    for value, message in (
        ([True], r"^contributing has shape \(1,\); \(2,\) is needed"),
        (True, r"has shape \(\); \(2,\) is needed"),
        ([0, 2], "an array of True or False of shape"),
        ([0.0, 1.0], "an array of True or False of shape"),
    ):
        with pytest.raises(InputError, match=message):
            checks.flags("contributing", value, (2,))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ([0, 2**32 + 1], np.int32),
        ([0, 2**31], np.int32),
        ([2**64], np.int32),
        ([0, -(2**31) - 1], np.int32),
        (np.array([2**32 - 1], dtype=np.uint32), np.int32),
        (np.array([2**63], dtype=np.uint64), np.int64),
    ],
)
def test_integers_do_not_wrap(values, dtype):
    with pytest.raises(
        InputError, match=r"neighbors(\[\d\] =| has) -?\d+.*(at (least|most)|64-bit)"
    ):
        checks.integers("neighbors", values, dtype=dtype)


def test_integers():
    found = checks.integers("i", np.array([1, 2], dtype=np.uint64), (2,), least=1, most=2)
    assert found.dtype == np.int32
    assert checks.integers("i", []).shape == (0,)
    assert checks.integers("i", np.array([-1, 1], dtype=object)).tolist() == [-1, 1]
    for values, message in (
        ([0, 3], r"i\[1\] = 3: at most 2"),
        ([-1, 2], r"i\[0\] = -1: at least 0"),
        ([0.5], "dtype float64"),
        ([True], "dtype bool"),
        (np.zeros(0, dtype=bool), "dtype bool"),
        ([[1]], r"shape \(1, 1\)"),
        ([[1], [1, 2]], "array of integers"),
    ):
        with pytest.raises(InputError, match=message):
            checks.integers("i", values, least=0, most=2)


def test_real_numbers():
    assert checks.positions("positions", [[1, 2, 3]]).dtype == np.float64
    assert checks.positions("positions", []).shape == (0, 3)
    single = np.ones((2, 3), dtype=np.float32)
    assert checks.real_numbers("dr", single, (2, 3), keep_float32=True).dtype == np.float32
    assert checks.real_numbers("dr", single, (2, 3)).dtype == np.float64
    for values, message in (
        ([[0, 0, 1j]], "dtype complex128; real numbers"),
        ([["0", "0", "1"]], "real numbers"),
        ([[0, 0, np.nan]], r"^positions\[0, 2\] = nan: a finite number is needed"),
        ([[0, 0, np.inf]], r"^positions\[0, 2\] = inf: a finite number is needed"),
        ([[0, 0]], r"shape \(1, 2\); \(n, 3\) is needed"),
        ([0.0, 0.0, 0.0], r"shape \(3,\)"),
        ([[0, 0], [1]], "shape"),
        (None, "positions"),
    ):
        with pytest.raises(InputError, match=message):
            checks.positions("positions", values)


def test_values_are_shortened():
    for value in (
        "x" * 5000,
        10**5000,
        list(range(5000)),
        np.zeros(5000),
        {k: k for k in range(99)},
    ):
        assert len(checks.shown(value)) < 120
    assert len(checks.shown(["x" * 70] * 8)) == 200
    assert checks.shown(np.zeros(17)) == "array of shape (17,) and dtype float64"
