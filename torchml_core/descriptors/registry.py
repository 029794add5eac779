"""The kinds of descriptors, by their names in files.

``read_descriptor``, ``.param`` files, ``torchml-core inspect`` and the public names of the package
all use this registry. A new descriptor is one line of ``MODULES``; a descriptor outside of this
package is registered with :func:`register_descriptor`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, TypeVar

from torchml_core.errors import InputError

if TYPE_CHECKING:
    from torchml_core.descriptors.base import Descriptor

AnyDescriptor = TypeVar("AnyDescriptor", bound="type[Descriptor]")

# The module of each kind, in this package.
MODULES: dict[str, str] = {
    "SymmetryFunctions": "descriptors.symmetry_functions",
    "ElementSymmetryFunctions": "descriptors.symmetry_functions",
    "Bispectrum": "descriptors.bispectrum",
    "SOAP": "descriptors.density",
    "SphericalExpansion": "descriptors.density",
    "Xi": "descriptors.xi",
    "ZBL": "pair_terms",
}
_registered: dict[str, type[Descriptor]] = {}  # classes from outside this package


def kinds() -> tuple[str, ...]:
    """Return the names of all kinds."""
    return (*MODULES, *_registered)


def kinds_with_dat_file() -> tuple[str, ...]:
    """Return the names of the kinds that a ``.dat`` file can contain."""
    from torchml_core.descriptors.storing import Storable  # it imports this module

    return tuple(
        kind
        for kind in kinds()
        if descriptor_class(kind)._from_lines.__qualname__ != Storable._from_lines.__qualname__
    )


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
    return getattr(importlib.import_module(f"torchml_core.{MODULES[kind]}"), kind)


def register_descriptor(cls: AnyDescriptor) -> AnyDescriptor:
    """Register a descriptor that is not part of this package, by the name of its class.

    In this process it can then be stored and read back, alone and in portable models, and
    ``torchml-core inspect`` supports it. It can be used as a decorator.

    Parameters
    ----------
    cls : subclass of Descriptor
        Its :meth:`~torchml_core.descriptors.base.Descriptor.settings` must make an equal
        descriptor; ``_to_lines`` and ``_from_lines``, for a ``.dat`` file, are optional.

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
