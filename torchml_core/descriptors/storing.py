"""What makes a descriptor: its settings, which are compared and stored."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from torchml_core import checks, files
from torchml_core.descriptors import json_file
from torchml_core.descriptors.data_lines import DataLines
from torchml_core.errors import FileFormatError, InputError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from torchml_core.annotations import PathLike


class Storable:
    """The base of descriptors: what follows from the arguments of their constructors.

    Two instances of a class are equal if their settings are. They can be written as JSON and, if
    the class defines ``_to_lines`` and ``_from_lines``, as a ``.dat`` file.
    """

    def settings(self) -> dict[str, Any]:
        """Return the arguments with which the constructor makes an equal descriptor.

        Unless a subclass says otherwise, they are the attributes of the same names.
        """
        parameters = inspect.signature(type(self)).parameters.values()
        values = {}
        for p in parameters:
            if not hasattr(self, p.name):
                raise UnsupportedError(
                    f"{type(self).__name__}: its constructor's argument {p.name} is not an"
                    " attribute; its class needs a method settings"
                )
            values[p.name] = getattr(self, p.name)
        unset = {p.name for p in parameters if p.default is None and values[p.name] is None}
        return {name: value for name, value in values.items() if name not in unset}

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Any:
        """Return the descriptor of :meth:`settings`, as they are or as a JSON file has them.

        Raises
        ------
        InputError
            A setting is unknown, missing, or cannot be used.
        """
        parameters = inspect.signature(cls).parameters
        if not isinstance(settings, Mapping):
            checks.refuse("settings", settings, "a dict of settings")
        for name in settings:
            if name not in parameters:
                known = ", ".join(parameters)
                raise InputError(
                    f"{checks.shown(name)}: a setting of {cls.__name__} ({known}) is needed"
                )
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in settings:
                raise InputError(f"{name}: {cls.__name__} needs this setting")
        return cls(**settings)

    def to_file(self, path: PathLike) -> None:
        """Write a file that :func:`~torchml_core.read_descriptor` reads back equal.

        Parameters
        ----------
        path : path-like
            If it ends in ``.json``, the file is a JSON file, which can store all settings of every
            registered descriptor. Otherwise it is a ``.dat`` file of KLIFF's or libdescriptor's
            format.

        Raises
        ------
        UnsupportedError
            The ``.dat`` format cannot store this descriptor, or its class is not registered.
        """
        if files.as_path("path", path).suffix == ".json":
            text = json_file.text_of(self)
        else:
            try:
                text = self._dat_text()
            except UnsupportedError as error:
                raise UnsupportedError(f"{error}; a path that ends in .json is needed") from None
        files.write_text("path", path, text)

    def stored_form(self) -> tuple[str, str]:
        """Return ``".dat"`` or ``".json"`` and the text of the file of a portable model.

        It is a ``.dat`` file, which other programs can read, if that format can store everything.
        Call it before a long training to find out whether the descriptor can be stored.

        Raises
        ------
        UnsupportedError
            The descriptor cannot be stored; the message says why.
        """
        json_text = json_file.text_of(self)
        try:
            return ".dat", self._dat_text()
        except UnsupportedError:
            return ".json", json_text

    def __eq__(self, other):
        if type(other) is not type(self):
            return NotImplemented
        return self._settings() == other._settings()

    def __hash__(self):
        return hash(self._settings())

    # ---- what a subclass may define

    def _settings(self) -> tuple:
        """Return all settings, hashable: two descriptors with the same settings are equal."""
        return hashable(self.settings())

    def _to_lines(self) -> Iterable[str]:
        """Return the lines of a ``.dat`` file."""
        raise UnsupportedError(f"{type(self).__name__}: there is no .dat format for it")

    @classmethod
    def _from_lines(cls, lines: DataLines) -> Any:
        """Return the descriptor that the lines of a ``.dat`` file describe."""
        raise UnsupportedError(f"{cls.__name__}: there is no .dat format for it")

    # ----

    def _dat_text(self):
        """The text of a ``.dat`` file; UnsupportedError unless it is read back equal."""
        text = "\n".join(self._to_lines()) + "\n"
        with warnings.catch_warnings():  # of the reader, for users
            warnings.simplefilter("ignore")
            try:
                again = type(self)._from_lines(DataLines("descriptor.dat", text.split("\n")))
            except FileFormatError as error:
                raise UnsupportedError(f"a .dat file cannot store it ({error})") from None
        if again != self:
            raise UnsupportedError(f"a .dat file cannot store all settings of {self!r}")
        return text


def hashable(value):
    """Return tuples in place of lists, arrays and dicts."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, dict):
        return tuple((key, hashable(x)) for key, x in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(hashable(x) for x in value)
    return value
