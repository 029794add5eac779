"""Symmetry functions from the settings file of n2p2 or RuNNer."""

import re
from itertools import combinations_with_replacement
from typing import NamedTuple

from torchml_core import units
from torchml_core.checks import shown
from torchml_core.descriptors.symmetry_functions.functions import (
    CUTOFFS_WITHOUT_INNER,
    N2P2_CORES,
    N2P2_CUTOFF_TYPES,
    CompactFunction,
    Function,
    atomic_number,
    check_function,
)
from torchml_core.descriptors.symmetry_functions.n2p2_settings import leading
from torchml_core.errors import FileFormatError, InputError
from torchml_core.text_numbers import parse_number, parse_whole

DEFINES_FUNCTIONS = re.compile(r"\w*symfunction\w*|cutoff\w*")  # keywords of n2p2 and RuNNer
KNOWN = {
    "symfunction_short",
    "symfunction",
    "element_symfunction_short",
    "global_symfunction_short",
    "cutoff_type",
    "cutoff_alpha",
}


class FunctionType(NamedTuple):
    """A type of n2p2's functions.

    Attributes
    ----------
    kind : str
        Our name of it.
    n_neighbors : int
        Number of elements of neighbors in its line; 0: all elements, weighted.
    words : tuple of str
        The words behind the elements.
    order : tuple of str
        What n2p2 sorts functions of this type by; ``neighbors`` are the codes of their elements.
    optional : tuple of str
        Words that may follow.
    """

    kind: str
    n_neighbors: int
    words: tuple
    order: tuple
    optional: tuple = ()


_GAUSSIAN = ("cutoff", "eta", "shift", "zeta", "lam", "neighbors")
_RADIAL = ("left", "cutoff", "core")
_ANGULAR = ("left", "cutoff", "angle_left", "angle_right", "core")
_ANGULAR_ORDER = ("core", "neighbors", "cutoff", "left", "angle_left", "angle_right")
TYPES = {
    2: FunctionType("g2", 1, ("eta", "shift", "cutoff"), _GAUSSIAN),
    3: FunctionType("g4", 2, ("eta", "lam", "zeta", "cutoff"), _GAUSSIAN, ("shift",)),
    9: FunctionType("g5", 2, ("eta", "lam", "zeta", "cutoff"), _GAUSSIAN, ("shift",)),
    12: FunctionType("g2", 0, ("eta", "shift", "cutoff"), _GAUSSIAN),
    13: FunctionType("g4", 0, ("eta", "shift", "lam", "zeta", "cutoff"), _GAUSSIAN),
    20: FunctionType("c2", 1, _RADIAL, ("core", "neighbors", "cutoff", "left")),
    21: FunctionType("c4", 2, _ANGULAR, _ANGULAR_ORDER),
    22: FunctionType("c5", 2, _ANGULAR, _ANGULAR_ORDER),
    23: FunctionType("c2", 0, _RADIAL, ("core", "neighbors", "cutoff", "left")),
    24: FunctionType("c4", 0, _ANGULAR, _ANGULAR_ORDER),
    25: FunctionType("c5", 0, _ANGULAR, _ANGULAR_ORDER),
}
RUNNER_TYPES = (2, 3, 9)  # those that RuNNer has in lines for all elements
CORE = re.compile(r"(p[1-4])(a?)|(e)")


def read_functions(settings, length_unit):
    """Return the arguments of ElementSymmetryFunctions, and the line of each function.

    Parameters
    ----------
    settings : Settings
    length_unit : str or float

    Returns
    -------
    arguments : dict
    lines : dict of str to list of int
        For each element, the number of the line that each of its functions is from.

    Raises
    ------
    FileFormatError, UnsupportedError
        For lines that are wrong, or define functions in a way that is not supported.
    InputError
        For the unit.
    """
    unit = units.length_unit("length_unit", length_unit)
    _refuse_unknown(settings)
    elements = read_elements(settings)
    cutoff_function, inner = _cutoff_type(settings)
    found = {element: [] for element in elements}
    lines = [
        *settings.all("symfunction_short"),
        *settings.all("element_symfunction_short"),
        *settings.all("global_symfunction_short"),
    ]
    for line in lines:
        for element, order, function in _functions(settings, line, elements, unit):
            found[element].append((order, line.number, function))
    if not any(found.values()):
        message = "there is no symfunction_short line"
        raise FileFormatError(message, settings.path, settings.n_lines)
    for own in found.values():
        own.sort(key=lambda item: item[:2])
    arguments = {
        "functions": {e: [function for *_, function in own] for e, own in found.items()},
        "cutoff_function": cutoff_function,
        "inner": inner,
    }
    return arguments, {e: [number for _, number, _ in own] for e, own in found.items()}


def read_elements(settings):
    """Return the elements in the order of their atomic numbers."""
    line = settings.need("elements")
    names = line.words
    n = settings.whole("number_of_elements", None, 1)
    if n is not None:  # words behind them are a comment
        names = names[:n]
        if len(names) < n:
            found = shown(" ".join(names))
            message = f"elements = {found}: as many as number_of_elements, {n}, are needed"
            raise settings.error(line, message)
        for word in line.words[n:]:
            if _is_element(word):
                found = shown(" ".join(line.words))
                message = f"elements = {found}: just number_of_elements, {n}, are needed"
                raise settings.error(line, message)
    if not names or len(set(names)) < len(names):
        found = shown(" ".join(names))
        raise settings.error(line, f"elements = {found}: different elements are needed")
    try:
        return sorted(names, key=atomic_number)
    except InputError as error:
        raise settings.error(line, str(error)) from None


def _is_element(word):
    try:
        return bool(atomic_number(word))
    except InputError:
        return False


def _refuse_unknown(settings):
    for line in settings:
        if DEFINES_FUNCTIONS.fullmatch(line.keyword) and line.keyword not in KNOWN:
            raise settings.unsupported(
                line,
                f"{shown(line.keyword)} defines symmetry functions in a way that is not supported;"
                f" one of {', '.join(sorted(KNOWN))} is needed",
            )


def _cutoff_type(settings):
    """(name of the cutoff function, alpha)."""
    kind, alpha = 1, None  # as in RuNNer
    line = settings.one("cutoff_type")
    if line:
        first, *rest = settings.first_words(line, 1, optional=1)
        kind = settings.parse(parse_whole, line, "cutoff_type", first)
        if kind not in N2P2_CUTOFF_TYPES:
            raise settings.unsupported(
                line, f"cutoff_type = {kind}: one of the types {list(N2P2_CUTOFF_TYPES)} is needed"
            )
        if rest:
            alpha = _alpha(settings, line, rest[0])
    line = settings.one("cutoff_alpha")  # RuNNer's way to say it
    if line:
        (word,) = settings.first_words(line, 1)
        also = _alpha(settings, line, word)
        if alpha not in (None, also):
            message = f"cutoff_alpha = {also:g}: that of cutoff_type, {alpha:g}, is needed"
            raise settings.error(line, message)
        alpha = also
    name = N2P2_CUTOFF_TYPES[kind]
    return name, 0.0 if name in CUTOFFS_WITHOUT_INNER else alpha or 0.0


def _alpha(settings, line, word):
    alpha = settings.parse(parse_number, line, "alpha", word)
    if not 0 <= alpha < 1:
        raise settings.error(line, f"alpha = {alpha:g}: 0 <= alpha < 1 is needed")
    return alpha


# ---- lines of functions


def _functions(settings, line, elements, unit):
    """Yield (element, sort key, function) of each function that a line defines.

    RuNNer's lines for all elements make one function for each element of the neighbors, or for each
    pair of them.
    """
    is_global = line.keyword == "global_symfunction_short"
    is_expanded = is_global or line.keyword == "element_symfunction_short"
    words = line.words
    centers = elements
    if not is_global:
        if not words or words[0] not in elements:
            found = shown(" ".join(words[:2]))
            message = f"{line.keyword} {found}: one of {elements} and a type are needed"
            raise settings.error(line, message)
        centers, words = words[:1], words[1:]
    if not words:
        raise settings.error(line, f"{line.keyword}: a type is needed")
    kind = settings.parse(parse_whole, line, f"{line.keyword}: type", words[0])
    allowed = RUNNER_TYPES if is_expanded else TYPES
    if kind not in allowed:
        message = f"{line.keyword}: type = {kind}: one of the types {list(allowed)} is needed"
        raise settings.unsupported(line, message)
    neighbors, values = _values(settings, line, kind, words[1:], elements, is_expanded)
    for center in centers:
        for codes in neighbors:
            order = (kind, *(codes if k == "neighbors" else values[k] for k in TYPES[kind].order))
            names = tuple(elements[code] for code in codes) or None
            function = _make_function(TYPES[kind].kind, names, values, unit)
            try:
                check_function(line.keyword, function, elements)
            except InputError as error:
                raise settings.error(line, str(error)) from None
            yield center, order, function


def _values(settings, line, kind, words, elements, is_expanded):
    """(list of the codes of neighbors, {name: value}) from the words behind the type."""
    n = 0 if is_expanded else TYPES[kind].n_neighbors
    type = TYPES[kind]
    names = type.words + (() if is_expanded else type.optional)
    n_words = n + len(type.words)
    given = leading(words, n_words, len(names) - len(type.words))
    if given is None:
        needed = " ".join(("E",) * n + type.words)
        found = shown(" ".join(words))
        raise settings.error(
            line,
            f"{line.keyword} of type {kind}: {n_words} more words are needed ({needed}), found"
            f" {found}",
        )
    for word in given[:n]:
        if word not in elements:
            message = f"{line.keyword}: {shown(word)}: one of the elements {elements} is needed"
            raise settings.error(line, message)
    values = {"shift": 0.0, "zeta": 1.0, "lam": 1.0}
    for name, word in zip(names, given[n:], strict=False):
        if name != "core":
            values[name] = settings.parse(parse_number, line, name, word)
            continue
        if not CORE.fullmatch(word):
            message = f"{line.keyword}: {shown(word)}: a core function p1 ... p4, p1a ... p4a or e"
            raise settings.unsupported(line, f"{message} is needed")
        values[name] = word
    if is_expanded:
        every = range(len(elements))
        return list(combinations_with_replacement(every, type.n_neighbors)), values
    return [tuple(sorted(elements.index(word) for word in given[:n]))], values


def _make_function(kind, neighbors, values, unit):
    if kind in ("g2", "g4", "g5"):
        cutoff, shift = values["cutoff"] * unit, values["shift"] * unit
        eta = values["eta"] / unit / unit
        return Function(kind, neighbors, cutoff, eta, shift, values["zeta"], values["lam"])
    polynomial, asymmetric, exponential = CORE.fullmatch(values["core"]).groups()
    radial = (values["left"] * unit, values["cutoff"] * unit)
    angular = (values["angle_left"], values["angle_right"]) if kind != "c2" else None
    core = N2P2_CORES[polynomial or exponential]
    return CompactFunction(kind, neighbors, radial, angular, core, bool(asymmetric))
