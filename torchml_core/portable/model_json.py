"""``model.json``, the file beside the ``.param`` file with what that one cannot say.

It is optional, and other drivers ignore it::

    {
      "format": "torchml_core model",
      "version": 1,
      "species": ["Si"],
      "units": {"length": "Angstrom", "energy": "eV"},
      "dtype": "float64",
      "training_range": {"Si": {"min": [0.0, 1.2], "max": [2.0, 3.4]}},
      "reference_energies": {"Si": -1.0},
      "pair_terms": [{"kind": "zbl", "inner": 4.0, "outer": 4.8}],
      "made_by": {"torchml_core": "0.1.0", "torch": "2.13.0", "date": "2026-11-26"},
      "checksums": {"model.param": "sha256:...", "model.pt": "sha256:..."},
      "license": "CC-BY-4.0",
      "citation": "..."
    }

``format``, ``version``, ``species`` and ``units`` are required. Keys that are not known here are
kept and shown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, NamedTuple

from torchml_core.checks import number, one_of, refuse, sequence
from torchml_core.errors import FileFormatError, InputError
from torchml_core.json_text import JsonFile, check_text, json_text, plain
from torchml_core.pair_terms import make_pair_terms
from torchml_core.portable.parameters import check_species

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from torchml_core.annotations import PathLike

CARD_FILE = "model.json"
FORMAT, VERSION = "torchml_core model", 1
REQUIRED = ("species", "units")
UNITS = {"length": "Angstrom", "energy": "eV"}
CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")


class TrainingRange(NamedTuple):
    """The smallest and largest value of each descriptor component of an element's atoms.

    Attributes
    ----------
    min, max : tuple of float
        One for each of the element's components, see
        :meth:`~torchml_core.descriptors.base.Descriptor.n_values`.
    """

    min: tuple[float, ...]
    max: tuple[float, ...]


@dataclass(frozen=True)
class ModelCard:
    """What the ``model.json`` file of a portable model says.

    Parameters
    ----------
    species : sequence of str
        Element symbols, in the order of the ``.param`` file.
    units : dict
        ``{"length": "Angstrom", "energy": "eV"}``; other units cannot be used yet.
    dtype : {"float64", "float32"}, optional
        The floating type that ``forward`` is given, as in the ``.param`` file.
    training_range : dict of str to TrainingRange, optional
        By element; also ``{"Si": {"min": [...], "max": [...]}}``. Elements may be missing.
    reference_energies : dict of str to float, optional
        The energy of a free atom of each element, in eV, for information: the energies of the model
        already contain them. Elements may be missing.
    pair_terms : sequence of dict
        Analytic terms that are added to the model's energy, e.g.
        ``{"kind": "zbl", "inner": 4.0, "outer": 4.8}``.
    made_by : dict of str to str
        Versions of the programs that wrote the model, and the date.
    checksums : dict of str to str
        ``"sha256:..."`` of the model's other files, by name.
    license, citation : str, optional
    other : dict
        Keys of the file that are not known here.

    Raises
    ------
    InputError
        If a value cannot be used; the message names it.
    """

    species: tuple[str, ...]
    units: Mapping[str, str] = field(default_factory=lambda: dict(UNITS))
    dtype: str | None = None
    training_range: Mapping[str, TrainingRange] | None = None
    reference_energies: Mapping[str, float] | None = None
    pair_terms: Sequence[Mapping[str, Any]] = ()
    made_by: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    license: str | None = None
    citation: str | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in NAMES:
            checked = _check(name, getattr(self, name), self.species)
            object.__setattr__(self, name, checked)  # the class is frozen for everybody else


NAMES = tuple(f.name for f in fields(ModelCard))


# ---- the file


def read_card(path: PathLike) -> ModelCard:
    """Read a ``model.json`` file.

    Raises
    ------
    MissingFileError, FileAccessError
        There is no such file, or it cannot be read.
    FileFormatError
        Something in it is wrong.
    """
    card, faults = _read(path)
    if faults:
        raise faults[0]
    return card


def find_card_faults(path: PathLike) -> list[FileFormatError]:
    """Return everything that is wrong with a ``model.json`` file; empty if it can be read."""
    try:
        return _read(path)[1]
    except FileFormatError as error:
        return [error]


def _read(path):
    file = JsonFile(path, CARD_FILE)
    file.require_format(FORMAT, VERSION, "; a file of another program needs another name than this")
    rest = {
        name: value for name, value in file.content.items() if name not in ("format", "version")
    }
    settings = {name: rest.pop(name) for name in NAMES if name in rest and name != "other"}
    faults = [file.error(f"{name} is missing", name) for name in REQUIRED if name not in settings]
    species = settings.get("species")
    for name, value in file.content.items():
        try:
            if name in settings:
                _check(name, value, species)
            else:
                _check_unknown(name, value)
        except InputError as error:
            faults.append(file.error(str(error), name))
    return (None, faults) if faults else (ModelCard(**settings, other=rest), [])


def card_text(card: ModelCard) -> str:
    """Return the text of a ``model.json`` file that :func:`read_card` reads back equal."""
    document: dict[str, Any] = {"format": FORMAT, "version": VERSION}
    for name in NAMES:
        value = getattr(card, name)
        if name == "other":
            document |= value
        elif name in REQUIRED or value not in (None, (), {}):
            document[name] = value
    if card.training_range:
        ranges = card.training_range.items()
        document["training_range"] = {element: found._asdict() for element, found in ranges}
    return json_text(plain("card", document))


def checksum(content: bytes) -> str:
    """Return the checksum of a file's content as ``model.json`` says it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


# ---- what contradicts other files


def card_disagreements(card, parameters, descriptor=None):
    """Return the contradictions between a card and the other files of its model, as texts."""
    found = []
    if card.species != parameters.species:
        found.append(
            f"species are {', '.join(card.species)}; those of the .param file, "
            f"{', '.join(parameters.species)}, in this order, are needed"
        )
    if None not in (card.dtype, parameters.dtype) and card.dtype != parameters.dtype:
        found.append(f"dtype = {card.dtype!r}, but the .param file says {parameters.dtype}")
    if card.training_range is None:
        return found
    if parameters.convention != "descriptor":
        return [*found, "training_range is given, which only a model with a descriptor has"]
    if descriptor is None:  # it cannot be read
        return found
    return found + [
        f"training_range[{element!r}] has {len(limits.min)} values; {n_values}, as many as the"
        " descriptor has for it, are needed"
        for element, limits in card.training_range.items()
        if element in descriptor.species
        and len(limits.min) != (n_values := descriptor.n_values(element))
    ]


def checksum_faults(card, contents):
    """Return what is wrong with the files of a model according to its card, as texts.

    Parameters
    ----------
    card : ModelCard
    contents : dict of str to bytes
        Of each of the model's files, by name.
    """
    found = []
    for name, wanted in card.checksums.items():
        if name not in contents:
            found.append(f"checksums: {name} is not one of the model's files")
        elif checksum(contents[name]) != wanted:
            found.append(
                f"{name} is not the file that was written: its checksum is another one; restore it"
                f" (if you changed it on purpose, remove its checksum from {CARD_FILE})"
            )
    return found


# ---- checks of values: each takes the name, the value, and the species if they are usable


def _check(name, value, species):
    if name in OPTIONAL and value is None:
        return None
    species = tuple(species) if isinstance(species, (list, tuple)) else None
    return CHECKS[name](name, value, species)


def _check_species(name, value, species):
    return check_species(value)


def _check_units(name, value, species):
    units = _mapping(name, value, "a dict of units")
    for key, unit in units.items():
        if key not in UNITS:
            refuse(f"{name}: key", key, " or ".join(map(repr, UNITS)))
        if unit != UNITS[key]:
            refuse(f"{name}[{key!r}]", unit, repr(UNITS[key]))
    missing = [key for key in UNITS if key not in units]
    if missing:
        refuse(name, value, f"a unit of {missing[0]}")
    return dict(units)


def _check_dtype(name, value, species):
    return one_of(name, value, ("float64", "float32"))


def _check_training_range(name, value, species):
    ranges = _by_element(name, value, species)
    found = {element: _check_range(f"{name}[{element!r}]", x) for element, x in ranges.items()}
    return found or None


def _check_range(name, value):
    requirement = 'a dict {"min": [...], "max": [...]} with as many numbers in both'
    if isinstance(value, Mapping):
        if set(value) != {"min", "max"}:
            refuse(name, value, requirement)
        value = value["min"], value["max"]
    if not isinstance(value, tuple) or len(value) != 2:
        refuse(name, value, requirement)
    limits = TrainingRange(
        *(
            tuple(
                number(f"{name}[{key!r}][{k}]", x)
                for k, x in enumerate(sequence(f"{name}[{key!r}]", numbers, requirement))
            )
            for key, numbers in zip(("min", "max"), value, strict=True)
        )
    )
    if len(limits.min) != len(limits.max) or not limits.min:
        raise InputError(
            f"{name} has {len(limits.min)} minima and {len(limits.max)} maxima; as many of both, at"
            " least one, are needed"
        )
    for k, (least, most) in enumerate(zip(*limits, strict=True)):
        if least > most:
            raise InputError(f"{name}: component {k}: min {least:g} is larger than max {most:g}")
    return limits


def _check_energies(name, value, species):
    energies = _by_element(name, value, species)
    return {element: number(f"{name}[{element!r}]", x) for element, x in energies.items()} or None


def _check_pair_terms(name, value, species):
    terms = sequence(name, value, "a list of pair terms")
    make_pair_terms(terms, () if species is None else species, name)
    return tuple(plain(name, dict(term)) for term in terms)


def _check_texts(name, value, species):
    texts = _mapping(name, value, "a dict of text")
    return {
        check_text(f"{name}: key", k): check_text(f"{name}[{k!r}]", x) for k, x in texts.items()
    }


def _check_checksums(name, value, species):
    sums = _check_texts(name, value, species)
    for file, found in sums.items():
        if not file or "/" in file or "\\" in file or file == CARD_FILE:
            refuse(f"{name}: key", file, "the name of another file in the folder")
        if not CHECKSUM.fullmatch(found):
            refuse(f"{name}[{file!r}]", found, "'sha256:' and 64 hexadecimal digits")
    return sums


def _check_text(name, value, species):
    text = check_text(name, value)
    if not text.strip():
        refuse(name, value, "text that is not empty")
    return text


def _check_other(name, value, species):
    values = plain(name, dict(_mapping(name, value, "a dict")))
    for key in values:
        if key in ("format", "version") or (key in NAMES and key != "other"):
            raise InputError(f"{name}: {key} has a meaning of its own; another key is needed")
    return values


def _check_unknown(name, value):
    return plain(check_text("key", name), value)


def _mapping(name, value, requirement):
    if not isinstance(value, Mapping):
        refuse(name, value, requirement)
    return value


def _by_element(name, value, species):
    values = _mapping(name, value, "a dict by element")
    for element in values:
        if species is not None and element not in species:
            refuse(f"{name}: key", element, f"one of {', '.join(map(str, species))}")
    return values


CHECKS = {
    "species": _check_species,
    "units": _check_units,
    "dtype": _check_dtype,
    "training_range": _check_training_range,
    "reference_energies": _check_energies,
    "pair_terms": _check_pair_terms,
    "made_by": _check_texts,
    "checksums": _check_checksums,
    "license": _check_text,
    "citation": _check_text,
    "other": _check_other,
}
OPTIONAL = ("dtype", "training_range", "reference_energies", "license", "citation")
