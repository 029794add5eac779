"""Analytic energies of pairs of atoms, which a portable model may add to its own.

A term is a descriptor with one value per atom, half of the energy of each of its pairs in eV. So it
has the same verbs, and forces and virials follow from them.
"""

from collections.abc import Mapping

from torchml_core import checks
from torchml_core.errors import InputError
from torchml_core.pair_terms.zbl import ZBL

KINDS = {"zbl": (ZBL, ("inner", "outer"))}  # by the names in files; their settings


def make_pair_terms(settings, species, name="pair_terms"):
    """Return the terms that a model names.

    Parameters
    ----------
    settings : sequence of dict
        ``{"kind": "zbl", "inner": 4.0, "outer": 4.8}``; each kind once.
    species : sequence of str
        Of the model.
    name : str
        The argument's, for messages.

    Returns
    -------
    tuple of Descriptor

    Raises
    ------
    InputError
        If a setting is wrong, missing or unknown.
    """
    example = 'a list like [{"kind": "zbl", "inner": 4.0, "outer": 4.8}]'
    terms = []
    for place, one in enumerate(checks.sequence(name, settings, example)):
        where = f"{name}[{place}]"
        if not isinstance(one, Mapping) or "kind" not in one:
            checks.refuse(where, one, 'a dict like {"kind": "zbl", "inner": 4.0, "outer": 4.8}')
        kind, names = KINDS[checks.one_of(f"{where}: kind", one["kind"], tuple(KINDS))]
        if set(one) != {"kind", *names}:
            checks.refuse(where, one, f"a dict with just kind, {', '.join(names)}")
        if any(isinstance(term, kind) for term in terms):
            raise InputError(f"{where}: {one['kind']} is there twice; each kind once is needed")
        try:
            terms.append(kind(species, *(one[key] for key in names)))
        except InputError as error:
            raise InputError(f"{where}: {error}") from None
    return tuple(terms)
