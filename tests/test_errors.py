"""Errors that cross processes: pickled and copied, they stay what they are."""

import copy
import multiprocessing
import pickle

import pytest

import torchml_core as tm
from torchml_core import errors

KINDS = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, Exception)]


class Narrow(tm.ModelError):
    """A subclass, by a user say, with parameters of its own."""

    def __init__(self, first, *, second):
        super().__init__(f"{first} and {second}")
        self.first, self.second = first, second


def made(kind):
    if kind is tm.FileFormatError:
        return kind("three numbers are needed", "folder/model.param", 7)
    if kind is Narrow:
        return kind("one", second="two")
    return kind(f"a {kind.__name__}")


@pytest.mark.parametrize("kind", [*KINDS, Narrow])
def test_pickled_and_copied_errors_are_equal(kind):
    error = made(kind)
    error.note = ["what", "a user", "adds"]
    ways = [copy.copy, copy.deepcopy]
    ways += [
        lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(pickle.HIGHEST_PROTOCOL + 1)
    ]
    for way in ways:
        again = way(error)
        assert type(again) is kind
        assert str(again) == str(error)
        assert again.args == error.args
        assert vars(again) == vars(error)


def fail(line):
    raise tm.FileFormatError("not a number", "model.param", line)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_pool_gets_the_error():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        with pytest.raises(tm.FileFormatError, match=r"model\.param:3: not a number") as caught:
            pool.apply_async(fail, (3,)).get(timeout=60)
        assert (caught.value.path, caught.value.line) == ("model.param", 3)
        assert pool.apply_async(len, ("it goes on",)).get(timeout=60) == 10
