"""JSON files that users name: read strictly, and written so that people can read them.

Python's own reader accepts ``NaN``, a key that is given twice, and numbers beyond 1.8e308; these
are errors here, and the message of every error begins with ``file:line:``.
"""

import json
import math
import re

from torchml_core import files
from torchml_core.checks import refuse, shown
from torchml_core.errors import FileFormatError, InputError
from torchml_core.text_numbers import LONGEST

WIDTH = 160  # characters of a line that contains a list or an object
LEVELS = 2  # of keys whose lines are known
DEEPEST = 30  # objects and lists inside each other; ours have up to seven
# Strings are matched up to the end of the text if they do not end, so that the time stays linear.
TOKEN = re.compile(
    r'(?P<text>"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z))(?P<key>\s*:)?'
    r"|(?P<number>-?(?:[0-9][0-9.eE+-]*|Infinity)|NaN)|[\[\]{}]",
    re.DOTALL,
)


class JsonFile:
    """The object in a JSON file, with the lines of its keys for messages.

    Parameters
    ----------
    path : path-like
    what : str
        What the file should be, for messages: ``model.json``.
    largest : int
        Bytes.
    lines : list of str, optional
        The lines of the file, if they have been read.

    Attributes
    ----------
    path : pathlib.Path
    content : dict

    Raises
    ------
    MissingFileError, FileAccessError
        It is not there, or cannot be read.
    FileFormatError
        It is not a JSON object, is too large or too deeply nested, or contains a key twice, a
        number that is not finite, or text that is not Unicode.
    """

    def __init__(self, path, what, largest=files.LARGEST_TEXT, lines=None):
        self.path = files.as_path("path", path)
        if lines is None:
            lines = files.read_lines(self.path, what, largest)
        for number, line in enumerate(lines, 1):
            files.require_text(line, self.path, number)
        text = "\n".join(lines)
        self._lines = {}
        self._look_at_tokens(text)
        try:
            self.content = json.loads(text)
        except json.JSONDecodeError as error:
            raise FileFormatError(
                f"{error.msg} (column {error.colno}); JSON is needed", self.path, error.lineno
            ) from None
        if not isinstance(self.content, dict):
            raise FileFormatError(f"{shown(self.content)}: a JSON object is needed", self.path, 1)

    def error(self, message, *keys):
        """Return the error for what is under these keys; the line is that of the last one known."""
        while keys and keys not in self._lines:
            keys = keys[:-1]
        return FileFormatError(message, self.path, self._lines.get(keys, 1))

    def require_format(self, name, version, hint=""):
        """Raise FileFormatError unless ``format`` and ``version`` are these.

        ``hint`` ends the message of a file of another format.
        """
        found = self.content.get("format")
        if found != name:
            raise self.error(f"format = {shown(found)}: {name!r} is needed{hint}", "format")
        found = self.content.get("version")
        if type(found) is not int or found != version:
            newer = type(found) is int and found > version
            hint = "; a newer torchml_core may read it" if newer else ""
            message = f"version = {shown(found)}: {version}, the only version known here, is needed"
            raise self.error(message + hint, "version")

    def _look_at_tokens(self, text):
        """Find what Python's reader does not refuse, and the line of each key."""
        inside = []  # for each object or list around: its keys so far, or None
        names = []  # the key in each object around, None in a list
        line, last = 1, 0
        for token in TOKEN.finditer(text):
            line, last = line + text.count("\n", last, token.start()), token.start()
            if token["number"]:
                self._check_number(token["number"], line)
            elif token["text"]:
                value = self._string(token["text"], line)
                if token["key"] is None or value is None or not inside or inside[-1] is None:
                    continue
                if value in inside[-1]:
                    raise FileFormatError(
                        f"{shown(value)} is given twice; each key once is needed", self.path, line
                    )
                inside[-1].add(value)
                names[-1] = value
                if len(names) <= LEVELS:
                    self._lines.setdefault(tuple(names), line)
            elif token[0] in "[{":
                inside.append(set() if token[0] == "{" else None)
                names.append(None)
                if len(inside) > DEEPEST:
                    message = f"nested deeper than {DEEPEST} levels; fewer are needed"
                    raise FileFormatError(message, self.path, line)
            elif token[0] in "]}" and inside:
                inside.pop()
                names.pop()

    def _check_number(self, word, line):
        message = None
        if word in ("NaN", "Infinity", "-Infinity"):
            message = "a finite number"
        elif len(word) > LONGEST:
            message = f"a number of at most {LONGEST} characters"
        else:
            try:
                if not math.isfinite(float(word)):
                    message = "a number below 1.8e308"
            except ValueError:
                pass  # 1-2: the reader finds it
        if message:
            raise FileFormatError(f"{shown(word)}: {message} is needed", self.path, line)

    def _string(self, word, line):
        """The text of a string, or None if it is not one: the reader finds that."""
        if "\\" not in word:
            return word[1:-1]
        try:
            value = json.loads(word)
            value.encode()
        except json.JSONDecodeError:
            return None
        except UnicodeEncodeError:  # half of a pair of surrogates
            raise FileFormatError(f"{shown(word)}: Unicode is needed", self.path, line) from None
        return value


def begins_like_json(lines):
    """Return whether the lines of a text begin as a JSON object does."""
    return next((line.strip() for line in lines if line.strip()), "").startswith("{")


# ---- values


def plain(name, value):
    """Return a copy of a value that is made of dicts, lists, text, finite numbers, flags and None.

    Tuples become lists; NumPy's numbers and arrays, Python's.

    Raises
    ------
    InputError
        It contains something else, or is nested too deeply.
    """
    return _plain(name, value, 0)


def _plain(name, value, depth):
    requirement = "text, a finite number, True, False, None, or lists and dicts of them,"
    if depth > DEEPEST:
        raise InputError(f"{name}: nested deeper than {DEEPEST} levels; fewer are needed")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return check_text(name, str(value))
    if isinstance(value, dict):
        for key in value:
            check_text(f"{name}: key", key)
        return {str(k): _plain(f"{name}[{k!r}]", x, depth + 1) for k, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(f"{name}[{k}]", x, depth + 1) for k, x in enumerate(value)]
    if hasattr(value, "tolist"):  # of NumPy
        return _plain(name, value.tolist(), depth)
    if isinstance(value, int) and value.bit_length() <= 200:
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    return refuse(name, value, requirement)


def check_text(name, value):
    """Return text that UTF-8 can encode, without control characters; otherwise InputError."""
    if not isinstance(value, str):
        refuse(name, value, "text")
    found = files.CONTROL.search(value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        found = error
    if found:
        refuse(name, value, "text in Unicode without control characters")
    return value


def json_text(document):
    """Return the text of plain values: each on one line if it is short, or a list of numbers."""
    return _text(document, "") + "\n"


def _text(value, indent):
    line = json.dumps(value, ensure_ascii=False, allow_nan=False)
    deeper = indent + "  "
    if isinstance(value, dict):
        ends = "{}"
        names = {key: json.dumps(key, ensure_ascii=False) for key in value}
        items = [f"{names[key]}: {_text(x, deeper)}" for key, x in value.items()]
    elif isinstance(value, list) and any(isinstance(x, (dict, list)) for x in value):
        ends = "[]"
        items = [_text(x, deeper) for x in value]
    else:
        return line
    if len(indent) + len(line) <= WIDTH and indent:
        return line
    inside = ",\n".join(deeper + item for item in items)
    return f"{ends[0]}\n{inside}\n{indent}{ends[1]}"
