"""Numbers in text files: what counts as one, and what only looks like one."""

import pytest

from torchml_core import text_numbers
from torchml_core.errors import InputError

NUMBERS = {
    "0": 0.0,
    "-1": -1.0,
    "+2.50": 2.5,
    ".5": 0.5,
    "5.": 5.0,
    "1e-3": 1e-3,
    "1.5E+02": 150.0,
    "1.5d-3": 1.5e-3,
    "-2.D0": -2.0,
    "007": 7.0,
    "1e-999": 0.0,
    "4.9406564584124654e-324": 5e-324,
    "0.1000000000000000055511151231257827021181583404541015625": 0.1,
}
LIKE_NUMBERS = [
    "1_0",
    "0x10",
    "1,5",
    "1e",
    "1e5.0",
    "1.2.3",
    "٣",
    "1٣",
    "−1",
    "--1",
    "1j",
    "9" * 65,
]
WORDS = ["", "e5", "Si", "eta", "True", "-", ".", "+-", "d0", "infinit", "nano"]


@pytest.mark.parametrize("word", NUMBERS)
def test_numbers(word):
    assert text_numbers.parse_number("x", word) == NUMBERS[word]
    assert text_numbers.is_number(word)
    assert text_numbers.begins_like_number(word)


@pytest.mark.parametrize("word", [*LIKE_NUMBERS, *WORDS, "nan", "-inf", "Infinity", "1e309"])
def test_what_is_none(word):
    with pytest.raises(InputError, match="^x = .* is needed$") as caught:
        text_numbers.parse_number("x", word)
    assert len(str(caught.value)) < 200


def test_what_is_meant_for_a_number():
    """So that it is an error and not a word that may be skipped."""
    for word in LIKE_NUMBERS:
        assert text_numbers.begins_like_number(word), word
        assert not text_numbers.is_number(word), word
    for word in ("nan", "-inf", "Infinity", "1e309"):
        assert text_numbers.is_number(word)
    for word in WORDS:
        assert not text_numbers.begins_like_number(word), word


def test_whole_numbers():
    assert text_numbers.parse_whole("n", "3") == 3
    assert text_numbers.parse_whole("n", "3.0", 1, 3) == 3
    for word in ("2.5", "4", "0", "1e300", "3_0"):
        with pytest.raises(InputError, match="^n = .* is needed$"):
            text_numbers.parse_whole("n", word, 1, 3)
