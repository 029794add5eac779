"""Files of LAMMPS commands that define a SNAP potential, ``.snap``.

They are written for LAMMPS's ``include``::

    variable zblz equal 73
    pair_style hybrid/overlay zbl 4.0 4.8 snap
    pair_coeff 1 1 zbl ${zblz} ${zblz}
    pair_coeff * * snap Ta06A.snapcoeff Ta06A.snapparam Ta

What is read: ``variable`` (equal with a number, index, string), ``pair_style snap`` alone or in
``hybrid/overlay`` with ``zbl``, ``pair_coeff``, and ``units metal``. Every other command, style or
variable is refused by name: it could change energies.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from torchml_core.checks import shown
from torchml_core.convert.snap_files import QUOTES, SnapLines
from torchml_core.descriptors.symmetry_functions.functions import atomic_number
from torchml_core.errors import UnsupportedError
from torchml_core.pair_terms.zbl import ZBL
from torchml_core.text_numbers import is_number, parse_number, parse_whole

if TYPE_CHECKING:
    from pathlib import Path

VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w))")
ACCELERATED = re.compile(r"(snap|zbl)/(?:gpu|intel|kk|omp|opt)")  # with the same energies
RANGE = re.compile(r"([0-9]*)(\*?)([0-9]*)")
SUPPORTED = "snap alone, or hybrid/overlay of zbl and snap,"


class SnapInclude(NamedTuple):
    """What a ``.snap`` file says: files, elements in the order of LAMMPS, ZBL's distances."""

    coeff: Path
    param: Path
    elements: tuple[str, ...]
    zbl: tuple[float, float] | None
    citation: str | None


def read_snap_include(path: Path) -> SnapInclude:
    """Read a ``.snap`` file of LAMMPS commands.

    Raises
    ------
    MissingFileError, FileAccessError
        There is no such file, or it cannot be read.
    FileFormatError
        Something in it is wrong.
    UnsupportedError
        For commands, styles and variables that are not read; the message names them.
    """
    reader = _Commands(path)
    for number, text in _commands(reader.lines):
        reader.take(number, text)
    return reader.finish()


def _commands(lines):
    """(number of the first line, text) of each command, without comments; & continues a line."""
    number, text = 0, ""
    for k, line in enumerate(lines.whole, 1):
        number = number if text else k
        text += line.rstrip()
        if text.endswith("&"):
            text = text[:-1] + " "
            continue
        yield number, text.partition("#")[0]
        text = ""
    if text:
        yield number, text.partition("#")[0]


class _Commands:
    """The state of LAMMPS as far as a potential needs it."""

    def __init__(self, path):
        self.lines = SnapLines(path, ".snap file")
        self._variables = {}
        self._style = None  # (line, {style: its arguments})
        self._snap = None  # (line, coeff, param, element of each type)
        self._zbl = []  # (line, types of i, types of j, Z_i, Z_j), as words and numbers

    def error(self, number, message):
        return self.lines.error(number, message)

    def unsupported(self, number, message):
        return UnsupportedError(f"{self.lines.path}:{number}: {message}")

    def take(self, number, text):
        """Execute the command of a line."""
        command, *words = self._substituted(number, text).translate(QUOTES).split() or [None]
        if command == "variable":
            self._define(number, words)
        elif command == "units":
            if words != ["metal"]:
                raise self.unsupported(
                    number, f"units {' '.join(words)}: only metal, Å and eV, is supported"
                )
        elif command == "pair_style":
            self._set_style(number, words)
        elif command == "pair_coeff":
            self._set_coefficients(number, words)
        elif command is not None:
            raise self.unsupported(
                number,
                f"command {shown(command)}: only variable, units, pair_style and pair_coeff are"
                " supported",
            )

    def _substituted(self, number, text):
        def value(found):
            name = found[1] or found[2]
            if name not in self._variables:
                raise self.error(number, f"variable {shown(name)} is not defined above this line")
            return self._variables[name]

        text = VARIABLE.sub(value, text)
        if "$" in text:
            raise self.unsupported(
                number, f"{shown(text[text.index('$') :])}: only ${{name}} is supported"
            )
        return text

    def _define(self, number, words):
        if len(words) < 3:
            raise self.error(number, "variable: a name, a style and a value are needed")
        name, style, value, *more = words
        if style not in ("equal", "index", "string") or (more and style != "index"):
            raise self.unsupported(
                number,
                f"variable {name} {style}: only equal, string, each with one value, and index are"
                " supported",
            )
        if style == "equal" and not is_number(value):
            raise self.unsupported(
                number, f"variable {name} equal {shown(value)}: only a number is supported"
            )
        if style == "index":  # LAMMPS keeps the value of an index variable that is defined again
            self._variables.setdefault(name, value)
        else:
            self._variables[name] = value

    # ---- pair styles

    def _set_style(self, number, words):
        if self._style is not None:
            raise self.error(
                number, f"pair_style is also in line {self._style[0]}; it is needed once"
            )
        words = [_plain(word) for word in words]
        if words[:1] != ["hybrid/overlay"]:
            styles = self._split_styles(number, words, ("snap",))
        else:
            styles = self._split_styles(number, words[1:], ("snap", "zbl"))
        if "snap" not in styles:
            raise self.unsupported(number, f"pair_style {' '.join(words)}: {SUPPORTED} is needed")
        if "zbl" in styles:
            distances = styles["zbl"]
            if len(distances) != 2:
                raise self.error(
                    number, "pair_style zbl: an inner and an outer distance are needed"
                )
            styles["zbl"] = tuple(
                self.lines.checked(number, parse_number, f"zbl {name}", word)
                for name, word in zip(("inner", "outer"), distances, strict=True)
            )
            self.lines.checked(number, ZBL, ["H"], *styles["zbl"])
        if styles["snap"]:
            raise self.error(number, f"snap {' '.join(styles['snap'])}: no arguments are needed")
        self._style = number, styles

    def _split_styles(self, number, words, known):
        """{style: arguments}; every word that is not a number must be a known style."""
        styles = {}
        own = None
        for word in words:
            if is_number(word) and own is not None:
                own.append(word)
                continue
            if word not in known or word in styles:
                raise self.unsupported(number, f"pair_style {shown(word)}: {SUPPORTED} is needed")
            own = styles[word] = []
        return styles

    def _set_coefficients(self, number, words):
        if self._style is None:
            raise self.error(number, "pair_coeff: a pair_style above this line is needed")
        styles = self._style[1]
        if len(words) < 3:
            raise self.error(number, "pair_coeff: two types and coefficients are needed")
        i, j, *values = words
        style = "snap"
        if len(styles) > 1 or _plain(values[0]) in ("snap", "zbl"):
            style, *values = values
            style = _plain(style)
        if style not in styles:
            known = " or ".join(styles)
            raise self.error(number, f"pair_coeff {i} {j} {shown(style)}: {known} is needed")
        if style == "zbl":
            self._set_zbl(number, i, j, values)
        else:
            self._set_snap(number, i, j, values)

    def _set_snap(self, number, i, j, values):
        if self._snap is not None:
            raise self.error(
                number, f"pair_coeff of snap is also in line {self._snap[0]}; it is needed once"
            )
        if (i, j) != ("*", "*"):
            raise self.error(number, f"pair_coeff {i} {j}: * * is needed for snap")
        if len(values) < 3:
            raise self.error(
                number, "pair_coeff of snap: two files and the element of each type are needed"
            )
        coeff, param, *elements = values
        if "NULL" in elements:
            raise self.unsupported(
                number,
                f"element NULL of type {elements.index('NULL') + 1}: only potentials in which snap"
                " acts on all types are supported",
            )
        self._snap = number, coeff, param, elements

    def _set_zbl(self, number, i, j, values):
        if len(values) != 2:
            raise self.error(
                number, f"zbl {' '.join(values)}: the atomic numbers of both types are needed"
            )
        charges = [self.lines.checked(number, parse_number, "zbl", word) for word in values]
        self._zbl.append((number, i, j, charges))

    # ---- what all lines say together

    def finish(self):
        """Return the SnapInclude of all commands."""
        end = max(len(self.lines.whole), 1)
        if self._style is None:
            raise self.error(
                end, "a line 'pair_style snap' or 'pair_style hybrid/overlay' is needed"
            )
        if self._snap is None:
            raise self.error(end, "a line 'pair_coeff * * snap FILE FILE ELEMENT ...' is needed")
        _, coeff, param, types = self._snap
        zbl = self._style[1].get("zbl")
        if zbl is not None:
            self._require_zbl_of_all(types)
        folder = self.lines.path.parent
        elements = tuple(dict.fromkeys(types))
        return SnapInclude(folder / coeff, folder / param, elements, zbl, self.lines.citation)

    def _require_zbl_of_all(self, types):
        """ZBL must act between all types, with the atomic numbers of their elements."""
        checked = self.lines.checked
        atomic = [float(checked(self._snap[0], atomic_number, element)) for element in types]
        found = {}
        for number, i, j, charges in self._zbl:
            pairs = [
                (a, b)
                for a in self._types(number, i, len(types))
                for b in self._types(number, j, len(types))
                if a <= b
            ]
            if not pairs:
                raise self.error(
                    number, f"pair_coeff {i} {j}: types of which the first is not larger are needed"
                )
            found.update(dict.fromkeys(pairs, (number, charges)))
        for a, first in enumerate(types, 1):
            for b, second in enumerate(types[a - 1 :], a):
                if (a, b) not in found:
                    raise self.unsupported(
                        self._style[0],
                        f"zbl between types {a} and {b}, {first} and {second}, is missing: only zbl"
                        " between all types is supported",
                    )
                number, charges = found[a, b]
                needed = [atomic[a - 1], atomic[b - 1]]
                if charges != needed and charges[::-1] != needed:
                    raise self.unsupported(
                        number,
                        f"zbl {charges[0]:g} {charges[1]:g} between types {a} and {b}: only the"
                        f" atomic numbers of {first} and {second}, {needed[0]:g} {needed[1]:g}, are"
                        " supported",
                    )

    def _types(self, number, word, n_types):
        """The types that ``2``, ``*``, ``*3``, ``2*`` or ``2*3`` stands for."""
        found = RANGE.fullmatch(word)
        if not found or word == "":
            raise self.error(number, f"type {shown(word)}: a number or a range like 1*2 is needed")
        first, star, last = found.groups()
        first = first or "1"
        last = (last or str(n_types)) if star else first
        low, high = (self.lines.checked(number, _parse_type, k, n_types) for k in (first, last))
        return range(low, high + 1)


def _parse_type(word, n_types):
    return parse_whole("type", word, 1, n_types)


def _plain(word):
    """A style without the suffix of an accelerated variant."""
    found = ACCELERATED.fullmatch(word)
    return found[1] if found else word
