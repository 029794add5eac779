"""Lines of a ``.dat`` file, and the words and numbers on them.

A *data line* is one that is not blank and does not begin with ``#``; what follows a ``#`` is a
comment. Words before and after the numbers of a line are skipped, except words that begin like a
number but are not one, such as ``1_0`` or ``0x10``, which are errors.
"""

import itertools

from torchml_core import files
from torchml_core.checks import shown
from torchml_core.errors import FileFormatError, InputError, UnsupportedError
from torchml_core.text_numbers import begins_like_number, is_number, parse_number, parse_whole

BOOLEANS = {"true": True, "false": False}


class DataLines:
    """The data lines of a file, one after another, with their numbers for messages."""

    def __init__(self, path, lines=None):
        self.path = files.as_path("path", path)
        if lines is None:
            lines = files.read_lines(self.path, ".dat file")
        self._numbered = enumerate((line.partition("#")[0].strip() for line in lines), 1)
        self._end = max(len(lines), 1)
        self._next = None  # (number, words) of the next line, if peek() has read it
        self.line = 0

    def error(self, message):
        """Return the error for the line that was read last."""
        return FileFormatError(message, self.path, self.line)

    def peek(self):
        """Return the words of the next data line, or None."""
        if self._next is None:
            number, text = next(((k, text) for k, text in self._numbered if text), (None, ""))
            if number is not None:
                self._next = number, files.require_text(text, self.path, number).split()
        return self._next and self._next[1]

    def words(self, what):
        """Return the words of the next data line, which should be ``what``."""
        if self.peek() is None:
            self.line = self._end
            raise self.error(f"the file ends where {what} should follow")
        (self.line, words), self._next = self._next, None
        return words

    def numbers(self, what, count=None):
        """Return the finite numbers of the next data line, ``count`` of them where it is known."""
        return self.parse(self.words(what), what, count)

    def whole(self, what, least=1):
        """Return the whole number of the next data line."""
        return self.parse_wholes(self.words(what), what, 1, least)[0]

    def parse(self, words, what, count=None):
        """Return the first run of numbers among words that were read."""
        words = self._run_of_numbers(words, what, count)
        return [self.checked(parse_number, what, word) for word in words]

    def parse_wholes(self, words, what, count, least=1):
        """Return the first run of whole numbers among words that were read."""
        words = self._run_of_numbers(words, what, count)
        return [self.checked(parse_whole, what, word, least) for word in words]

    def _run_of_numbers(self, words, what, count):
        for word in words:
            if begins_like_number(word) and not is_number(word):
                self.checked(parse_number, what, word)
        skipped = itertools.dropwhile(lambda word: not is_number(word), words)
        numbers = list(itertools.takewhile(is_number, skipped))
        if not numbers or count not in (None, len(numbers)):
            raise self.error(
                f"{what}: {count or 'some'} numbers are needed, found {shown(' '.join(words))}"
            )
        return numbers

    def checked(self, check, *arguments):
        """Return check(*arguments); its InputError becomes the error of this line of the file."""
        try:
            return check(*arguments)
        except InputError as error:
            raise self.error(str(error)) from None


def check_names(species):
    """Raise UnsupportedError for names that a line of words cannot store."""
    for name in species:
        if len(name.split()) != 1 or "#" in name or name != name.strip() or is_number(name):
            raise UnsupportedError(f"species = {name!r}: the .dat format cannot store this name")
