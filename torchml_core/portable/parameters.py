"""The ``.param`` file of a portable model: read, written and checked.

The format is that of the TorchML model driver of OpenKIM (``TorchML__MD_173118614730``): a
sequence of values, one per line. Lines whose first character is ``#`` are comments, and blank lines
separate values. Existing files do not follow this strictly, so only the sequence of values matters.

Settings that the format does not have are comments of one form, which other programs skip::

    # torchml_core: species_input = atomic_numbers
    # torchml_core: dtype = float32
"""

import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

from ase.data import atomic_numbers

from torchml_core import files
from torchml_core.checks import (
    flag,
    one_of,
    positive,
    real_dtype,
    refuse,
    sequence,
    shown,
    whole,
)
from torchml_core.descriptors.registry import kind_named, kinds
from torchml_core.errors import FileFormatError, InputError
from torchml_core.portable.species_input import check_species_input
from torchml_core.text_numbers import parse_number, parse_whole

CONVENTIONS = {"none": "raw", "descriptor": "descriptor", "graph": "graph"}
LARGEST = 1_000_000  # bytes of a file
LONGEST_NAME = 255  # bytes of a file's name
# Generous limits: networks have up to about ten layers, and reach some tens of Å.
MOST_LAYERS, FARTHEST = 100, 10_000
MOST_INPUTS = 1000
WORDS_IN_FILE = {"raw": "None", "descriptor": "Descriptor", "graph": "Graph"}
SETTING = re.compile(r"#\s*torchml_core:(.*)")  # a comment that is a setting


@dataclass(frozen=True)
class ModelParameters:
    """What the ``.param`` file of a portable model says.

    Parameters
    ----------
    species : sequence of str
        Element symbols; the index of a symbol is its species code.
    convention : {"raw", "descriptor", "graph"}
        What ``forward`` takes. In the file: ``None``, ``Descriptor``, ``Graph``.
    cutoff : float
        Å. For graph models, the cutoff of one convolution.
    model_file : str
        Name of the ``.pt`` or ``.pt2`` file in the same folder.
    n_layers : int
        Convolutions of a graph model, up to 100; 1 for the other two. The influence distance,
        cutoff × n_layers, is at most 10 000 Å.
    returns_forces : bool
        Whether ``forward`` returns ``(energy, forces)``.
    n_inputs : int, optional
        Number of arguments of ``forward``. For a descriptor model, 2 means
        ``forward(descriptor, species)``, and any other number ``forward(descriptor)``. Otherwise it
        is not used: it is often wrong in existing files, so it is kept unchanged. None: the right
        number, :attr:`expected_n_inputs`.
    descriptor : {"SymmetryFunctions", "Bispectrum", "SOAP", "Xi"}, optional
        Kind of the descriptor in the ``.dat`` file: for descriptor models, and only for them.
    species_input : {"codes", "sorted_codes", "atomic_numbers"}, optional
        What the model is given for species, if it :attr:`takes_species`. None: not said here, see
        :mod:`torchml_core.portable.species_input`.
    dtype : {"float64", "float32"}, optional
        The floating type that ``forward`` is given. None: float64 if torch accepts it.

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
    species_input: str | None = None
    dtype: str | None = None

    def __post_init__(self):
        self._set("species", check_species(self.species))
        self._set("convention", _check_convention(self.convention))
        self._set("cutoff", check_cutoff(self.cutoff))
        self._set("n_layers", check_layers(self.n_layers, self.cutoff))
        self._set("returns_forces", flag("returns_forces", self.returns_forces))
        self._set("descriptor", _check_descriptor(self.descriptor, self.convention))
        _check_model_file(self.model_file)
        if self.n_layers != 1 and self.convention != "graph":
            raise InputError(f"n_layers = {self.n_layers}: only graph models have more than 1")
        if self.n_inputs is None:
            self._set("n_inputs", self.expected_n_inputs)
        self._set("n_inputs", whole("n_inputs", self.n_inputs, 1, MOST_INPUTS))
        _check_species_input(self.species_input, self.takes_species)
        self._set("dtype", check_dtype(self.dtype))

    def _set(self, name, value):
        object.__setattr__(self, name, value)  # the class is frozen for everybody else

    @property
    def influence_distance(self):
        """float: largest distance at which atoms affect an energy, cutoff × n_layers in Å."""
        return self.cutoff * self.n_layers

    @property
    def takes_species(self):
        """bool: whether ``forward`` is given the species of particles."""
        return _takes_species(self.convention, self.n_inputs)

    @property
    def expected_n_inputs(self):
        """int: how many arguments ``forward`` has in this convention."""
        descriptor = 2 if self.takes_species else 1
        return {"raw": 5, "descriptor": descriptor, "graph": 3 + self.n_layers}[self.convention]


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
        If a value is missing, cannot be used, or follows the last one (then the sequence is
        wrong, or was misread); the message names file, line and value.

    Notes
    -----
    The values in order: number of elements; on the next line their symbols; ``None``,
    ``Descriptor`` or ``Graph``; cutoff in Å; for ``Graph`` only, number of convolutions; name of
    the model's file; whether it returns forces; number of inputs; name of the descriptor or
    ``None``. The case of words is ignored. Text after a blank and ``#`` is also a comment. A whole
    number may be written as ``2.0``, and a number with Fortran's exponent (``3.5d0``).
    """
    return _read(_ValueLines(path))


def find_faults(path):
    """Return everything that is wrong with a ``.param`` file; reading it stops at the first error.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of FileFormatError
        In the order of the lines; empty if the file can be read. An error may hide later ones:
        values after a wrong preprocessing kind cannot be identified.

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
    n_species = values.take("the number of elements", _number_of("elements"))
    species = values.take(
        f"the symbols of {n_species or 'the'} element(s)", lambda t: _parse_symbols(t, n_species)
    )
    convention = values.take("the preprocessing, None, Descriptor or Graph", _parse_convention)
    if convention is None:
        return None
    cutoff = values.take("the cutoff", _parse_cutoff)
    n_layers = 1
    if convention == "graph":
        n_layers = values.take(
            "the number of convolution layers",
            lambda t: check_layers(parse_number("n_layers", t), cutoff or 1.0),
        )
    model_file = values.take("the name of the model's file", _check_model_file)
    returns_forces = values.take("whether the model returns forces", _parse_boolean)
    n_inputs = values.take("the number of inputs", _number_of("inputs", MOST_INPUTS))
    descriptor = values.take(
        "the name of the descriptor, or None", lambda t: _parse_descriptor(t, convention)
    )
    values.expect_end()
    settings = values.settings(
        {
            "species_input": lambda text: _check_species_input(
                text, _takes_species(convention, n_inputs)
            ),
            "dtype": check_dtype,
        }
    )
    if values.faults:
        return None
    return ModelParameters(
        species,
        convention,
        cutoff,
        model_file,
        n_layers,
        returns_forces,
        n_inputs,
        descriptor,
        **settings,
    )


def _number_of(what, most=None):
    """A parser of a whole number of at least 1."""
    return lambda text: parse_whole(f"number of {what}", text, 1, most or 2**31 - 1)


def write_parameters(parameters, path):
    """Write a ``.param`` file that :func:`read_parameters` reads back equal.

    Parameters
    ----------
    parameters : ModelParameters
    path : path-like
        Overwritten if it exists.
    """
    files.write_text("path", path, parameters_text(parameters))


def parameters_text(parameters):
    """Return the text of a ``.param`` file."""
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
    for name in ("species_input", "dtype"):
        value = getattr(p, name)
        if value is not None:
            text += f"# torchml_core: {name} = {value}\n"
    return text


def disagreements(parameters, descriptor):
    """Return the contradictions between a descriptor and the parameters of its model, as texts."""
    found = []
    if descriptor.species and set(descriptor.species) != set(parameters.species):
        found.append(
            f"its species are {', '.join(descriptor.species)}, those of the model "
            f"{', '.join(parameters.species)}; they must be the same, in any order"
        )
    if descriptor.cutoff > parameters.cutoff:
        found.append(
            f"its cutoff {descriptor.cutoff:g} is beyond that of the model, {parameters.cutoff:g}: "
            "it would miss neighbors"
        )
    return found


class _ValueLines:
    """The lines of a file that contain a value, read one after another."""

    faults = ()  # the first one is raised

    def __init__(self, path):
        self.path = files.as_path("path", path)
        lines = files.read_lines(self.path, ".param file", LARGEST)
        self.n_lines = len(lines)
        numbered = [(n, line.strip()) for n, line in enumerate(lines, start=1)]
        settings = ((n, SETTING.match(line)) for n, line in numbered)
        self._settings = [(n, found[1].strip()) for n, found in settings if found]
        values = ((n, _without_comment(line)) for n, line in numbered)
        self._values = iter([(n, value) for n, value in values if value])

    def take(self, what, parse):
        """The next value; ``parse`` turns its text into it, or raises InputError."""
        line, text = next(self._values, (None, None))
        self.ended = text is None
        if self.ended:
            message = f"the file ends where {what} should follow"
            raise FileFormatError(message, self.path, max(self.n_lines, 1))
        files.require_text(text, self.path, line)
        try:
            return parse(text)
        except InputError as error:
            raise FileFormatError(str(error), self.path, line) from error

    def expect_end(self):
        line, text = next(self._values, (None, None))
        if text is not None:
            self._wrong(f"{shown(text)} after the last value, the descriptor", line)

    def settings(self, parsers):
        """The settings in comments, by name: parsed values, or None if a setting is missing."""
        found = dict.fromkeys(parsers)
        for line, text in self._settings:
            name, _, value = (part.strip() for part in text.partition("="))
            if name not in parsers or found[name] is not None:
                known = " or ".join(f"{name} = ..." for name in parsers)
                self._wrong(f"setting {shown(text)}: {known}, each once, is needed", line)
                continue
            try:
                found[name] = parsers[name](value)
            except InputError as error:
                self._wrong(str(error), line)
        return found

    def _wrong(self, message, line):
        raise FileFormatError(message, self.path, line)


class _FaultyLines(_ValueLines):
    """The same, but errors are collected, and a wrong value becomes None, while lines remain."""

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

    def _wrong(self, message, line):
        self.faults.append(FileFormatError(message, self.path, line))


def _without_comment(line):
    if line.startswith("#"):
        return ""
    for mark in (" #", "\t#"):
        line = line.partition(mark)[0]
    return line.rstrip()


# One check per value, used by the file's reader and by the class.


def check_species(symbols):
    """Return ``symbols`` as a tuple of str; InputError unless they are elements, each once."""
    requirement = "a sequence of element symbols, at least one,"
    symbols = tuple(sequence("species", symbols, requirement))
    if not symbols:
        refuse("species", symbols, requirement)
    for place, symbol in enumerate(symbols):
        if not isinstance(symbol, str) or atomic_numbers.get(symbol, 0) < 1:
            refuse(f"species[{place}]", symbol, "the symbol of an element (Si, Al, ...)")
        if symbol in symbols[:place]:
            raise InputError(f"species: {symbol} is listed twice; each element once is needed")
    return tuple(str(symbol) for symbol in symbols)


def _check_convention(convention):
    return one_of("convention", convention, tuple(WORDS_IN_FILE))


def check_cutoff(cutoff):
    """Return the cutoff as a float; InputError unless it is above 0 and not absurdly large."""
    if positive("cutoff", cutoff) > FARTHEST:
        refuse("cutoff", cutoff, f"at most {FARTHEST} Å")
    return float(cutoff)


def check_layers(n_layers, cutoff):
    """Return the number of layers as an int; InputError for an absurdly large number."""
    n_layers = whole("n_layers", n_layers, 1, MOST_LAYERS)
    if cutoff * n_layers > FARTHEST:
        raise InputError(
            f"cutoff = {cutoff:g}, n_layers = {n_layers}: an influence distance, cutoff x n_layers,"
            f" of at most {FARTHEST} Å is needed"
        )
    return n_layers


def _check_descriptor(name, convention):
    allowed = kinds() if convention == "descriptor" else (None,)
    if name not in allowed:
        refuse("descriptor", name, f"{' or '.join(map(str, allowed))} for a {convention} model")
    return name


def check_dtype(dtype):
    """Return ``"float64"`` or ``"float32"``, or None; InputError if it is anything else.

    Names and types of NumPy and torch are accepted.
    """
    if dtype is None:
        return None
    if type(dtype).__module__ == "torch":  # not imported for this
        dtype = str(dtype).removeprefix("torch.")
    return real_dtype("dtype", dtype).name


def _takes_species(convention, n_inputs):
    return convention != "descriptor" or n_inputs == 2


def _check_species_input(kind, takes_species):
    check_species_input(kind)
    if kind is not None and not takes_species:
        requirement = "None, for a descriptor model of one input, which is given no species,"
        refuse("species_input", kind, requirement)
    return kind


def _check_model_file(name):
    requirement = "the name of a .pt or .pt2 file, without a folder,"
    if not isinstance(name, str) or len(name.encode(errors="replace")) > LONGEST_NAME:
        refuse("model file", name, requirement)
    if Path(name).name != name or Path(name).suffix not in {".pt", ".pt2"}:
        refuse("model file", name, requirement)
    return name


def _parse_symbols(text, n_species):
    symbols = text.split()
    if n_species is not None and len(symbols) != n_species:
        raise InputError(
            f"element symbols = {shown(text)}: {n_species} symbols, as many as the number of"
            f" elements above, are needed, not {len(symbols)}"
        )
    return check_species(symbols)


def _parse_cutoff(text):
    return check_cutoff(parse_number("cutoff", text))


def _parse_convention(text):
    if text.lower() not in CONVENTIONS:
        refuse("preprocessing", text, "None, Descriptor or Graph")
    return CONVENTIONS[text.lower()]


def _parse_boolean(text):
    if text.lower() not in {"true", "false"}:
        refuse("returns forces", text, "True or False")
    return text.lower() == "true"


def _parse_descriptor(text, convention):
    if text.lower() == "none":
        return _check_descriptor(None, convention)
    return _check_descriptor(kind_named(text) or text, convention)
