"""``descriptor.json``: the arguments of a descriptor's constructor, for every kind alike.

::

    {
      "format": "torchml_core descriptor",
      "version": 1,
      "kind": "SOAP",
      "length_unit": "Angstrom",
      "settings": {"species": ["Si"], "cutoff": 5.0, "n_max": 8, "l_max": 6, "sigma": 0.5}
    }

Each number is written with the digits that give it back exactly. A setting that is missing has the
default of the constructor.
"""

from torchml_core.checks import shown
from torchml_core.descriptors.registry import descriptor_class, kind_named
from torchml_core.errors import InputError, UnsupportedError
from torchml_core.json_text import JsonFile, json_text, plain

FORMAT, VERSION = "torchml_core descriptor", 1
KEYS = ("format", "version", "kind", "length_unit", "settings")
LENGTH_UNIT = "Angstrom"


def text_of(descriptor):
    """Return the text of the JSON file of a descriptor.

    Raises
    ------
    UnsupportedError
        Its class is not registered, or its settings cannot be written, or do not make an equal
        descriptor again.
    """
    cls = type(descriptor)
    kind = require_registered(cls)
    try:
        settings = plain("settings", _as_json(descriptor.settings()))
        again = cls.from_settings(settings)
    except InputError as error:
        raise UnsupportedError(f"{kind}: its settings cannot be stored: {error}") from None
    if again != descriptor:
        raise UnsupportedError(
            f"{kind}: its settings() cannot be stored: they do not make an equal descriptor"
        )
    return json_text(
        {
            "format": FORMAT,
            "version": VERSION,
            "kind": kind,
            "length_unit": LENGTH_UNIT,
            "settings": settings,
        }
    )


def _as_json(value):
    """Named tuples become dicts; dicts with pairs for keys, lists of their items."""
    if hasattr(value, "_asdict"):
        value = value._asdict()
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _as_json(x) for key, x in value.items()}
    if isinstance(value, dict):
        value = list(value.items())
    return [_as_json(x) for x in value] if isinstance(value, (list, tuple)) else value


def require_registered(cls):
    """Return the kind of a class; UnsupportedError if files cannot name it."""
    kind = kind_named(cls.__name__)
    if kind is None or descriptor_class(kind) is not cls:
        raise UnsupportedError(
            f"{cls.__name__}: only registered descriptors can be stored;"
            f" register_descriptor({cls.__name__}) registers it"
        )
    return kind


def read_json(path, kind=None, lines=None):
    """Return the descriptor in a JSON file; its kind must be the one given, if any.

    Raises
    ------
    FileFormatError
        The file does not follow its format.
    UnsupportedError
        The kind cannot be read yet.
    """
    file = JsonFile(path, "descriptor's file", lines=lines)
    file.require_format(FORMAT, VERSION)
    for key in file.content:
        if key not in KEYS:
            raise file.error(f"{shown(key)}: one of {', '.join(KEYS)} is needed", key)
    if (unit := file.content.get("length_unit")) != LENGTH_UNIT:
        raise file.error(f"length_unit = {shown(unit)}: {LENGTH_UNIT!r} is needed", "length_unit")
    found = file.content.get("kind")
    try:
        cls = descriptor_class(found)
    except InputError as error:
        raise file.error(str(error), "kind") from None
    if kind is not None and descriptor_class(kind) is not cls:
        raise file.error(f"kind = {shown(found)}: {kind_named(kind)!r} is needed", "kind")
    settings = file.content.get("settings")
    if not isinstance(settings, dict):
        raise file.error(f"settings = {shown(settings)}: an object is needed", "settings")
    try:
        return cls.from_settings(settings)
    except InputError as error:
        # messages begin with the name of the setting
        named = [name for name in settings if str(error).startswith((name, repr(name)))]
        raise file.error(str(error), "settings", max(named, key=len, default="")) from None
