"""The lines of ``input.nn``, the settings file of n2p2 and RuNNer, and their words."""

from typing import NamedTuple

from torchml_core import files
from torchml_core.checks import shown
from torchml_core.errors import FileFormatError, InputError, UnsupportedError
from torchml_core.text_numbers import begins_like_number, parse_number, parse_whole

LARGEST = 2_000_000  # bytes of a file
OTHER_NAMES = {  # of keywords in n2p2 and RuNNer
    "symfunction": "symfunction_short",
    "scale_min_short_atomic": "scale_min_short",
    "scale_max_short_atomic": "scale_max_short",
    "nnp_generation": "nnp_type",
    "nnp_type_gen": "nnp_type",
    "nnp_gen": "nnp_type",
}


class Line(NamedTuple):
    """One line with a keyword; ``keyword`` is as written, ``words`` are those after it."""

    number: int
    keyword: str
    words: list


class Settings:
    """The lines of a settings file by keyword.

    Text after ``#`` or ``!`` is a comment.

    Parameters
    ----------
    path : path-like

    Raises
    ------
    MissingFileError, FileAccessError, FileFormatError
        As :func:`torchml_core.files.read_lines`.
    """

    def __init__(self, path):
        self.path = files.as_path("path", path)
        lines = files.read_lines(self.path, "settings file of n2p2", LARGEST)
        self.n_lines = max(len(lines), 1)
        self._lines = {}
        for number, line in enumerate(lines, 1):
            keyword, *words = line.partition("#")[0].partition("!")[0].split() or [""]
            if keyword:
                name = OTHER_NAMES.get(keyword, keyword)
                self._lines.setdefault(name, []).append(Line(number, keyword, words))

    def __iter__(self):
        """All lines, by keyword in the order of the first line of each."""
        return (line for lines in self._lines.values() for line in lines)

    def all(self, keyword):
        """The lines of a keyword, which may occur several times."""
        lines = self._lines.get(keyword, [])
        for line in lines:
            files.require_text(" ".join(line.words), self.path, line.number)
        return lines

    def one(self, keyword):
        """The line of a keyword that may occur once, or None."""
        lines = self.all(keyword)
        if len(lines) > 1:
            raise self.error(lines[1], f"{keyword} is given twice; one such line is needed")
        return lines[0] if lines else None

    def need(self, keyword):
        """The line of a keyword that must occur once."""
        line = self.one(keyword)
        if line is None:
            raise self.lacks(keyword)
        return line

    def number(self, keyword, default):
        """The number behind a keyword, or a default if there is no such line."""
        line = self.one(keyword)
        if line is None:
            return default
        (word,) = self.first_words(line, 1)
        return self.parse(parse_number, line, keyword, word)

    def whole(self, keyword, default, least=0):
        """The whole number behind a keyword, or a default if there is no such line."""
        line = self.one(keyword)
        if line is None:
            return default
        (word,) = self.first_words(line, 1)
        return self.parse(parse_whole, line, keyword, word, least)

    def first_words(self, line, n, optional=0):
        """The first n words of a line, and up to ``optional`` numbers more; see :func:`leading`."""
        words = leading(line.words, n, optional)
        if words is None:
            found = shown(" ".join(line.words))
            needed = f"{n} to {n + optional} words are" if optional else f"{n} words are"
            if (n, optional) == (1, 0):
                needed = "one word is"
            raise self.error(line, f"{line.keyword} = {found}: {needed} needed")
        return words

    def parse(self, parser, line, name, word, *limits):
        """What a parser of ``text_numbers`` makes of a word; its error names the line."""
        try:
            return parser(name, word, *limits)
        except InputError as error:
            raise self.error(line, str(error)) from None

    def error(self, line, message):
        """A FileFormatError at a line."""
        return FileFormatError(message, self.path, line.number)

    def unsupported(self, line, message):
        """An UnsupportedError at a line."""
        return UnsupportedError(f"{self.path}:{line.number}: {message}")

    def lacks(self, keyword):
        """A FileFormatError at the end of the file."""
        return FileFormatError(f"a line '{keyword} ...' is needed", self.path, self.n_lines)


def leading(words, n, optional=0):
    """Return the first n words, and up to ``optional`` numbers behind them.

    What follows is a comment without a mark, as RuNNer accepts it, unless it begins with a number:
    then, and if there are fewer words, None is returned.
    """
    end = n
    while end < min(len(words), n + optional) and begins_like_number(words[end]):
        end += 1
    if len(words) < n or (end < len(words) and begins_like_number(words[end])):
        return None
    return words[:end]
