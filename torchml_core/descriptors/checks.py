"""Checks of settings that several descriptors share."""

import math
import operator

from torchml_core.errors import InputError


def one_of(name, value, allowed):
    """Return value, which must be one of those allowed."""
    if not any(value is known or value == known for known in allowed):
        raise InputError(f"{name} = {value!r}: one of {', '.join(map(repr, allowed))} is needed")
    return value


def number(name, value):
    """Return a finite float, or raise an InputError that names the argument."""
    try:
        checked = float(value)
    except (TypeError, ValueError):
        checked = math.nan
    if isinstance(value, (str, bytes)) or not math.isfinite(checked):
        raise InputError(f"{name} = {value!r}: a finite number is needed")
    return checked


def positive(name, value):
    """Return a finite float above 0."""
    checked = number(name, value)
    if checked <= 0:
        raise InputError(f"{name} = {value!r}: more than 0 is needed")
    return checked


def whole(name, value, least, most):
    """Return an int from least to most."""
    try:
        checked = operator.index(value)
    except TypeError:
        checked = None
    if checked is None or isinstance(value, bool) or not least <= checked <= most:
        raise InputError(f"{name} = {value!r}: a whole number from {least} to {most} is needed")
    return checked
