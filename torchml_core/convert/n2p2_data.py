"""``scaling.data`` and ``weights.ZZZ.data`` of n2p2 and RuNNer."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from torchml_core import files
from torchml_core.checks import shown
from torchml_core.errors import FileFormatError, InputError
from torchml_core.text_numbers import parse_number, parse_whole

COLUMNS = ("element", "function", "min", "max", "mean", "sigma")


class Statistics(NamedTuple):
    """What scaling.data has for the functions of an element, each (n,) in n2p2's order.

    Attributes
    ----------
    low, high, mean : (n,) array
    sigma : (n,) array or None
        RuNNer's files have none.
    lines : list of int
    """

    low: np.ndarray
    high: np.ndarray
    mean: np.ndarray
    sigma: np.ndarray | None
    lines: list


def read_statistics(path, widths):
    """Return {element: Statistics}.

    Parameters
    ----------
    path : pathlib.Path
    widths : dict of str to int
        Number of functions of each element, in the order of the file.

    Raises
    ------
    FileFormatError
        If a row is wrong, or there are too few or too many.
    """
    lines = _numbered_words(path, "scaling file of n2p2")
    if lines and len(lines[-1][1]) == 2:  # RuNNer's last line: smallest and largest energy
        number, words = lines.pop()
        for word in words:
            _parse(parse_number, path, number, "energy", word)
    rows = iter(lines)
    found = {}
    last = lines[-1][0] if lines else 1
    for place, (element, n) in enumerate(widths.items(), 1):
        own = []
        for k in range(1, n + 1):
            number, words = next(rows, (None, None))
            if words is None:
                message = f"the file ends before row {k} of the {n} for {element}"
                raise FileFormatError(message, path, last)
            own.append((number, *_row(path, number, words, place, k, element, n)))
        numbers, *columns = zip(*own, strict=True) if own else [()] * 5
        low, high, mean, sigma = (np.array(column) for column in columns)
        sigma = None if None in columns[-1] else sigma
        found[element] = Statistics(low, high, mean, sigma, list(numbers))
    number, words = next(rows, (None, None))
    if words is not None:
        counts = ", ".join(f"{n} for {element}" for element, n in widths.items())
        message = f"{shown(' '.join(words))}: only as many rows as functions ({counts}) are needed"
        raise FileFormatError(message, path, number)
    return found


def _row(path, number, words, place, k, element, n):
    """(min, max, mean, sigma or None) of a row, which must be that of function k of an element."""
    if len(words) not in (5, 6):
        found = shown(" ".join(words))
        message = f"{found}: the columns {' '.join(COLUMNS)} are needed; sigma may be missing"
        raise FileFormatError(message, path, number)
    index = [_parse(parse_whole, path, number, COLUMNS[i], words[i]) for i in (0, 1)]
    if index != [place, k]:
        raise FileFormatError(
            f"element {index[0]}, function {index[1]}: element {place}, function {k} is needed"
            f" here; {element} has {n} functions",
            path,
            number,
        )
    values = [
        _parse(parse_number, path, number, name, word)
        for name, word in zip(COLUMNS[2:], words[2:], strict=False)
    ]
    if values[0] > values[1]:
        message = f"min = {values[0]:g}, max = {values[1]:g}: min <= max is needed"
        raise FileFormatError(message, path, number)
    return (*values, None)[:4]


def scaled(path, scaling, statistics):
    """Return (shift, factor) of an element: scaled values are (G - shift) * factor.

    Raises
    ------
    FileFormatError
        For a function that cannot be scaled, since it always had the same value.
    """
    n = len(statistics.low)
    if scaling.kind == "none":
        return np.zeros(n), np.ones(n)
    if scaling.kind == "center":
        return statistics.mean, np.ones(n)
    size = statistics.high - statistics.low
    if scaling.kind == "sigma":
        if statistics.sigma is None:
            message = "the column sigma is needed for scale_symmetry_functions_sigma"
            raise FileFormatError(message, path, statistics.lines[0])
        size = statistics.sigma
    if not (size > 0).all():
        line = statistics.lines[int(np.argmin(size))]
        name = "sigma" if scaling.kind == "sigma" else "max - min"
        raise FileFormatError(f"{name} = {size.min():g}: more than 0 is needed", path, line)
    factor = (scaling.high - scaling.low) / size
    center = statistics.low if scaling.kind == "range" else statistics.mean
    return center - scaling.low / factor, factor


def read_weights(path):
    """Return the first column of a file of weights, (n,), and the number of its last line."""
    lines = _numbered_words(path, "file of weights of n2p2")
    values = [_parse(parse_number, path, number, "weight", words[0]) for number, words in lines]
    return np.array(values), lines[-1][0] if lines else 1


def layers_of_weights(values, nodes):
    """Return [(W (n_outputs, n_inputs), b (n_outputs,)), ...] of the layers of a network.

    For each layer the file has all weights of the first input, of the second, ..., then biases.
    """
    layers, start = [], 0
    for n, m in pairwise(nodes):
        weights = values[start : start + n * m].reshape(n, m)
        start += n * m
        layers.append((weights.T.copy(), values[start : start + m].copy()))
        start += m
    return layers


def n_weights(nodes):
    """Return how many numbers the weights and biases of a network are."""
    return sum((n + 1) * m for n, m in pairwise(nodes))


def _numbered_words(path, what):
    """[(line number, words)] of the lines that are not empty or comments."""
    lines = files.read_lines(path, what)
    found = []
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].partition("!")[0].split()
        if words:
            found.append((number, words))
    return found


def _parse(parser, path, line, name, word):
    try:
        return parser(name, word)
    except InputError as error:
        raise FileFormatError(str(error), path, line) from None
