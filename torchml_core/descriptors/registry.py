"""The kinds of descriptors, by their names in files.

``read_descriptor``, ``.param`` files, ``torchml-core inspect`` and the public names of the package
all use this registry. A new descriptor is one line of ``FOLDERS``; a descriptor outside of this
package is registered with :func:`register_descriptor`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, TypeVar

from torchml_core.errors import InputError

if TYPE_CHECKING:
    from torchml_core.descriptors.base import Descriptor

AnyDescriptor = TypeVar("AnyDescriptor", bound="type[Descriptor]")

# The folder of each kind, next to this file.
FOLDERS: dict[str, str] = {
    "SymmetryFunctions": "symmetry_functions",
    "Bispectrum": "bispectrum",
    "SOAP": "density",
    "Xi": "xi",
}
_registered: dict[str, type[Descriptor]] = {}  # classes from outside this package


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds."""
    return (*FOLDERS, *_registered)


def kind_named(name: object) -> str | None:
    """Return a kind as :func:`kinds` spells it, ignoring the case of a name; None if unknown."""
    spelled = {kind.lower(): kind for kind in kinds()}
    return spelled.get(name.lower()) if isinstance(name, str) else None


def descriptor_class(name: str) -> type[Descriptor]:
    """Return the class of a kind.

    Raises
    ------
    InputError
        There is no such kind.
    """
    kind = kind_named(name)
    if kind is None:
        from torchml_core.checks import refuse  # loads numpy, which the package's names need not

        refuse("kind", name, f"one of {', '.join(kinds())}")
    if kind in _registered:
        return _registered[kind]
    return getattr(importlib.import_module(f"torchml_core.descriptors.{FOLDERS[kind]}"), kind)


def register_descriptor(cls: AnyDescriptor) -> AnyDescriptor:
    """Register a descriptor that is not part of this package, by the name of its class.

    In this process, ``read_descriptor``, ``.param`` files and ``torchml-core inspect`` then support
    it. It can be used as a decorator.

    Parameters
    ----------
    cls : subclass of Descriptor
        Defines ``_from_lines``, and ``to_file`` if it is to be saved with a model.

    Returns
    -------
    cls

    Raises
    ------
    InputError
        Another descriptor has this name, in upper or lower case.
    """
    known = kind_named(cls.__name__)
    again = _registered.get(cls.__name__)  # of the same name in the same module: redefined
    if known is not None and (again is None or again.__module__ != cls.__module__):
        raise InputError(f"cls = {cls!r}: another name is needed; the kind {known} already exists")
    _registered[cls.__name__] = cls
    return cls
