"""The two files of a SNAP potential, ``.snapcoeff`` and ``.snapparam``, as LAMMPS reads them.

A ``.snapcoeff`` file has comments at its beginning only; then ``n_elements n_coefficients`` and a
block for each element: ``symbol radius weight`` and a line for each coefficient. A ``.snapparam``
file has a keyword and its value on each line. What LAMMPS would skip in silence is an error here:
keywords that occur twice, words or lines that are left over.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from torchml_core import checks, files
from torchml_core.checks import shown
from torchml_core.errors import FileFormatError, InputError, UnsupportedError
from torchml_core.text_numbers import parse_number, parse_whole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

LARGEST = 1_000_000_000  # bytes; quadratic potentials of several elements have many coefficients
QUOTES = str.maketrans("\"'", "  ")  # LAMMPS removes them
UNITS = re.compile(r"\bUNITS:\s*(\S+)")
CITATION = re.compile(r"\bCITATION:\s*(.+?)\s*(?:\b(?:DATE|UNITS|CONTRIBUTOR):|$)")


class SnapLines:
    """The lines of a file without their comments, and what the comments say."""

    def __init__(self, path: Path, what: str) -> None:
        self.path = path
        self.whole = files.read_lines(path, what, LARGEST)
        parts = [line.partition("#") for line in self.whole]
        self.texts = [text.translate(QUOTES).strip() for text, _, _ in parts]
        self._comments = {k: comment for k, (_, _, comment) in enumerate(parts, 1) if comment}
        for number, comment in self._comments.items():
            found = UNITS.search(comment)
            if found and found[1] != "metal":
                raise UnsupportedError(
                    f"{path}:{number}: UNITS: {shown(found[1])}: only metal, Å and eV, is supported"
                )

    @property
    def citation(self) -> str | None:
        """What follows ``CITATION:`` in a comment."""
        for comment in self._comments.values():
            found = CITATION.search(comment)
            if found and found[1].lower() != "none":
                return found[1].encode("utf-8", files.SURROGATES).decode("utf-8", "replace")
        return None

    def words(self, number: int) -> list[str]:
        """Return the words of a line, counted from 1."""
        return files.require_text(self.texts[number - 1], self.path, number).split()

    def error(self, number: int, message: str) -> FileFormatError:
        return FileFormatError(message, self.path, number)

    def checked(self, number: int, check: Callable[..., Any], *arguments: Any) -> Any:
        """Return check(*arguments); its InputError becomes the error of a line."""
        try:
            return check(*arguments)
        except InputError as error:
            raise self.error(number, str(error)) from None


# ---- .snapcoeff


class SnapElement(NamedTuple):
    """The block of an element: ``coefficients`` has the constant, linear and quadratic ones."""

    radius: float
    weight: float
    coefficients: np.ndarray
    line: int


class SnapCoefficients(NamedTuple):
    """What a ``.snapcoeff`` file says; ``line`` is that of the number of coefficients."""

    path: Path
    line: int
    n_coefficients: int
    elements: dict[str, SnapElement]
    citation: str | None


def read_snapcoeff(path: Path) -> SnapCoefficients:
    """Read a ``.snapcoeff`` file.

    Raises
    ------
    MissingFileError, FileAccessError
        There is no such file, or it cannot be read.
    FileFormatError
        Something in it is wrong.
    UnsupportedError
        Its comments say other units than metal.
    """
    lines = SnapLines(path, ".snapcoeff file")
    line = next((k for k, text in enumerate(lines.texts, 1) if text), None)
    header = [] if line is None else lines.words(line)
    line = line or max(len(lines.texts), 1)
    if len(header) != 2:
        raise lines.error(
            line,
            f"{shown(' '.join(header))}: the number of elements and the number of coefficients of"
            " each are needed",
        )
    n_elements = lines.checked(line, parse_whole, "number of elements", header[0], 1)
    n_coefficients = lines.checked(line, parse_whole, "number of coefficients", header[1], 1)
    elements: dict[str, SnapElement] = {}
    last = line
    for _ in range(n_elements):
        name, element = _read_element(lines, last + 1, n_coefficients)
        if name in elements:
            raise lines.error(
                element.line,
                f"{name} is also in line {elements[name].line}; each element once is needed",
            )
        elements[name] = element
        last = element.line + n_coefficients
    for number in range(last + 1, len(lines.texts) + 1):
        if lines.texts[number - 1]:
            raise lines.error(
                number,
                f"{shown(lines.texts[number - 1])}: nothing is needed after the {n_elements} x"
                f" {n_coefficients} coefficients that line {line} says",
            )
    return SnapCoefficients(path, line, n_coefficients, elements, lines.citation)


def _read_element(lines, line, n_coefficients):
    """(name, SnapElement) of the block that begins with a line."""
    words = _words_at(lines, line, "an element, its symbol, radius and weight,", 3)
    name = words[0]
    radius = lines.checked(line, parse_number, "radius", words[1])
    lines.checked(line, checks.positive, "radius", radius)
    weight = lines.checked(line, parse_number, "weight", words[2])
    values = []  # not an array of the size that the file announces, which may be anything
    for k in range(n_coefficients):
        number = line + 1 + k
        what = f"coefficient {k + 1} of {n_coefficients} of {name}, a number,"
        (word,) = _words_at(lines, number, what, 1)
        values.append(lines.checked(number, parse_number, "coefficient", word))
    return name, SnapElement(radius, weight, np.array(values), line)


def _words_at(lines, number, what, count):
    if number > len(lines.texts):
        raise lines.error(max(len(lines.texts), 1), f"the file ends where {what} is needed")
    words = lines.words(number)
    if len(words) != count:
        raise lines.error(number, f"{shown(' '.join(words))}: {what} is needed")
    return words


# ---- .snapparam


def _flag(name, word):
    return bool(parse_whole(name, word, 0, 1))


def _positive(name, word):
    return checks.positive(name, parse_number(name, word))


def _size(name, word):
    return parse_whole(name, word, 1)


KEYWORDS = {
    "rcutfac": (_positive, None),
    "twojmax": (lambda name, word: parse_whole(name, word, 0), None),
    "rfac0": (parse_number, 0.99363),
    "rmin0": (parse_number, 0.0),
    "switchflag": (_flag, True),
    "bzeroflag": (_flag, True),
    "quadraticflag": (_flag, False),
    "chemflag": (_flag, False),
    "bnormflag": (_flag, False),
    "wselfallflag": (_flag, False),
    "switchinnerflag": (_flag, False),
    "sinner": (parse_number, ()),  # a number for each element
    "dinner": (_positive, ()),
    "chunksize": (_size, None),  # of LAMMPS's work on GPUs: no values depend on it
    "parallelthresh": (_size, None),
    "diagonalstyle": (None, 3),  # removed in 2019; potentials from before that have it
}
REQUIRED = "rcutfac", "twojmax"
ONE_PER_ELEMENT = "sinner", "dinner"


class SnapParameters:
    """What a ``.snapparam`` file says, with the defaults of what it does not say.

    Attributes
    ----------
    path : pathlib.Path
    values : dict
        By keyword; ``sinner`` and ``dinner`` are tuples with a number for each element.
    citation : str or None
    """

    def __init__(
        self, path: Path, values: dict[str, Any], lines: dict[str, int], citation: str | None
    ) -> None:
        self.path, self.citation = path, citation
        self.values = {name: default for name, (_, default) in KEYWORDS.items()} | values
        self._lines = lines

    def error(self, keyword: str, message: str) -> FileFormatError:
        """Return the error of the line of a keyword."""
        return FileFormatError(message, self.path, self._lines.get(keyword))


def read_snapparam(path: Path) -> SnapParameters:
    """Read a ``.snapparam`` file; errors as :func:`read_snapcoeff`."""
    lines = SnapLines(path, ".snapparam file")
    values: dict[str, Any] = {}
    places: dict[str, int] = {}
    for number in range(1, len(lines.texts) + 1):
        words = lines.words(number)
        if not words:
            continue
        keyword, *rest = words
        if keyword in places:
            raise lines.error(
                number, f"{keyword} is also in line {places[keyword]}; each keyword once is needed"
            )
        places[keyword] = number
        values[keyword] = _value(lines, number, keyword, rest)
    for keyword in REQUIRED:
        if keyword not in values:
            raise lines.error(max(len(lines.texts), 1), f"a line '{keyword} ...' is needed")
    found = SnapParameters(path, values, places, lines.citation)
    _require_agreement(found)
    return found


def _value(lines, number, keyword, words):
    if keyword not in KEYWORDS:
        raise lines.error(number, f"{shown(keyword)}: one of {', '.join(KEYWORDS)} is needed")
    if keyword == "diagonalstyle":
        if words != ["3"]:
            raise UnsupportedError(
                f"{lines.path}:{number}: diagonalstyle {shown(' '.join(words))}: only 3, the only"
                " style of LAMMPS since 2019, is supported"
            )
        return 3
    parse = KEYWORDS[keyword][0]
    if keyword in ONE_PER_ELEMENT and words:
        return tuple(lines.checked(number, parse, keyword, word) for word in words)
    if len(words) != 1:
        raise lines.error(number, f"{keyword} = {shown(' '.join(words))}: one number is needed")
    return lines.checked(number, parse, keyword, words[0])


def _require_agreement(parameters):
    """LAMMPS requires ``sinner`` and ``dinner`` just where ``switchinnerflag`` is 1."""
    for keyword in ONE_PER_ELEMENT:
        given = bool(parameters.values[keyword])
        if parameters.values["switchinnerflag"] and not given:
            raise parameters.error(
                "switchinnerflag", f"with switchinnerflag 1, {keyword} is needed"
            )
        if given and not parameters.values["switchinnerflag"]:
            raise parameters.error(keyword, f"with {keyword}, switchinnerflag 1 is needed")
