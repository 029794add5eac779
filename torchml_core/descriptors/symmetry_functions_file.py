"""The ``.dat`` file of symmetry functions, libdescriptor's and KLIFF's format: read, write."""

import itertools

from torchml_core import files
from torchml_core.descriptors.data_lines import BOOLEANS, NUMBER, check_names
from torchml_core.descriptors.symmetry_functions import PARAMETERS, SymmetryFunctions
from torchml_core.errors import UnsupportedError


def read_symmetry_functions(lines):
    """Return the SymmetryFunctions of a file's DataLines."""
    what = "the cutoff type, cos,"
    cutoff_type = lines.words(what)[0]
    if cutoff_type.lower() != "cos":
        raise lines.error(f"cutoff type {cutoff_type!r}: the format knows cos only")
    species, cutoffs = _read_pair_cutoffs(lines)
    functions = _read_functions(lines)
    width = sum(len(rows) or 1 for _, rows in functions)
    mean, std = _read_normalization(lines, width)
    return SymmetryFunctions(species, cutoffs, functions, mean=mean, std=std)


def _read_pair_cutoffs(lines):
    """Species in the order in which the lines name them, and {(a, b): cutoff}, a before b."""
    n_species = lines.whole("the number of species")
    n_pairs = n_species * (n_species + 1) // 2
    species, cutoffs, seen = [], {}, set()
    while len(cutoffs) < n_pairs or _is_pair_line(lines.peek()):
        missing = _missing_pair(species, cutoffs, n_species)
        what = f"a line 'A B cutoff'{missing}"
        words = lines.words(what)
        if not _is_pair_line(words):
            raise lines.error(f"{what} is needed, found {' '.join(words)!r}")
        a, b = words[:2]
        (cutoff,) = lines.parse(words[2:], f"the cutoff of {a} {b}", 1)
        if cutoff <= 0:
            raise lines.error(f"the cutoff of {a} {b} is {cutoff:g}: more than 0 is needed")
        for name in (a, b):
            if name not in species:
                species.append(name)
        if len(species) > n_species:
            raise lines.error(f"{species[-1]} is one more than the {n_species} species announced")
        if (a, b) in seen:
            raise lines.error(f"the pair {a} {b} is given twice")
        seen.add((a, b))
        known = cutoffs.setdefault(frozenset((a, b)), cutoff)
        if known != cutoff:
            raise lines.error(f"{a} {b} has cutoff {cutoff:g}, but {b} {a} had {known:g}")
    pairs = itertools.combinations_with_replacement(species, 2)
    return species, {pair: cutoffs[frozenset(pair)] for pair in pairs}


def _is_pair_line(words):
    return (
        words is not None
        and len(words) >= 3
        and not NUMBER.fullmatch(words[0])
        and not NUMBER.fullmatch(words[1])
        and NUMBER.fullmatch(words[2]) is not None
    )


def _missing_pair(species, cutoffs, n_species):
    """' for the pair A B', once all names are known; until then what can be said."""
    pairs = itertools.combinations_with_replacement(species, 2)
    missing = [pair for pair in pairs if frozenset(pair) not in cutoffs]
    if missing:
        return f" for the pair {' '.join(missing[0])}"
    if len(species) < n_species:
        return f" for the other of the {n_species} species"
    return ""


def _read_functions(lines):
    n_types = lines.whole("the number of symmetry function types")
    functions = {}
    for k in range(n_types):
        what = f"symmetry function type {k + 1} of {n_types}"
        words = lines.words(what)
        type = words[0].lower()
        if type not in PARAMETERS:
            raise lines.error(f"{what}: {words[0]!r} is none of {', '.join(PARAMETERS)}")
        if type in functions:
            raise lines.error(f"{what}: {type} was there before")
        functions[type] = _read_rows(lines, type, words[1:])
    return list(functions.items())


def _read_rows(lines, type, counts):
    names = PARAMETERS[type]
    if type == "g1" and not counts:
        return []
    n_rows, n_columns = lines.parse(counts, f"{type}: rows and columns", 2)
    if type == "g1":
        if n_rows != 1 or n_columns not in (0, 1):
            raise lines.error(f"g1 has one row of one number, not {n_rows:g} of {n_columns:g}")
        if n_columns == 1:
            lines.numbers("the row of g1", 1)  # it means nothing
        return []
    n_rows = lines.as_whole(n_rows, f"{type}: rows")
    if n_columns != len(names):
        raise lines.error(
            f"{type}: {n_columns:g} columns, but there are {len(names)}: {' '.join(names)}"
        )
    rows = []
    for k in range(n_rows):
        what = f"{type} row {k + 1} of {n_rows} ({' '.join(names)})"
        words = lines.words(what)
        if words[0].lower() in PARAMETERS:  # else its rows and columns would pass for numbers
            raise lines.error(f"{what} is missing: {words[0]} begins")
        rows.append(lines.parse(words, what, len(names)))
        # The constructor's own check.
        lines.checked(SymmetryFunctions, ["X"], 1.0, [(type, [rows[-1]])])
    return rows


def _read_normalization(lines, width):
    what = "center_and_normalize True or False"
    words = lines.words(what)
    flags = [BOOLEANS[word.lower()] for word in words if word.lower() in BOOLEANS]
    if len(flags) != 1 or words[0].lower() not in ("center_and_normalize", *BOOLEANS):
        raise lines.error(f"{what} is needed, found {' '.join(words)!r}")
    if not flags[0] and lines.peek() is None:
        return None, None
    size = lines.whole("the descriptor size")
    if size != width:
        raise lines.error(f"descriptor size {size}, but the functions above make {width}")
    mean, std = _read_means_and_deviations(lines, size)
    return (mean, std) if flags[0] else (None, None)


def _read_means_and_deviations(lines, size):
    """Two lists, of size numbers or of one that stands for all.

    The two are told apart by their count; where one number stands for all, by the comment or
    blank line between them. Without it, the first two of many means in a file that was cut
    short could not be told from a mean and a deviation; nor could, after as many means as
    needed, the first of many deviations from one for all.
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


def write_symmetry_functions(descriptor, path):
    """Write a SymmetryFunctions; see :meth:`SymmetryFunctions.to_file`."""
    if descriptor.species_mode != "pooled":
        raise UnsupportedError(
            f"species_mode = {descriptor.species_mode!r}: the .dat format has no word for it"
        )
    if descriptor.cutoff_function != "cos":
        raise UnsupportedError(
            f"cutoff_function = {descriptor.cutoff_function!r}: the .dat format knows cos only"
        )
    check_names(descriptor.species)
    files.write_text("path", path, "\n".join(_symmetry_function_lines(descriptor)) + "\n")


def _symmetry_function_lines(descriptor):
    yield "# Symmetry functions"
    yield from ["", "cos  # cutoff type", "", f"{len(descriptor.species)}  # number of species"]
    yield from ["", "# species 1    species 2    cutoff"]
    for (a, b), cutoff in descriptor.cutoffs.items():
        yield f"{a}  {b}  {cutoff!r}"
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
