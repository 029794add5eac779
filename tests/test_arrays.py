"""Checks of whole arrays: the same answers as numpy's."""

import itertools

import numpy as np
import pytest

from torchml_core._arrays import are_finite, are_same

x = np.arange(12.0).reshape(4, 3)


def test_are_same_as_array_equal():
    nan, zero, minus_zero, near = x.copy(), x.copy(), x.copy(), x.copy()
    nan[1, 1], zero[3, 2], minus_zero[0, 0], near[3, 2] = np.nan, 0, -0.0, np.nextafter(11, 12)
    arrays = [x, nan, zero, minus_zero, near, x[:3], x.T, np.asfortranarray(x), x[::2], x[:0]]
    arrays += [x.astype(kind) for kind in (int, np.int32, np.float32, bool)]
    arrays += [x.astype(int) + 2**40, x.astype(int) % 2 == 0, 3.0, [1, 2], None]
    for one, other in itertools.product(arrays, arrays):
        assert are_same(one, other) == np.array_equal(one, other)
    assert are_same(x, x.copy())
    assert not are_same(x, near)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_are_finite(bad):
    for dtype in (np.float64, np.float32):
        y = x.astype(dtype)
        assert are_finite(y)
        assert are_finite(y[:, ::2])
        y[3, 2] = bad
        assert not are_finite(y)
        assert not are_finite(y[:, ::2])
    assert are_finite(np.full(3, np.finfo(float).max))
    assert are_finite(np.arange(3))
