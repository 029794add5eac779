"""Frames of extended XYZ files, one at a time: an error in one does not affect the next ones.

A frame is a line with the number of its atoms, a comment, and a line for each atom. ASE reads the
text of each frame. The beginning of each frame is found here, also after a frame that is too short
or too long.
"""

import io
import re
from typing import NamedTuple

from ase.io.extxyz import key_val_str_to_dict, read_xyz

from torchml_core import checks
from torchml_core.errors import InputError
from torchml_core.structure_files.plain_frames import read_plain

BOM = b"\xef\xbb\xbf"
MOST_COLUMNS = 10_000  # of one property of the atoms
COUNT = re.compile(rb"\s*\d{1,12}\s*")
CELL_VECTOR = re.compile(rb"\s*VEC\d\s")  # ASE's own: the cell of a file that has no other


class Frame(NamedTuple):
    """A frame as it is in its file.

    Attributes
    ----------
    place : int
        Its number in the file, counted from 0; frames with errors are counted too.
    line : int
        Its first line, or the one that is wrong, counted from 1.
    text : bytes
        Its lines.
    fault : str or None
        Why it is not a valid frame.
    end : int
        Number of bytes of the file up to its end.
    """

    place: int
    line: int
    text: bytes
    fault: str | None
    end: int


def scan_frames(lines):
    """Yield a Frame for each frame among lines (of bytes), and for lines that are not a frame."""
    lines = _Lines(lines)
    place = 0
    while lines.skip_blank():
        first = lines.number + 1
        text, fault = _take_frame(lines, first)
        line, fault = (first, None) if fault is None else fault
        yield Frame(place, line, b"".join(text), fault, lines.n_bytes)
        place += 1


def parse_frame(frame):
    """Return the Atoms of a frame.

    Raises
    ------
    BadFrameError
        If it cannot be read; the message says why, and ``line`` where.
    """
    if frame.fault is not None:
        raise BadFrameError(frame.fault, frame.line)
    atoms = read_plain(frame.text, _periodic)
    if atoms is not None:
        return atoms
    lines = _decoded(frame.text).splitlines(keepends=True)
    try:
        return _read(lines)
    except Exception as error:  # ASE's reader raises whatever it stumbles on
        raise BadFrameError(told(error), frame.line + _bad_line(lines)) from None


class BadFrameError(InputError):
    """A frame that cannot be read, and the line of its file that is wrong."""

    def __init__(self, message, line):
        super().__init__(message)
        self.line = line


def told(error):
    """Return the message for an error that a reader of ASE raised."""
    if isinstance(error, InputError):
        return str(error)
    return f"ASE cannot read it: {type(error).__name__}: {error}"


class _Lines:
    """Lines whose next one can be looked at before it is taken."""

    def __init__(self, lines):
        self._lines = iter(lines)
        self._next = next(self._lines, b"")
        self.number = self.n_bytes = 0  # of the last line that was taken, and up to its end
        if self._next.startswith(BOM):
            self._next, self.n_bytes = self._next.removeprefix(BOM), len(BOM)

    def peek(self):
        """Return the next line; empty at the end."""
        return self._next

    def take(self):
        taken, self._next = self._next, next(self._lines, b"")
        self.number += 1
        self.n_bytes += len(taken)
        return taken

    def skip_blank(self):
        """Skip empty lines; return whether there is another line."""
        while self._next and not self._next.strip():
            self.take()
        return bool(self._next)


def _take_frame(lines, first):
    """Take the lines of a frame; return them and None, or (the line that is wrong, the fault)."""
    head = lines.take()
    if not COUNT.fullmatch(head):
        said = checks.shown(_decoded(head.strip()))
        return _take_rest(lines, [head]), (first, f"{said}: a number of atoms is needed")
    n_atoms = int(head)
    text = [head, lines.take()]
    while len(text) < n_atoms + 2 and lines.peek() and not COUNT.fullmatch(lines.peek()):
        text.append(lines.take())
    n_found = len(text) - 2
    if n_found < n_atoms:
        ends = "the file ends" if not lines.peek() else "the next frame begins"
        fault = f"{n_atoms} atoms are announced, {ends} after {n_found}"
        return text, (lines.number, fault)
    while CELL_VECTOR.match(lines.peek()):
        text.append(lines.take())
    # A line like those of the atoms is one more of them; any other is a fault of the next frame.
    if n_atoms and not COUNT.fullmatch(lines.peek()) and _same_columns(lines.peek(), text[-1]):
        fault = (lines.number + 1, f"{n_atoms} atoms are announced, more lines follow")
        return _take_rest(lines, text), fault
    return text, None


def _same_columns(line, other):
    return len(line.split()) == len(other.split()) and b"=" not in line  # which comments have


def _take_rest(lines, text):
    """Take all lines before the next that may begin a frame."""
    while lines.peek() and not COUNT.fullmatch(lines.peek()):
        text.append(lines.take())
    return text


def _decoded(text):
    """Text in UTF-8, or else in Latin-1, in which all bytes are valid."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _read(lines):
    text = io.StringIO("".join(lines), newline=None)
    return next(read_xyz(text, index=0, properties_parser=_properties))


def _properties(comment):
    """Keys and values of a comment line.

    pbc="FFF", of which ASE makes three True, is an error, as are so many columns that ASE's table
    of them would exhaust the memory.
    """
    properties = key_val_str_to_dict(comment)
    for count in str(properties.get("Properties", "")).split(":")[2::3]:
        if count.strip("+-_ ").isdecimal() and (len(count) > 9 or int(count) > MOST_COLUMNS):
            checks.refuse("Properties", count, f"a number of columns up to {MOST_COLUMNS}")
    if "pbc" in properties:
        properties["pbc"] = _periodic(properties["pbc"])
    return properties


def _periodic(value):
    return checks.periodic("pbc", value)


def _bad_line(lines):
    """The line at which ASE's reader fails: the last line of the shortest part that fails."""
    good, bad = -1, int(lines[0])  # numbers of atoms
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            _read([f"{middle}\n", *lines[1 : 2 + middle]])
        except Exception:
            bad = middle
        else:
            good = middle
    return 1 + bad
