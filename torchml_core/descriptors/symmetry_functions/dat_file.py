"""Reading and writing the ``.dat`` file of symmetry functions, in libdescriptor's format."""

import itertools

from torchml_core.checks import shown
from torchml_core.descriptors.data_lines import BOOLEANS, check_names
from torchml_core.descriptors.pair_table import pair_table_lines, read_pair_table
from torchml_core.descriptors.symmetry_functions.functions import PARAMETERS, check_row
from torchml_core.errors import UnsupportedError


def read_symmetry_functions(lines):
    """Return the arguments of SymmetryFunctions in a file's DataLines."""
    species, cutoffs = read_pair_table(lines)
    functions = _read_functions(lines)
    width = sum(len(rows) or 1 for _, rows in functions)
    mean, std = _read_normalization(lines, width)
    return {
        "species": species,
        "cutoff": cutoffs,
        "functions": functions,
        "mean": mean,
        "std": std,
    }


def _read_functions(lines):
    n_types = lines.whole("the number of symmetry function types")
    functions = {}
    for k in range(n_types):
        what = f"symmetry function type {k + 1} of {n_types}"
        words = lines.words(what)
        type = words[0].lower()
        if type not in PARAMETERS:
            raise lines.error(f"{what}: {shown(words[0])} is none of {', '.join(PARAMETERS)}")
        if type in functions:
            raise lines.error(f"{what}: {type} was there before")
        functions[type] = _read_rows(lines, type, words[1:])
    return list(functions.items())


def _read_rows(lines, type, counts):
    names = PARAMETERS[type]
    if type == "g1" and not counts:
        return []
    least = 0 if type == "g1" else 1  # "g1 1 0" occurs
    n_rows, n_columns = lines.parse_wholes(counts, f"{type}: rows and columns", 2, least)
    if type == "g1":
        if n_rows != 1 or n_columns > 1:
            raise lines.error(f"g1 has one row of one number, not {n_rows} of {n_columns}")
        if n_columns == 1:
            lines.numbers("the row of g1", 1)  # it has no meaning
        return []
    if n_columns != len(names):
        raise lines.error(
            f"{type}: {n_columns} columns, but there are {len(names)}: {' '.join(names)}"
        )
    rows = []
    for k in range(n_rows):
        what = f"{type} row {k + 1} of {n_rows} ({' '.join(names)})"
        words = lines.words(what)
        if words[0].lower() in PARAMETERS:  # else its rows and columns would pass for numbers
            raise lines.error(f"{what} is missing: {words[0]} begins")
        rows.append(lines.parse(words, what, len(names)))
        lines.checked(check_row, type, names, rows[-1])
    return rows


def _read_normalization(lines, width):
    what = "center_and_normalize True or False"
    words = lines.words(what)
    flags = [BOOLEANS[word.lower()] for word in words if word.lower() in BOOLEANS]
    if len(flags) != 1 or words[0].lower() not in ("center_and_normalize", *BOOLEANS):
        raise lines.error(f"{what} is needed, found {shown(' '.join(words))}")
    if not flags[0] and lines.peek() is None:
        return None, None
    size = lines.whole("the descriptor size")
    if size != width:
        raise lines.error(f"descriptor size {size}, but the functions above make {width}")
    mean, std = _read_means_and_deviations(lines, size)
    return (mean, std) if flags[0] else (None, None)


def _read_means_and_deviations(lines, size):
    """Two lists, of size numbers or of one that stands for all.

    The two are distinguished by their count or, if one number applies to all values, by the
    comment or blank line between them. Without that line, the first two of many means in a
    truncated file would look like a mean and a deviation; and after all means, the first of many
    deviations would look like one deviation for all values.
    """
    groups, previous = [], None
    while lines.peek() is not None:
        numbers = lines.numbers("means and standard deviations")
        if previous is None or lines.line > previous + 1:
            groups.append([])
        groups[-1] += [(number, lines.line) for number in numbers]
        previous = lines.line
    everything = list(itertools.chain.from_iterable(groups))
    if len(everything) == 2 * size:
        mean, std = everything[:size], everything[size:]
    elif [len(group) for group in groups] == [1, 1]:
        mean, std = groups
    else:
        if previous is None:
            lines.numbers("the means")  # the file ends
        raise lines.error(
            f"{size} means and {size} standard deviations are needed, or one of each for all with"
            f" a blank or comment line between them; found {len(everything)} numbers"
        )
    for number, lines.line in std:
        if number <= 0:
            raise lines.error(f"standard deviation {number:g}: more than 0 is needed")
    return ([number for number, _ in part] if len(part) > 1 else part[0][0] for part in (mean, std))


def symmetry_function_lines(descriptor):
    """Yield the lines of a SymmetryFunctions, or raise UnsupportedError."""
    if descriptor.species_mode != "pooled":
        raise UnsupportedError(
            f"species_mode = {descriptor.species_mode!r}: the .dat format cannot store it"
        )
    if descriptor.cutoff_function != "cos":
        raise UnsupportedError(
            f"cutoff_function = {descriptor.cutoff_function!r}: the .dat format can store only cos"
        )
    check_names(descriptor.species)
    yield "# Symmetry functions"
    yield from pair_table_lines(descriptor.species, descriptor.cutoffs)
    yield from ["", f"{len(descriptor.functions)}  # number of symmetry function types"]
    yield from ["", "# type    rows    columns"]
    for type, rows in descriptor.functions:
        yield from [f"{type}    {len(rows)}    {len(PARAMETERS[type])}" if rows else "g1    1    1"]
        if rows:
            yield f"# {'    '.join(PARAMETERS[type])}"
        for row in rows or [(0.0,)]:
            yield "    ".join(map(repr, row))
        yield ""
    if descriptor.mean is None:
        yield "center_and_normalize  False"
        return
    yield from ["center_and_normalize  True", "", f"{descriptor.width}  # descriptor size"]
    yield from ["# mean", *map(repr, descriptor.mean.tolist())]
    yield from ["# standard deviation", *map(repr, descriptor.std.tolist())]
