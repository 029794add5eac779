"""The ``.dat`` file of SOAP: read, write.

KLIFF's format, a line for each: n_max, l_max, cutoff, eta, radial basis, number of species, and
their names on the next line. It has no word for what libdescriptor does not know. Such settings
stand behind the names, by name and in any order, each only where it is not libdescriptor's::

    smoothing cosine
    smoothing_width 0.5
    cross_blocks full
    normalization dscribe
    unit_norm True
    species_weights 2 3         # rows, one for each species, and columns
    1.0 0.5 0.0
    0.0 0.5 1.0
"""

import numpy as np

from torchml_core import files
from torchml_core.checks import one_of, whole
from torchml_core.descriptors.data_lines import BOOLEANS, NUMBER, check_names
from torchml_core.descriptors.density import MOST_L, MOST_N, SMOOTHINGS, check_cutoff
from torchml_core.descriptors.radial_basis import RADIAL_BASES
from torchml_core.descriptors.soap import CROSS_BLOCKS, NORMALIZATIONS, SOAP

# What a file means that does not say otherwise.
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
WORDS = ("smoothing", "smoothing_width", *list(LIBDESCRIPTOR)[1:])


def read_soap(lines):
    """Return the SOAP of a file's DataLines."""
    n_max = lines.checked(whole, "n_max", lines.whole("n_max"), 1, MOST_N)
    l_max = lines.checked(whole, "l_max", lines.whole("l_max", 0), 0, MOST_L)
    (cutoff,) = lines.numbers("the cutoff", 1)
    lines.checked(check_cutoff, cutoff, "polynomial")
    (eta,) = lines.numbers("eta", 1)
    required = {"species": ["X"], "cutoff": cutoff, "n_max": n_max, "l_max": l_max, "eta": eta}
    lines.checked(_make, {**required, "radial_basis": "polynomial"})
    basis = _last_word(lines, "the radial basis", "radial_basis")
    required["radial_basis"] = lines.checked(one_of, "radial_basis", basis.lower(), RADIAL_BASES)
    lines.checked(_make, required)
    required["species"] = _read_species(lines)
    return lines.checked(_make, required | LIBDESCRIPTOR | _read_others(lines, required))


def _make(settings):
    return SOAP(**settings)


def _last_word(lines, what, name):
    """One word, alone or behind its name."""
    words = lines.words(what)
    if len(words) == 2 and words[0] == name:
        return words[1]
    if len(words) != 1:
        raise lines.error(f"{what}: one word is needed, found {' '.join(words)!r}")
    return words[0]


def _read_species(lines):
    n_species = lines.whole("the number of species")
    names = lines.words(f"the names of the {n_species} species")
    if len(names) != n_species:
        raise lines.error(f"{n_species} names of species are needed, found {' '.join(names)!r}")
    lines.checked(SOAP, names, 5.0, 1, 0)
    return names


def _read_others(lines, required):
    """The settings behind the names."""
    settings, line_of = {}, {}
    while lines.peek() is not None:
        words = lines.words("a setting")
        name = words[0]
        if name not in WORDS:
            raise lines.error(f"{name!r} is none of the settings {', '.join(WORDS)}")
        if name in settings:
            raise lines.error(f"{name} is given twice")
        line_of[name] = lines.line
        settings[name] = _read_setting(lines, name, words[1:], len(required["species"]))
        if name != "smoothing":  # its width may stand elsewhere
            one = {"smoothing": "cosine" if name == "smoothing_width" else None}
            lines.checked(_make, {**required, **one, name: settings[name]})
    if "smoothing_width" in settings and settings.get("smoothing") is None:
        lines.line = line_of["smoothing_width"]
        raise lines.error("smoothing_width: there is no smoothing cosine that it is the width of")
    return settings


def _read_setting(lines, name, words, n_species):
    if name == "smoothing_width":
        return lines.parse(words, name, 1)[0]
    if name == "species_weights":
        return _read_species_weights(lines, words, n_species)
    word = words[0] if len(words) == 1 else " ".join(words)
    if name == "unit_norm":
        if word.lower() not in BOOLEANS:
            raise lines.error(f"unit_norm True or False is needed, found {word!r}")
        return BOOLEANS[word.lower()]
    value = None if name == "smoothing" and word.lower() == "none" else word.lower()
    return lines.checked(one_of, name, value, CHOICES[name])


def _read_species_weights(lines, words, n_species):
    n_rows, n_columns = lines.parse(words, "species_weights: rows and columns", 2)
    if n_rows != n_species:
        raise lines.error(f"species_weights: {n_rows:g} rows for {n_species} species")
    n_columns = lines.as_whole(n_columns, "species_weights: columns")
    rows = []
    for k in range(n_species):
        what = f"row {k + 1} of {n_species} of species_weights"
        words = lines.words(what)
        if not NUMBER.fullmatch(words[0]):
            raise lines.error(f"{what}: {n_columns} numbers are needed, found {' '.join(words)!r}")
        rows.append(lines.parse(words, what, n_columns))
    return rows


def write_soap(descriptor, path):
    """Write a SOAP; see :meth:`SOAP.to_file`."""
    check_names(descriptor.species)
    files.write_text("path", path, "\n".join(_lines(descriptor)) + "\n")


def _lines(descriptor):
    yield "# SOAP"
    for name in ("n_max", "l_max", "cutoff", "eta", "radial_basis"):
        value = getattr(descriptor, name)
        yield from ["", f"# {name}", value if isinstance(value, str) else repr(value)]
    yield from ["", "# species", str(len(descriptor.species)), " ".join(descriptor.species)]
    others = [
        name
        for name, default in LIBDESCRIPTOR.items()
        if (value := getattr(descriptor, name)) is not None and not np.array_equal(value, default)
    ]
    if others:
        yield from ["", "# settings that torchml_core alone knows"]
    for name in others:
        value = getattr(descriptor, name)
        if name == "species_weights":
            yield f"{name} {value.shape[0]} {value.shape[1]}"
            yield from (" ".join(map(repr, row)) for row in value.tolist())
        else:
            yield f"{name} {value}"
        if name == "smoothing":
            yield f"smoothing_width {descriptor.smoothing_width!r}"
