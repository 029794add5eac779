"""The ``.param`` file of a portable model: read, written and checked.

The format is that of the TorchML model driver of OpenKIM (``TorchML__MD_173118614730``): a
sequence of values, one a line. Lines whose first character is ``#`` are comments and blank lines
separate; real files are untidy about both, so the sequence of values is read and nothing else.
"""

import contextlib
import math
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_numbers

from torchml_core import files
from torchml_core.errors import FileFormatError, InputError

CONVENTIONS = {"none": "raw", "descriptor": "descriptor", "graph": "graph"}
DESCRIPTORS = {k.lower(): k for k in ("SymmetryFunctions", "Bispectrum", "SOAP", "Xi")}
LARGEST = 1_000_000  # bytes of a file
WORDS_IN_FILE = {"raw": "None", "descriptor": "Descriptor", "graph": "Graph"}


@dataclass(frozen=True)
class ModelParameters:
    """What the ``.param`` file of a portable model says.

    Parameters
    ----------
    species : sequence of str
        Element symbols; the place in it is the species code that the model knows.
    convention : {"raw", "descriptor", "graph"}
        What ``forward`` takes. In the file: ``None``, ``Descriptor``, ``Graph``.
    cutoff : float
        Å. For graph models that of one convolution.
    model_file : str
        Name of the ``.pt`` or ``.pt2`` file in the same folder.
    n_layers : int
        Convolutions of a graph model; 1 for the other two.
    returns_forces : bool
        Whether ``forward`` returns ``(energy, forces)``.
    n_inputs : int, optional
        Arguments of ``forward``. Files in the wild are untidy about it and nothing here uses it,
        so it is kept as it is; None: the right one, :attr:`expected_n_inputs`.
    descriptor : {"SymmetryFunctions", "Bispectrum", "SOAP", "Xi"}, optional
        Kind of the descriptor in the ``.dat`` file: for descriptor models, and only for them.

    Raises
    ------
    InputError
        If a value cannot be used; the message names it.
    """

    species: tuple
    convention: str
    cutoff: float
    model_file: str
    n_layers: int = 1
    returns_forces: bool = False
    n_inputs: int | None = None
    descriptor: str | None = None

    def __post_init__(self):
        settle = object.__setattr__  # the class is frozen for everybody else
        settle(self, "species", check_species(self.species))
        settle(self, "convention", _check_convention(self.convention))
        settle(self, "cutoff", check_cutoff(self.cutoff))
        settle(self, "n_layers", _check_count(self.n_layers, "n_layers"))
        settle(self, "descriptor", _check_descriptor(self.descriptor, self.convention))
        _check_model_file(self.model_file)
        if self.n_layers != 1 and self.convention != "graph":
            raise InputError(f"n_layers = {self.n_layers}: only graph models have more than 1")
        if self.n_inputs is None:
            settle(self, "n_inputs", self.expected_n_inputs)
        settle(self, "n_inputs", _check_count(self.n_inputs, "n_inputs"))

    @property
    def influence_distance(self):
        """float: how far from an atom others can matter to its energy, cutoff × n_layers in Å."""
        return self.cutoff * self.n_layers

    @property
    def expected_n_inputs(self):
        """int: how many arguments ``forward`` has in this convention."""
        return {"raw": 5, "descriptor": 1, "graph": 3 + self.n_layers}[self.convention]


def read_parameters(path):
    """Read a ``.param`` file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    ModelParameters

    Raises
    ------
    MissingFileError
        If there is no such file.
    FileFormatError
        If a value is missing, cannot be used, or follows after the last one (then the sequence
        has been misread, by us or by who wrote it); the message names file, line and value.

    Notes
    -----
    The values in order: number of elements; on the next line their symbols; ``None``,
    ``Descriptor`` or ``Graph``; cutoff in Å; for ``Graph`` only, number of convolutions; name of
    the model's file; whether it returns forces; number of inputs; name of the descriptor or
    ``None``. Words in any case. Text after a blank and ``#`` is a comment too.
    """
    return _read(_ValueLines(path))


def find_faults(path):
    """Return everything that is wrong with a ``.param`` file, where reading stops at the first.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of FileFormatError
        In the order of the lines; empty if the file can be read. What is wrong may hide what
        follows: values after a wrong preprocessing kind cannot be told apart.

    Raises
    ------
    MissingFileError
        If there is no such file.
    FileFormatError
        If it is not a text file.
    """
    values = _FaultyLines(path)
    with contextlib.suppress(FileFormatError):
        _read(values)
    return values.faults


def _read(values):
    n_species = values.take(
        "the number of elements", lambda t: _parse_count(t, "number of elements")
    )
    species = values.take(
        f"the symbols of {n_species or 'the'} element(s)", lambda t: _parse_symbols(t, n_species)
    )
    convention = values.take("the preprocessing, None, Descriptor or Graph", _parse_convention)
    if convention is None:
        return None
    cutoff = values.take("the cutoff", lambda t: check_cutoff(_parse_number(t, float, "cutoff")))
    n_layers = 1
    if convention == "graph":
        n_layers = values.take(
            "the number of convolution layers",
            lambda t: _parse_count(t, "number of convolution layers"),
        )
    model_file = values.take("the name of the model's file", _check_model_file)
    returns_forces = values.take("whether the model returns forces", _parse_boolean)
    n_inputs = values.take("the number of inputs", lambda t: _parse_count(t, "number of inputs"))
    descriptor = values.take(
        "the name of the descriptor, or None", lambda t: _parse_descriptor(t, convention)
    )
    values.expect_end()
    if values.faults:
        return None
    return ModelParameters(
        species, convention, cutoff, model_file, n_layers, returns_forces, n_inputs, descriptor
    )


def write_parameters(parameters, path):
    """Write a ``.param`` file that :func:`read_parameters` reads back equal.

    Parameters
    ----------
    parameters : ModelParameters
    path : path-like
        Overwritten if it is there.
    """
    p = parameters
    graph = p.convention == "graph"
    layers = f"{p.n_layers}\n" if graph else ""
    layers_comment = " of one convolution, and the number of convolutions" if graph else ""
    text = f"""\
# Number of elements, and their symbols
{len(p.species)}
{" ".join(p.species)}

# Preprocessing kind
{WORDS_IN_FILE[p.convention]}

# Cutoff distance{layers_comment}
{p.cutoff!r}
{layers}
# Model
{p.model_file}

# Returns forces
{p.returns_forces}

# Number of inputs
{p.n_inputs}

# Any descriptors?
{p.descriptor}
"""
    files.write_text("path", path, text)


class _ValueLines:
    """The lines of a file that hold a value, taken one after another."""

    faults = ()  # the first one is raised

    def __init__(self, path):
        self.path = files.as_path("path", path)
        lines = files.read_lines(self.path, ".param file", LARGEST)
        self.n_lines = len(lines)
        numbered = ((n, _without_comment(line)) for n, line in enumerate(lines, start=1))
        self._values = iter([(n, value) for n, value in numbered if value])

    def take(self, what, parse):
        """The next value; ``parse`` turns its text into it, or raises InputError."""
        line, text = next(self._values, (None, None))
        self.ended = text is None
        if self.ended:
            message = f"the file ends where {what} should follow"
            raise FileFormatError(message, self.path, max(self.n_lines, 1))
        try:
            return parse(text)
        except InputError as error:
            raise FileFormatError(str(error), self.path, line) from error

    def expect_end(self):
        line, text = next(self._values, (None, None))
        if text is not None:
            raise FileFormatError(f"{text!r} after the last value, the descriptor", self.path, line)


class _FaultyLines(_ValueLines):
    """The same, but wrong values are gathered and taken for None, as long as there are lines."""

    def __init__(self, path):
        super().__init__(path)
        self.faults = []

    def take(self, what, parse):
        try:
            return super().take(what, parse)
        except FileFormatError as error:
            self.faults.append(error)
            if self.ended:
                raise
            return None

    def expect_end(self):
        try:
            super().expect_end()
        except FileFormatError as error:
            self.faults.append(error)


def _without_comment(line):
    line = line.strip()
    if line.startswith("#"):
        return ""
    for mark in (" #", "\t#"):
        line = line.partition(mark)[0]
    return line.rstrip()


# Every value has one check, of use to the file's reader and to the class.


def check_species(symbols):
    """Return ``symbols`` as a tuple of str; InputError unless they are elements, each once."""
    if isinstance(symbols, str):
        raise InputError(
            f"species = {symbols!r}: a sequence of element symbols, like [{symbols!r}]"
        )
    symbols = tuple(symbols)
    if not symbols:
        raise InputError("species is empty: at least one element symbol")
    for place, symbol in enumerate(symbols):
        if not isinstance(symbol, str) or atomic_numbers.get(symbol, 0) < 1:
            raise InputError(f"{symbol!r} is not the symbol of an element (Si, Al, ...)")
        if symbol in symbols[:place]:
            raise InputError(f"element {symbol} is there twice; each once")
    return tuple(str(symbol) for symbol in symbols)


def check_cutoff(cutoff):
    """Return ``cutoff`` as a float; InputError unless it is a finite length above zero."""
    try:
        value = float(cutoff)
    except (TypeError, ValueError):
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"cutoff = {cutoff!r}: a finite number above 0, in Å")
    return value


def _check_convention(convention):
    if convention not in WORDS_IN_FILE:
        raise InputError(f"convention = {convention!r}: 'raw', 'descriptor' or 'graph'")
    return convention


def _check_count(value, what):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InputError(f"{what} = {value!r}: a whole number of at least 1")
    return value


def _check_descriptor(name, convention):
    if convention == "descriptor":
        if name not in DESCRIPTORS.values():
            raise InputError(f"descriptor = {name!r}: one of {', '.join(DESCRIPTORS.values())}")
    elif name is not None:
        raise InputError(f"descriptor = {name!r}: None, since the model is a {convention} one")
    return name


def _check_model_file(name):
    if (
        not isinstance(name, str)
        or Path(name).name != name
        or Path(name).suffix not in {".pt", ".pt2"}
    ):
        raise InputError(f"model file {name!r}: the name of a .pt or .pt2 file, without a folder")
    return name


def _parse_number(text, kind, what):
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{what}: a number should stand here, not {text!r}") from None


def _parse_count(text, what):
    return _check_count(_parse_number(text, int, what), what)


def _parse_symbols(text, n_species):
    symbols = text.split()
    if n_species is not None and len(symbols) != n_species:
        raise InputError(
            f"{n_species} element symbol(s), as the value before says, should stand here, "
            f"not {len(symbols)}: {text!r}"
        )
    return check_species(symbols)


def _parse_convention(text):
    if text.lower() not in CONVENTIONS:
        raise InputError(f"preprocessing {text!r}: None, Descriptor or Graph")
    return CONVENTIONS[text.lower()]


def _parse_boolean(text):
    if text.lower() not in {"true", "false"}:
        raise InputError(f"whether the model returns forces: True or False, not {text!r}")
    return text.lower() == "true"


def _parse_descriptor(text, convention):
    if text.lower() == "none":
        return _check_descriptor(None, convention)
    return _check_descriptor(DESCRIPTORS.get(text.lower(), text), convention)
