"""The networks and energies that the settings file of n2p2 or RuNNer describes."""

import math
import re
from typing import NamedTuple

from torchml_core.checks import shown
from torchml_core.text_numbers import begins_like_number, parse_number, parse_whole

LETTERS = {  # of activation functions
    "l": "linear",
    "t": "tanh",
    "s": "logistic",
    "p": "softplus",
    "r": "relu",
    "g": "gaussian",
    "c": "cos",
    "S": "reverse_logistic",
    "e": "exp",
    "h": "harmonic",
}
# Keywords that may only be used as listed, because an energy would be wrong if one were skipped.
MATTERS = re.compile(
    r"(global|element)_\w*_short|(scale|center|mean|conv)_\w+|atom_energy\w*|normalize_\w+"
)
KNOWN = {
    "global_hidden_layers_short",
    "global_nodes_short",
    "global_activation_short",
    "global_symfunction_short",
    "element_hidden_layers_short",
    "element_nodes_short",
    "element_activation_short",
    "element_symfunction_short",
    "scale_symmetry_functions",
    "scale_symmetry_functions_sigma",
    "scale_min_short",
    "scale_max_short",
    "scale_min_short_atomic",
    "scale_max_short_atomic",
    "scale_min_short_pair",  # of networks that nn_type_short or nnp_type ask for
    "scale_max_short_pair",
    "scale_min_elec",
    "scale_max_elec",
    "center_symmetry_functions",
    "mean_energy",
    "conv_energy",
    "conv_length",
    "conv_charge",
    "atom_energy",
    "normalize_nodes",
    "normalize_data_set",  # done while training, which wrote mean_energy ...
}
# Further parts of an energy, in RuNNer's files.
FURTHER_ENERGIES = ("use_electrostatics", "use_electrostatic_nn", "use_vdw")


class Architecture(NamedTuple):
    """The network of one element.

    Attributes
    ----------
    hidden : list of tuple of int
        Nodes of the hidden layers; more than one if the lines of the file have several readings.
        The number of weights shows which of them is meant.
    activations : list of str
        Of each hidden layer.
    output_activation : str
    """

    hidden: list
    activations: list
    output_activation: str


class Energies(NamedTuple):
    """E of an atom is ``factor * (network's output) + references[element]``, in the file's unit.

    Attributes
    ----------
    factor : float
    references : dict of str to float
    free_atoms : dict of str to float
        Energies of free atoms, as far as they are given; ``references`` contain them.
    """

    factor: float
    references: dict
    free_atoms: dict


class Scaling(NamedTuple):
    """How values are scaled: a ``kind`` of ElementNetworks.fit_scaling, and its limits."""

    kind: str
    low: float
    high: float


def refuse_unsupported(settings):
    """Raise UnsupportedError for a potential of another kind, or a keyword that is not known."""
    line = settings.one("nnp_type")
    if line and settings.first_words(line, 1)[0] not in ("2", "2G", "2G-HDNNP"):
        word = shown(line.words[0])
        raise settings.unsupported(
            line, f"{line.keyword} = {word}: 2 is needed; charges are not supported"
        )
    line = settings.one("nn_type_short")
    if line and settings.first_words(line, 1)[0] != "1":
        word = shown(line.words[0])
        raise settings.unsupported(
            line, f"nn_type_short = {word}: 1, a network for each element, is needed"
        )
    for line in settings:
        if line.keyword in FURTHER_ENERGIES:
            raise settings.unsupported(
                line, f"{line.keyword}: a potential without this part of the energy is needed"
            )
        if MATTERS.fullmatch(line.keyword) and line.keyword not in KNOWN:
            raise settings.unsupported(
                line, f"{shown(line.keyword)}: a keyword of n2p2 or RuNNer is needed"
            )


def read_scaling(settings):
    """Return the Scaling; n2p2's rules if several keywords are given."""
    scale = settings.one("scale_symmetry_functions")
    center = settings.one("center_symmetry_functions")
    sigma = settings.one("scale_symmetry_functions_sigma")
    low = settings.number("scale_min_short", 0.0)
    high = settings.number("scale_max_short", 1.0)
    if scale:
        kind = "centered_range" if center else "range"
    elif center:
        kind = "center"
    else:
        kind = "sigma" if sigma else "none"
    if kind not in ("none", "center") and high == low:
        line = settings.one("scale_max_short") or settings.one("scale_min_short")
        message = f"scale_max_short = {high:g}: a number other than scale_min_short is needed"
        raise settings.error(line, message)
    return Scaling(kind, low, high)


def read_energies(settings, elements):
    """Return the Energies: those of atoms, and the normalization of the training set."""
    normalization = [settings.one(name) for name in ("mean_energy", "conv_energy", "conv_length")]
    given = [line for line in normalization if line]
    if len(given) not in (0, 3):
        message = f"{given[0].keyword}: all or none of mean_energy, conv_energy, conv_length"
        raise settings.error(given[0], f"{message} are needed")
    mean, conv_energy = settings.number("mean_energy", 0.0), settings.number("conv_energy", 1.0)
    conv_length = settings.number("conv_length", 1.0)  # it cancels; n2p2 divides by it
    for line, value in zip(normalization[1:], (conv_energy, conv_length), strict=True):
        if value <= 0 or math.isinf(1 / value):
            raise settings.error(
                line,
                f"{line.keyword} = {value:g}: a positive number with a finite inverse is needed",
            )
    free_atoms = {}
    for line in settings.all("atom_energy"):
        element, word = settings.first_words(line, 2)
        if element not in elements or element in free_atoms:
            message = f"atom_energy {shown(element)}: each of {elements} once is needed"
            raise settings.error(line, message)
        free_atoms[element] = settings.parse(parse_number, line, "atom_energy", word)
    references = {element: mean + free_atoms.get(element, 0.0) for element in elements}
    return Energies(1.0 / conv_energy, references, free_atoms)


def read_architectures(settings, elements):
    """Return {element: Architecture}."""
    n_global, nodes = _global_nodes(settings)
    letters = _global_letters(settings, n_global)
    n_layers = dict.fromkeys(elements, n_global)
    for line in settings.all("element_hidden_layers_short"):
        element, word = _element_words(settings, line, elements, 2)
        settings.first_words(line, 2)
        n_layers[element] = settings.parse(parse_whole, line, line.keyword, word, 0)
    found = {}
    for element in elements:
        n = n_layers[element]
        if n is None:
            raise settings.lacks("global_hidden_layers_short")
        own_nodes = nodes if n == n_global and nodes else [None] * n
        own_letters = letters if n == n_global and letters else [None] * (n + 1)
        hidden = _element_nodes(settings, element, elements, own_nodes)
        activations = _element_letters(settings, element, elements, own_letters)
        found[element] = Architecture(hidden, activations[:-1], activations[-1])
    return found


def _global_nodes(settings):
    """(number of hidden layers, their nodes), or None for what is not given."""
    n = settings.whole("global_hidden_layers_short", None)
    line = settings.one("global_nodes_short")
    if n is None or line is None:
        return n, None
    words = settings.first_words(line, n)
    return n, [settings.parse(parse_whole, line, "global_nodes_short", w, 1) for w in words]


def _global_letters(settings, n):
    line = settings.one("global_activation_short")
    if n is None or line is None:
        return None
    return _letters(settings, line, settings.first_words(line, n + 1))


def _letters(settings, line, letters):
    for letter in letters:
        if letter not in LETTERS:
            message = f"{line.keyword} = {shown(letter)}: one of {' '.join(LETTERS)} is needed"
            raise settings.unsupported(line, message)
    return [LETTERS[letter] for letter in letters]


def _element_words(settings, line, elements, n):
    """The first n words of a line, of which one is an element; more may follow."""
    if len(line.words) < n or line.words[0] not in elements:
        found = shown(" ".join(line.words[:n]))
        message = f"{line.keyword} {found}: one of the elements {elements}, and more, is needed"
        raise settings.error(line, message)
    return line.words[:n]


def _element_nodes(settings, element, elements, nodes):
    """The readings of the lines ``element_nodes_short`` of an element, different ones.

    n2p2's documentation has the nodes of all hidden layers in one line; its code then ignores the
    last. RuNNer has a line ``ELEMENT layer nodes`` for each layer that is different.
    """
    n = len(nodes)
    own = []
    for line in settings.all("element_nodes_short"):
        words = _element_words(settings, line, elements, 2)
        if words[0] == element:
            own.append(line)
    if not own:
        if None in nodes:
            is_global = settings.one("global_nodes_short") is None
            raise settings.lacks(
                "global_nodes_short" if is_global else f"element_nodes_short {element}"
            )
        return [tuple(nodes)]
    numbers = [
        [
            settings.parse(parse_whole, line, line.keyword, word, 1)
            for word in line.words[1:]
            if begins_like_number(word)
        ]
        for line in own
    ]
    readings = []
    if len(own) == 1 and len(numbers[0]) == n:
        readings = [numbers[0], [*numbers[0][:-1], nodes[-1]]]
    if all(len(pair) == 2 and pair[0] <= n for pair in numbers):
        by_layer = list(nodes)
        for layer, count in numbers:
            by_layer[layer - 1] = count
        readings.append(by_layer)
    readings = [tuple(reading) for reading in readings if None not in reading]
    if not readings:
        found = shown(" ".join(own[0].words))
        raise settings.error(
            own[0],
            f"element_nodes_short = {found}: the nodes of {n} hidden layers, or a layer and its"
            " nodes, are needed",
        )
    return list(dict.fromkeys(readings))


def _element_letters(settings, element, elements, activations):
    """The activation functions of an element's layers.

    n2p2 ignores the letter of the output layer in an element's line and uses the global one, so
    both must be the same, or the file would have two meanings.
    """
    n = len(activations)
    own = [
        line
        for line in settings.all("element_activation_short")
        if _element_words(settings, line, elements, 2)[0] == element
    ]
    for line in own[:1]:
        if begins_like_number(line.words[1]):  # RuNNer: a layer, a node and a letter
            message = f"{line.keyword} of single nodes; the letters of all layers are needed"
            raise settings.unsupported(line, message)
        letters = _letters(settings, line, settings.first_words(line, n + 1)[1:])
        if activations[-1] not in (None, letters[-1]):
            message = f"{line.keyword} {element}: the output layer of global_activation_short"
            raise settings.unsupported(line, f"{message} is needed, since n2p2 uses that")
        activations = letters
    for line in own[1:]:
        raise settings.error(line, f"{line.keyword} {element} is given twice; one is needed")
    if None in activations:
        raise settings.lacks("global_activation_short")
    return list(activations)
