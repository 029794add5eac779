"""Checks of arguments: numbers, flags and arrays.

Each takes the argument's name and its value and returns the value in the type that the library
works with, or raises an InputError of one form: ``<argument> = <value>: <requirement> is needed``.
What only one module can check (a cell, lists of neighbors, a descriptor's settings) is checked
there, with :func:`refuse` for the message.
"""

import contextlib
import math
import operator
import reprlib
from collections.abc import Set
from typing import NoReturn

import numpy as np

from torchml_core._arrays import are_finite
from torchml_core.errors import InputError

LONGEST = 200  # of a value in a message
_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80
_short.maxlong = 40
_short.maxlist = _short.maxtuple = _short.maxdict = _short.maxset = 8


def shown(value):
    """Return ``repr(value)``, shortened where it is long: messages are read by people."""
    if isinstance(value, np.ndarray):
        if value.size > 16:
            return f"array of shape {value.shape} and dtype {value.dtype}"
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, int) and value.bit_length() > 200:  # Python refuses to print the largest
        return f"{'-' if value < 0 else ''}2**{value.bit_length() - 1} or more"
    text = _short.repr(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def refuse(name, value, requirement) -> NoReturn:
    """Raise the InputError that names an argument, its value, and what is needed instead."""
    raise InputError(f"{name} = {shown(value)}: {requirement} is needed") from None


# ---- one value


def number(name, value, requirement="a finite number"):
    """Return a finite float."""
    if type(value) is float and math.isfinite(value):
        return value
    checked = math.nan
    # float() would take text, flags, and arrays of one number
    if not isinstance(value, (str, bytes, bool, np.bool_)) and not getattr(value, "ndim", 0):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            checked = float(value)
    if not math.isfinite(checked):
        refuse(name, value, requirement)
    return checked


def positive(name, value):
    """Return a finite float above 0: a cutoff, a width, a step."""
    requirement = "a positive finite number"
    checked = number(name, value, requirement)
    if checked <= 0:
        refuse(name, value, requirement)
    return checked


def not_negative(name, value):
    """Return a finite float of at least 0: a skin, a tolerance."""
    requirement = "a finite number of at least 0"
    checked = number(name, value, requirement)
    if checked < 0:
        refuse(name, value, requirement)
    return checked


def whole(name, value, least=None, most=None):
    """Return an int from least to most; whole floats count, bools do not."""
    if type(value) is int and (least is None or value >= least) and (most is None or value <= most):
        return value
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        value = int(value)
    try:
        checked = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except TypeError:
        checked = None
    too_small = checked is not None and least is not None and checked < least
    too_large = checked is not None and most is not None and checked > most
    if checked is None or too_small or too_large:
        limits = "" if least is None else f" of at least {least}"
        if most is not None:
            limits = f" up to {most}" if least is None else f" from {least} to {most}"
        refuse(name, value, f"a whole number{limits}")
    return checked


def one_of(name, value, allowed, where=""):
    """Return value, which must be one of those allowed; ``where`` says where just these are."""
    if getattr(value, "ndim", 0) or not any(value is k or value == k for k in allowed):
        refuse(name, value, f"one of {', '.join(map(repr, allowed))}{where and f', {where},'}")
    return value


def flag(name, value):
    """Return a bool; 0 and 1 count as such, nothing else does."""
    if value is True or value is False:
        return value
    if not isinstance(value, (bool, np.bool_)) and not (
        isinstance(value, (int, np.integer)) and value in (0, 1)
    ):
        refuse(name, value, "True or False")
    return bool(value)


def real_dtype(name, dtype):
    """Return float64 or float32 as a NumPy dtype."""
    try:
        checked = None if dtype is None else np.dtype(dtype)  # NumPy takes None for float64
    except (TypeError, ValueError):
        checked = None
    if checked not in (np.float64, np.float32) or checked is None:
        refuse(name, dtype, "float64 or float32")
    return checked


def sequence(name, values, requirement="a sequence"):
    """Return a list of what is in a sequence; text is none, and a set has no order."""
    if isinstance(values, (str, bytes, Set)):
        refuse(name, values, requirement)
    try:
        return list(values)
    except TypeError:  # an array without dimensions says so only when it is asked
        refuse(name, values, requirement)


# ---- arrays


def as_array(name, values, requirement):
    """Return any array, as NumPy makes it of what it is given."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError, OverflowError, RuntimeError):  # ragged; of torch, on a GPU
        refuse(name, values, requirement)


def periodic(name, value, shape=(3,)):
    """Return flags as a bool array of a shape; one, or one for each direction, is broadcast.

    0 and 1 count as such. Text does not: "False" would be true.
    """
    if isinstance(value, np.ndarray) and value.dtype == bool and value.shape == shape:
        return value.copy()  # that of ASE's Atoms
    requirement = f"True or False, or an array of them of shape {shape},"
    array = _flags(name, value, requirement)
    if array.ndim == 0:  # by far the most frequent, and broadcast_to is slow
        return np.full(shape, array)
    try:
        return np.array(np.broadcast_to(array, shape), order="C")
    except ValueError:
        refuse(name, value, requirement)


def flags(name, values, shape):
    """Return flags as a C-contiguous bool array of just this shape; 0 and 1 count as such."""
    checked = _flags(name, values, f"an array of True or False of shape {shape}")
    if checked.shape != shape:
        raise InputError(f"{name} has shape {checked.shape}; {shape} is needed")
    return np.ascontiguousarray(checked)


def _flags(name, values, requirement):
    found = as_array(name, values, requirement)
    if found.size == 0 or (found.dtype.kind in "iu" and np.isin(found, (0, 1)).all()):
        found = found.astype(bool)
    if found.dtype != bool:
        refuse(name, values, requirement)
    return found


def integers(name, values, shape=None, *, least=None, most=None, dtype=np.int32):
    """Return a C-contiguous array of integers.

    The range is checked in the type that comes in: converted first, 2**32 + 1 would be 1.

    Parameters
    ----------
    shape : tuple, optional
        None: any one-dimensional array.
    least, most : int, optional
        What all must be between; in any case they must fit the dtype that is returned.
    """
    array = as_array(name, values, "an array of integers")
    if array.size == 0 and array.dtype.kind == "f":
        array = array.astype(dtype)  # an empty list
    if array.dtype.kind == "O" and all(type(k) is int for k in array.flat):
        try:
            array = array.astype(np.int64)
        except OverflowError:  # an int beyond 64 bits makes an array of objects
            large = max(array.flat, key=abs)
            raise InputError(f"{name} has {shown(large)}: 64-bit integers are needed") from None
    if array.dtype.kind not in "iu":
        raise InputError(f"{name} is of dtype {array.dtype}; integers are needed")
    if shape is None and array.ndim != 1:
        raise InputError(f"{name} has shape {array.shape}; one dimension is needed")
    if shape is not None and array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}; {shape} is needed")
    limits = np.iinfo(dtype)
    least = limits.min if least is None else least
    most = limits.max if most is None else most
    # compared as Python's integers, which never overflow
    if array.size and int(array.min()) < least:
        raise InputError(f"{_entry(name, array, array.argmin())}: at least {least} is needed")
    if array.size and int(array.max()) > most:
        raise InputError(f"{_entry(name, array, array.argmax())}: at most {most} is needed")
    return np.ascontiguousarray(array, dtype=dtype)


def real_numbers(name, values, shape, meaning=None, *, keep_float32=False):
    """Return a C-contiguous array of finite float64.

    Parameters
    ----------
    shape : tuple of int or None, or None
        What it must be; None for a dimension of any length, or for any shape.
    meaning : str, optional
        The shape in words, for messages: ``(n_centers, width)``.
    keep_float32 : bool
        Whether float32 stays what it is.
    """
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        wanted = "" if shape is None else f" of shape {meaning or _shape(shape)}"
        raise InputError(f"{name}: an array{wanted} of real numbers is needed: {error}") from None
    if array.size == 0 and array.shape == (0,) and shape and shape[0] in (None, 0):
        array = array.reshape((0, *(n or 0 for n in shape[1:])))  # an empty list
    if array.dtype.kind not in "fiub":
        raise InputError(f"{name} is of dtype {array.dtype}; real numbers are needed")
    if shape not in (None, array.shape) and not _fits(array.shape, shape):
        wanted = f"{meaning} = {_shape(shape)}" if meaning else _shape(shape)
        raise InputError(f"{name} has shape {array.shape}; {wanted} is needed")
    precision = np.float32 if keep_float32 and array.dtype == np.float32 else np.float64
    array = np.ascontiguousarray(array, dtype=precision)
    if not are_finite(array):
        bad = np.isfinite(array).argmin()
        raise InputError(f"{_entry(name, array, bad)}: a finite number is needed")
    return array


def _fits(found, shape):
    return len(found) == len(shape) and all(
        n in (None, m) for n, m in zip(shape, found, strict=True)
    )


def _shape(shape):
    """``(n, 3)``, with an n for each dimension of any length."""
    return (
        "("
        + ", ".join("n" if n is None else str(n) for n in shape)
        + (",)" if len(shape) == 1 else ")")
    )


def positions(name, values):
    """Return positions as a C-contiguous array of finite float64, (n, 3)."""
    return real_numbers(name, values, (None, 3))


def _entry(name, array, where):
    """``name[i, j] = value`` of the entry with a flat index."""
    index = ", ".join(str(k) for k in np.unravel_index(where, array.shape))
    return f"{name}[{index}] = {array.flat[where]}"
