"""The beginning of all ``.dat`` files of KLIFF: cutoff type, species, a cutoff for each pair.

There is one line for each unordered pair of species; some or all may occur in both orders::

    cos  # cutoff type
    2  # number of species
    Si  Si  5.0
    Si  C  4.5
    C  C  4.0
"""

import itertools

from torchml_core.checks import shown
from torchml_core.descriptors.base import check_cutoff
from torchml_core.text_numbers import is_number

LONGEST_NAME = 40  # for messages that name species


def read_pair_table(lines):
    """Return the species, in the order in which the lines name them, and {(a, b): cutoff}.

    The pairs are all unordered pairs, a before b.
    """
    word = lines.words("the cutoff type, cos,")[0]
    if word.lower() != "cos":
        raise lines.error(f"cutoff type {shown(word)}: the format knows cos only")
    n_species = lines.whole("the number of species")
    n_pairs = n_species * (n_species + 1) // 2
    species, cutoffs, given = {}, {}, set()  # species: a dict keeps the order
    while len(cutoffs) < n_pairs or _is_pair_line(lines.peek()):
        if not _is_pair_line(lines.peek()):
            raise _missing_line(lines, list(species), cutoffs, n_species)
        a, b, *rest = lines.words("a line 'A B cutoff'")
        for name in (a, b):
            if len(name) > LONGEST_NAME:
                requirement = f"the name of a species, up to {LONGEST_NAME} characters,"
                raise lines.error(f"{shown(name)}: {requirement} is needed")
        (cutoff,) = lines.parse(rest, f"the cutoff of {a} {b}", 1)
        lines.checked(check_cutoff, f"the cutoff of {a} {b}", cutoff)
        species.update({a: None, b: None})
        if len(species) > n_species:
            last = list(species)[-1]
            raise lines.error(f"{last} is one more than the {n_species} species announced")
        if (a, b) in given:
            raise lines.error(f"the pair {a} {b} is given twice")
        given.add((a, b))
        known = cutoffs.setdefault(frozenset((a, b)), cutoff)
        if known != cutoff:
            raise lines.error(f"{a} {b} has cutoff {cutoff:g}, but {b} {a} had {known:g}")
    pairs = itertools.combinations_with_replacement(species, 2)
    return list(species), {pair: cutoffs[frozenset(pair)] for pair in pairs}


def pair_table_lines(species, cutoffs):
    """Yield the lines that :func:`read_pair_table` reads back; ``cutoffs``: {(a, b): cutoff}."""
    yield from ["", "cos  # cutoff type", "", f"{len(species)}  # number of species"]
    yield from ["", "# species 1    species 2    cutoff"]
    for (a, b), cutoff in cutoffs.items():
        yield f"{a}  {b}  {cutoff!r}"


def _is_pair_line(words):
    return (
        words is not None
        and len(words) >= 3
        and not is_number(words[0])
        and not is_number(words[1])
        and is_number(words[2])
    )


def _missing_line(lines, species, cutoffs, n_species):
    """The error for a line that is not a pair's; it names a missing pair if one is known."""
    pairs = itertools.combinations_with_replacement(species, 2)
    missing = next((pair for pair in pairs if frozenset(pair) not in cutoffs), None)
    what = "a line 'A B cutoff'"
    if missing is not None:
        what += f" for the pair {' '.join(missing)}"
    elif len(species) < n_species:
        what += f" for the other of the {n_species} species"
    return lines.error(f"{what} is needed, found {shown(' '.join(lines.words(what)))}")
