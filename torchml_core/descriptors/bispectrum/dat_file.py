"""Reading and writing the ``.dat`` file of the bispectrum, in KLIFF's and libdescriptor's format.

After the beginning that all files share (pair_table.py), a line each: jmax (half of twojmax),
rfac0, diagonalstyle, rmin0, switch_flag, bzero_flag, and the weights of the species, in the order
in which the pairs name them.
"""

from torchml_core.checks import shown
from torchml_core.descriptors.data_lines import BOOLEANS, check_names
from torchml_core.descriptors.pair_table import pair_table_lines, read_pair_table
from torchml_core.errors import UnsupportedError

# What the format cannot store, with the only value that it implies.
IMPLIED = {"inner_switch": None, "normalize": False, "chemical": False, "self_in_all": False}


def read_bispectrum(lines):
    """Return the arguments of Bispectrum in a file's DataLines."""
    species, cutoffs = read_pair_table(lines)
    (jmax,) = lines.numbers("jmax", 1)
    if not (2.0 * jmax).is_integer():
        raise lines.error(f"jmax {jmax:g}: a whole or half-integer number is needed")
    (rfac0,) = lines.numbers("rfac0", 1)
    diagonal_style = lines.whole("diagonalstyle", 0)
    (rmin0,) = lines.numbers("rmin0", 1)
    return {
        "species": species,
        "cutoff": cutoffs,
        "twojmax": int(2 * jmax),
        "rfac0": rfac0,
        "diagonal_style": diagonal_style,
        "rmin0": rmin0,
        "switch": _read_flag(lines, "switch_flag"),
        "subtract_isolated": _read_flag(lines, "bzero_flag"),
        "weights": lines.numbers("the weights of the species", len(species)),
    }


def _read_flag(lines, what):
    """Return a flag, written as 0 or 1, or as a word."""
    words = lines.words(what)
    flags = [BOOLEANS[word.lower()] for word in words if word.lower() in BOOLEANS]
    if len(flags) == 1:
        return flags[0]
    (flag,) = lines.parse_wholes(words, what, 1, 0)
    if flag > 1:
        raise lines.error(f"{what} {shown(flag)}: 0 or 1 is needed")
    return bool(flag)


def bispectrum_lines(descriptor):
    """Yield the lines of a Bispectrum, or raise UnsupportedError."""
    for name, implied in IMPLIED.items():
        if getattr(descriptor, name) != implied:
            raise UnsupportedError(
                f"{name} = {getattr(descriptor, name)!r}: the .dat format cannot store it"
            )
    check_names(descriptor.species)
    jmax = descriptor.twojmax / 2
    yield "# Bispectrum"
    yield from pair_table_lines(descriptor.species, descriptor.cutoffs)
    yield from ["", "# jmax", f"{jmax:g}", "", "# rfac0", repr(descriptor.rfac0)]
    yield from ["", "# diagonalstyle", str(descriptor.diagonal_style)]
    yield from ["", "# rmin0", repr(descriptor.rmin0)]
    yield from ["", "# switch_flag", str(int(descriptor.switch))]
    yield from ["", "# bzero_flag", str(int(descriptor.subtract_isolated))]
    yield from ["", "# weights", "  ".join(map(repr, descriptor.weights.values()))]
