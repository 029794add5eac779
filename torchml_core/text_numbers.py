"""Numbers in text files, whoever wrote them: one parser for all formats.

A number is a decimal one of ASCII digits, ``-1.5e-3``; Fortran's exponents (``1.5d-3``) count. What
Python's ``float`` would take too does not: ``1_0.5``, digits of other scripts, ``nan``.
"""

import math
import re

from torchml_core.checks import refuse, whole

LONGEST = 64  # characters of a number; Python and KLIFF write up to 24
NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eEdD][+-]?[0-9]+)?")
NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.I)
FORTRAN = str.maketrans("dD", "ee")


def is_number(word):
    """Return whether a word can only be meant for a number; nan and inf are, too."""
    if len(word) > LONGEST:
        return False
    return bool(NUMBER.fullmatch(word) or NOT_FINITE.fullmatch(word))


def begins_like_number(word):
    """Return whether a word begins like a number, be it one or not: ``1_0``, ``0x10``, ``1,5``."""
    return word.lstrip("+-.\u2212")[:1].isdecimal() or is_number(word)


def parse_number(name, word):
    """Return the finite float that a word says, or raise InputError."""
    if len(word) > LONGEST:
        refuse(name, word, f"a number of at most {LONGEST} characters")
    if not NUMBER.fullmatch(word):
        refuse(name, word, "a finite decimal number")
    value = float(word.translate(FORTRAN))
    if not math.isfinite(value):
        refuse(name, word, "a number below 1.8e308")
    return value


def parse_whole(name, word, least=None, most=2**31 - 1):
    """Return the int that a word says, ``3`` or ``3.0``; InputError unless it is in the limits."""
    return whole(name, parse_number(name, word), least, most)
