"""Reading and writing the ``.dat`` file of SOAP, in both of its layouts.

libdescriptor's own reader expects a line for each of n_max, l_max, cutoff, eta, radial basis and
number of species, and the species' names on the next line. KLIFF writes the beginning of all its
files (pair_table.py: cutoff type, species, pair cutoffs) and a line for each of n_max, l_max,
cutoff, radial basis and eta. KLIFF trains on libdescriptor's densities, in which the density of
each species contains those of the species before it, and on neighbors up to the cutoff of the
pairs; the later cutoff is that of the radial functions. So only KLIFF's layout means
``species_density="cumulative"``.

Settings that libdescriptor does not have follow in both layouts, by name and in any order, but only
those that differ from libdescriptor, and sigma if it was given in place of eta::

    sigma 0.5
    basis_cutoff 4.5
    smoothing cosine
    smoothing_width 0.5
    cross_blocks full
    normalization dscribe
    unit_norm True
    species_weights 2 3         # rows, one for each species, and columns
    1.0 0.5 0.0
    0.0 0.5 1.0
"""

import itertools
import warnings

import numpy as np

from torchml_core.checks import one_of, shown
from torchml_core.descriptors.data_lines import BOOLEANS, check_names
from torchml_core.descriptors.density.density import CROSS_BLOCKS, NORMALIZATIONS, SMOOTHINGS
from torchml_core.descriptors.pair_table import pair_table_lines, read_pair_table
from torchml_core.text_numbers import is_number

# Settings of a file that does not name them.
LIBDESCRIPTOR = {
    "smoothing": None,
    "cross_blocks": "upper",
    "normalization": "libdescriptor",
    "unit_norm": False,
    "species_weights": None,
}
CHOICES = {
    "smoothing": SMOOTHINGS,
    "cross_blocks": CROSS_BLOCKS,
    "normalization": NORMALIZATIONS,
}
# By n_max: the largest error of libdescriptor's radial functions, which it computes in double
# precision, where it is noticeable. From n_max = 8 they are NaN, so no model is trained on them.
ERRORS_OF_LIBDESCRIPTOR = {6: "3e-5", 7: "3e-2"}
OTHERS = ("sigma", "basis_cutoff", "smoothing", "smoothing_width", *list(LIBDESCRIPTOR)[1:])
# Of what has not been read yet, where what has been is checked.
PLACEHOLDERS = {
    "species": ["X"],
    "cutoff": 5.0,
    "n_max": 1,
    "l_max": 0,
    "radial_basis": "polynomial",
    "smoothing": None,
}


def read_soap(cls, lines):
    """Return the descriptor of class ``cls``, SOAP, in a file's DataLines."""

    def check(settings):
        return lines.checked(lambda: cls(**settings))

    first = lines.peek()
    if first is None or any(map(is_number, first)):
        settings = _read_libdescriptor(lines, check)
    else:  # the file begins with a word, the cutoff type
        settings = _read_kliff(lines, check)
    others = _read_others(lines, settings, check)
    if "sigma" in others:  # the same as eta
        del settings["eta"]
    return check(settings | LIBDESCRIPTOR | others)


def _read_libdescriptor(lines, check):
    settings = {}
    for name in ("n_max", "l_max", "cutoff", "eta", "radial_basis", "species"):
        _read_into(settings, lines, name, check)
    return settings


def _read_kliff(lines, check):
    species, cutoffs = read_pair_table(lines)
    (a, b), cutoff = next(iter(cutoffs.items()))
    for pair, other in cutoffs.items():
        if other != cutoff:
            raise lines.error(
                f"SOAP needs one cutoff for all pairs, but {a} {b} has {cutoff:g} and"
                f" {' '.join(pair)} has {other:g}"
            )
    settings = {"species": species, "cutoff": cutoff, "species_density": "cumulative"}
    check(PLACEHOLDERS | settings)
    for name in ("n_max", "l_max", "basis_cutoff", "radial_basis", "eta"):
        _read_into(settings, lines, name, check)
    if settings["n_max"] in ERRORS_OF_LIBDESCRIPTOR:
        warnings.warn(
            f"{lines.path}: n_max = {settings['n_max']}: the radial functions of libdescriptor, on"
            f" which KLIFF trains, are wrong by {ERRORS_OF_LIBDESCRIPTOR[settings['n_max']]} of"
            " their size, here they are exact: a model that was trained on them gives somewhat"
            " other energies",
            stacklevel=2,
        )
    return settings


def _read_into(settings, lines, name, check):
    """Read a setting, and let the constructor check it while its line is known."""
    if name in ("n_max", "l_max"):
        settings[name] = lines.whole(name, None)
    elif name == "radial_basis":
        settings[name] = _last_word(lines, "the radial basis", name).lower()
    elif name == "species":
        settings[name] = _read_species(lines)
    else:
        what = "cutoff (of the radial functions)" if name == "basis_cutoff" else name
        (settings[name],) = lines.numbers(what, 1)
    check(PLACEHOLDERS | settings)


def _last_word(lines, what, name):
    """The last word of a line that has one word, perhaps after its name."""
    words = lines.words(what)
    if len(words) == 2 and words[0] == name:
        return words[1]
    if len(words) != 1:
        raise lines.error(f"{what}: one word is needed, found {shown(' '.join(words))}")
    return words[0]


def _read_species(lines):
    n_species = lines.whole("the number of species")
    names = lines.words(f"the names of the {n_species} species")
    if len(names) != n_species:
        found = shown(" ".join(names))
        raise lines.error(f"{n_species} names of species are needed, found {found}")
    return names


def _read_others(lines, required, check):
    """The settings that follow those of every file."""
    settings, line_of = {}, {}
    while lines.peek() is not None:
        words = lines.words("a setting")
        name = words[0]
        known = [word for word in OTHERS if word not in required]
        if name not in known:
            raise lines.error(f"{shown(name)} is none of the settings {', '.join(known)}")
        if name in settings:
            raise lines.error(f"{name} is given twice")
        line_of[name] = lines.line
        settings[name] = _read_setting(lines, name, words[1:], len(required["species"]))
        if name == "sigma":
            _check_sigma(lines, settings[name], required["eta"])
        elif name != "smoothing":  # its width may be elsewhere
            one = {"smoothing": "cosine" if name == "smoothing_width" else None}
            check({**required, **one, name: settings[name]})
    if "smoothing_width" in settings and settings.get("smoothing") is None:
        lines.line = line_of["smoothing_width"]
        raise lines.error("smoothing_width is given without 'smoothing cosine'")
    return settings


def _check_sigma(lines, sigma, eta):
    square = sigma * sigma  # 0 or infinite where a float cannot hold it; ** would raise
    if not (sigma > 0 and square > 0) or 1 / (2 * square) != eta:
        raise lines.error(f"sigma = {sigma!r}: 1/(2 sigma²) = {eta!r}, eta above, is needed")


def _read_setting(lines, name, words, n_species):
    if name in ("smoothing_width", "basis_cutoff", "sigma"):
        return lines.parse(words, name, 1)[0]
    if name == "species_weights":
        return _read_species_weights(lines, words, n_species)
    word = words[0] if len(words) == 1 else " ".join(words)
    if name == "unit_norm":
        if word.lower() not in BOOLEANS:
            raise lines.error(f"unit_norm = {shown(word)}: True or False is needed")
        return BOOLEANS[word.lower()]
    value = None if name == "smoothing" and word.lower() == "none" else word.lower()
    return lines.checked(one_of, name, value, CHOICES[name])


def _read_species_weights(lines, words, n_species):
    n_rows, n_columns = lines.parse_wholes(words, "species_weights: rows and columns", 2)
    if n_rows != n_species:
        raise lines.error(f"species_weights: {n_rows} rows for {n_species} species")
    rows = []
    for k in range(n_species):
        what = f"row {k + 1} of {n_species} of species_weights"
        words = lines.words(what)
        if not is_number(words[0]):
            found = shown(" ".join(words))
            raise lines.error(f"{what}: {n_columns} numbers are needed, found {found}")
        rows.append(lines.parse(words, what, n_columns))
    return rows


def soap_lines(descriptor):
    """Yield the lines of a SOAP, or raise UnsupportedError."""
    check_names(descriptor.species)
    yield "# SOAP"
    if descriptor.species_density == "cumulative":
        pairs = itertools.combinations_with_replacement(descriptor.species, 2)
        yield from pair_table_lines(descriptor.species, dict.fromkeys(pairs, descriptor.cutoff))
        values = {
            "n_max": descriptor.n_max,
            "l_max": descriptor.l_max,
            "cutoff": descriptor.basis_cutoff,
            "radial_basis": descriptor.radial_basis,
            "eta": descriptor.eta,
        }
        yield from itertools.chain(*(["", f"# {name}", str(v)] for name, v in values.items()))
        yield from _other_lines(descriptor, {})
        return
    for name in ("n_max", "l_max", "cutoff", "eta", "radial_basis"):
        yield from ["", f"# {name}", str(getattr(descriptor, name))]
    yield from ["", "# species", str(len(descriptor.species)), " ".join(descriptor.species)]
    yield from _other_lines(descriptor, {"basis_cutoff": descriptor.cutoff})


def _other_lines(descriptor, defaults):
    """The settings that differ both from libdescriptor's and from ``defaults``."""
    others = [
        name
        for name, default in (defaults | LIBDESCRIPTOR).items()
        if (value := getattr(descriptor, name)) is not None and not np.array_equal(value, default)
    ]
    sigma = descriptor.settings().get("sigma")
    if others or sigma is not None:
        yield from ["", "# settings that only torchml_core reads"]
    if sigma is not None:
        yield f"sigma {sigma!r}"
    for name in others:
        value = getattr(descriptor, name)
        if name == "species_weights":
            yield f"{name} {value.shape[0]} {value.shape[1]}"
            yield from (" ".join(map(repr, row)) for row in value.tolist())
        else:
            yield f"{name} {value}"
        if name == "smoothing":
            yield f"smoothing_width {descriptor.smoothing_width!r}"
