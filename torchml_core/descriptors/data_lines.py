"""Lines of a ``.dat`` file and what stands on them.

A *data line* is one that is not blank and does not begin with ``#``; what follows a ``#`` is a
comment. Words before the numbers of a line, and words after them, are skipped.
"""

import itertools
import math
import re

from torchml_core import files
from torchml_core.errors import FileFormatError, InputError, UnsupportedError

NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|nan|inf(inity)?)", re.I)
BOOLEANS = {"true": True, "false": False}


class DataLines:
    """The data lines of a file, one after another, with their numbers for messages."""

    def __init__(self, path):
        self.path = files.as_path("path", path)
        lines = files.read_lines(self.path, ".dat file")
        words = [line.split("#")[0].split() for line in lines]
        self._lines = [(number, line) for number, line in enumerate(words, 1) if line]
        self._end = len(lines)
        self._next = 0
        self.line = 0

    def error(self, message):
        """Return the error for the line that was read last."""
        return FileFormatError(message, self.path, self.line)

    def peek(self):
        """Return the words of the next data line, or None."""
        return self._lines[self._next][1] if self._next < len(self._lines) else None

    def words(self, what):
        """Return the words of the next data line, which should be ``what``."""
        if self._next == len(self._lines):
            self.line = max(self._end, 1)
            raise self.error(f"the file ends where {what} should follow")
        self.line, words = self._lines[self._next]
        self._next += 1
        return words

    def numbers(self, what, count=None):
        """Return the finite numbers of the next data line, ``count`` of them where it is known."""
        return self.parse(self.words(what), what, count)

    def parse(self, words, what, count=None):
        """The first run of numbers among words that were read."""
        skipped = itertools.dropwhile(lambda word: not NUMBER.fullmatch(word), words)
        numbers = list(itertools.takewhile(NUMBER.fullmatch, skipped))
        if not numbers or count not in (None, len(numbers)):
            raise self.error(
                f"{what}: {count or 'some'} numbers are needed, found {' '.join(words)!r}"
            )
        for number in numbers:
            if not math.isfinite(float(number)):
                raise self.error(f"{what}: {number} is not a finite number")
        return [float(number) for number in numbers]

    def whole(self, what, least=1):
        """Return the whole number of the next data line."""
        return self.as_whole(self.numbers(what, 1)[0], what, least)

    def as_whole(self, number, what, least=1):
        if number != int(number) or number < least:
            raise self.error(f"{what} = {number:g}: a whole number of at least {least} is needed")
        return int(number)

    def checked(self, check, *arguments):
        """Let a constructor's own check speak, with the line's number."""
        try:
            return check(*arguments)
        except InputError as error:
            raise self.error(str(error)) from None


def check_names(species):
    """Raise UnsupportedError for names that a line of words cannot hold."""
    for name in species:
        if len(name.split()) != 1 or "#" in name or name != name.strip() or NUMBER.fullmatch(name):
            raise UnsupportedError(f"species {name!r}: the .dat format cannot hold this name")
