"""Reading and writing symmetry functions in the settings file of n2p2, ``input.nn``."""

import re

from torchml_core import checks, files
from torchml_core.checks import refuse, shown
from torchml_core.descriptors.symmetry_functions.functions import (
    CUTOFFS_WITHOUT_INNER,
    N2P2_CORES,
    N2P2_CUTOFF_TYPES,
    CompactFunction,
    Function,
    atomic_number,
    check_function,
)
from torchml_core.errors import FileFormatError, InputError, UnsupportedError
from torchml_core.text_numbers import begins_like_number, parse_number, parse_whole

LENGTH_UNITS = {"Angstrom": 1.0, "Bohr": 0.529177210903}  # in Å; CODATA 2018
TYPES = {2: "g2", 3: "g4", 9: "g5", 12: "g2", 13: "g4"}
LARGEST = 2_000_000  # bytes of a file
DEFINES_FUNCTIONS = re.compile(r"\w*symfunction(_\w+)?")  # keywords of n2p2 and RuNNer
# The words after `symfunction_short ELEMENT TYPE`, E an element.
WORDS = {
    2: ("E", "eta", "shift", "cutoff"),
    3: ("E", "E", "eta", "lam", "zeta", "cutoff"),
    9: ("E", "E", "eta", "lam", "zeta", "cutoff"),
    12: ("eta", "shift", "cutoff"),
    13: ("eta", "shift", "lam", "zeta", "cutoff"),
}
OPTIONAL = {3: ("shift",), 9: ("shift",)}


def read_settings(path, length_unit):
    """Return the arguments of ElementSymmetryFunctions; see read_n2p2."""
    unit = _length_unit(length_unit)
    path = files.as_path("path", path)
    lines, n_lines = _setting_lines(path)
    elements = _elements(path, _only(path, lines["elements"], "elements", n_lines))
    cutoff_function, inner = "cos", 0.0
    if lines["cutoff_type"]:
        line = _only(path, lines["cutoff_type"], "cutoff_type", n_lines)
        cutoff_function, inner = _cutoff_type(path, line)
    functions: dict[str, list[tuple]] = {element: [] for element in elements}
    for number, words in lines["symfunction_short"]:
        element, order, function = _function(path, number, words, elements, unit)
        functions[element].append((order, function))
    if not any(functions.values()):
        raise FileFormatError("there is no symfunction_short line", path, n_lines)
    return {
        "functions": {e: [f for _, f in sorted(own)] for e, own in functions.items()},
        "cutoff_function": cutoff_function,
        "inner": inner,
    }


def _length_unit(unit):
    if isinstance(unit, str) and unit in LENGTH_UNITS:
        return LENGTH_UNITS[unit]
    known = " or ".join(map(repr, LENGTH_UNITS))
    requirement = f"{known}, or a positive number of Å,"
    size = checks.number("length_unit", unit, requirement)
    if size <= 0:
        refuse("length_unit", unit, requirement)
    return size


def _setting_lines(path):
    """{keyword: [(line number, words after it)]} of the lines that are read; number of lines."""
    found = {"elements": [], "cutoff_type": [], "symfunction_short": []}
    lines = files.read_lines(path, "settings file of n2p2", LARGEST)
    for number, line in enumerate(lines, 1):
        line = line.partition("#")[0].partition("!")[0]
        keyword, *words = line.split() or [""]
        if keyword == "symfunction":  # another name of it
            keyword = "symfunction_short"
        if keyword in found:
            files.require_text(line, path, number)
            found[keyword].append((number, words))
        elif DEFINES_FUNCTIONS.fullmatch(keyword):
            raise UnsupportedError(
                f"{path}:{number}: {shown(keyword)} defines symmetry functions in a way that is not"
                " supported; symfunction_short lines are needed"
            )
    return found, max(len(lines), 1)


def _only(path, found, keyword, n_lines):
    """(line number, words after it) of a keyword that must occur once."""
    if not found:
        raise FileFormatError(f"a line '{keyword} ...' is needed", path, n_lines)
    if len(found) > 1:
        raise FileFormatError(
            f"{keyword} is given twice; one such line is needed", path, found[1][0]
        )
    return found[0]


def _elements(path, line):
    number, names = line
    if not names or len(set(names)) < len(names):
        found = shown(" ".join(names))
        raise FileFormatError(f"elements = {found}: different elements are needed", path, number)
    try:
        return sorted(names, key=atomic_number)
    except InputError as error:
        raise FileFormatError(str(error), path, number) from None


def _cutoff_type(path, line):
    number, words = line
    if len(words) not in (1, 2):
        raise FileFormatError(
            f"cutoff_type = {shown(' '.join(words))}: a number, and optionally alpha, is needed",
            path,
            number,
        )
    kind = _parse(parse_whole, path, number, "cutoff_type", words[0])
    alpha = _parse(parse_number, path, number, "alpha", words[1]) if len(words) == 2 else 0.0
    if kind not in N2P2_CUTOFF_TYPES:
        raise UnsupportedError(
            f"{path}:{number}: cutoff_type = {kind}: one of the supported types"
            f" {sorted(N2P2_CUTOFF_TYPES)} is needed"
        )
    if not 0 <= alpha < 1:
        raise FileFormatError(f"alpha = {alpha:g}: 0 <= alpha < 1 is needed", path, number)
    cutoff_function = N2P2_CUTOFF_TYPES[kind]
    return cutoff_function, 0.0 if cutoff_function in CUTOFFS_WITHOUT_INNER else alpha


def _function(path, number, words, elements, unit):
    """(element, sort key, Function) of the words after `symfunction_short`."""
    if len(words) < 2 or words[0] not in elements:
        raise FileFormatError(
            f"symfunction_short {shown(' '.join(words[:2]))}: one of {elements} and a type are"
            " needed",
            path,
            number,
        )
    kind = _parse(parse_whole, path, number, "symfunction_short: type", words[1])
    if kind not in TYPES:
        raise UnsupportedError(
            f"{path}:{number}: symfunction_short: type = {kind}: one of the supported types"
            f" {sorted(TYPES)} is needed"
        )
    names, given = WORDS[kind], words[2:]
    while len(given) > len(names) and not begins_like_number(given[-1]):
        given = given[:-1]  # a comment without a mark, as RuNNer accepts it
    if len(given) > len(names):
        names = names + OPTIONAL.get(kind, ())
    if len(given) != len(names):
        raise FileFormatError(
            f"symfunction_short of type {kind}: {len(WORDS[kind])} more words are needed"
            f" ({' '.join(WORDS[kind])}), found {len(given)}",
            path,
            number,
        )
    neighbors, values = [], {"shift": 0.0, "zeta": 1.0, "lam": 1.0}
    for name, word in zip(names, given, strict=True):
        if name == "E":
            if word not in elements:
                message = (
                    f"symfunction_short: {shown(word)}: one of the elements {elements} is needed"
                )
                raise FileFormatError(message, path, number)
            neighbors.append(word)
        else:
            values[name] = _parse(parse_number, path, number, name, word)
    codes = sorted(elements.index(name) for name in neighbors)
    order = [kind, *(values[name] for name in ("cutoff", "eta", "shift", "zeta", "lam"))]
    function = Function(
        TYPES[kind],
        tuple(elements[code] for code in codes) or None,
        values["cutoff"] * unit,
        values["eta"] / unit / unit,
        values["shift"] * unit,
        values["zeta"],
        values["lam"],
    )
    try:
        check_function("symfunction_short", function, elements)
    except InputError as error:
        raise FileFormatError(str(error), path, number) from None
    return words[0], (order, codes), function


def _parse(parser, path, line, name, word):
    try:
        return parser(name, word)
    except InputError as error:
        raise FileFormatError(str(error), path, line) from None


def write_n2p2(descriptor, path):
    """Write an ElementSymmetryFunctions; see its ``to_file``."""
    kinds = {name: kind for kind, name in N2P2_CUTOFF_TYPES.items()}
    lines = [
        f"number_of_elements {len(descriptor.species)}",
        f"elements {' '.join(descriptor.species)}",
        f"cutoff_type {kinds[descriptor.cutoff_function]} {descriptor.inner!r}",
        "# lengths in Angstrom",
    ]
    for element, own in descriptor.functions.items():
        for f in own:
            lines.append(f"symfunction_short {element} {_words(f)}")
    files.write_text("path", path, "\n".join(lines) + "\n")


def _words(f):
    if isinstance(f, CompactFunction):
        return _compact_words(f)
    if f.neighbors is None and f.type == "g5":
        raise UnsupportedError("n2p2 has no weighted g5")
    kinds = {"g2": 12, "g4": 13} if f.neighbors is None else {"g2": 2, "g4": 3, "g5": 9}
    kind = kinds[f.type]
    neighbors = iter(f.neighbors or ())
    names = WORDS[kind] + OPTIONAL.get(kind, ())
    words = [next(neighbors) if name == "E" else repr(getattr(f, name)) for name in names]
    return " ".join([str(kind), *words])


def _compact_words(f):
    kind = {"c2": 20, "c4": 21, "c5": 22}[f.type] + (3 if f.neighbors is None else 0)
    (core,) = (word for word, name in N2P2_CORES.items() if name == f.core)
    numbers = map(repr, (*f.radial, *(f.angular or ())))
    return " ".join([str(kind), *(f.neighbors or ()), *numbers, core + "a" * f.asymmetric])
