"""Networks of ours, evaluated by a kernel of ours instead of torch.

``nn.ElementNetworks`` on a descriptor is most of what torch does in a simulation. For a few hundred
atoms, torch's own bookkeeping takes longer than the arithmetic. So models that are made of modules
of :mod:`torchml_core.nn` alone, in the forms in which they are stored, are read from their file and
evaluated by ``network_kernel.pyx``: energies and their gradient in one pass, the same to the last
bit whatever the number of threads, and whatever the other atoms are.

A model is recognized by its code: a module with the same structure is made anew and compiled, and
the graphs of the two must be the same. All other models run in torch, as they are.
"""

from __future__ import annotations

import io
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from ase.data import chemical_symbols

from torchml_core import _memory
from torchml_core.nn.element_networks import ElementNetworks
from torchml_core.nn.element_polynomials import ElementPolynomials
from torchml_core.nn.portable_form import OfOneElement, WithReferences
from torchml_core.nn.with_linear import WithLinear
from torchml_core.portable.network_kernel import ACTIVATIONS, FeedForward
from torchml_core.threads import resolve_threads

if TYPE_CHECKING:
    from typing import Any

    from torchml_core.annotations import Doubles

F64 = "float64"
# Sums of larger weights could be infinite, and inf - inf is no number: torch shall deal with that.
LARGEST = {torch.float64: 1e100, torch.float32: 1e15}
# By the name of the module's class.
ACTIVATION_OF = {
    "Identity": "linear",
    "Tanh": "tanh",
    "Sigmoid": "logistic",
    "Softplus": "softplus",
    "ReLU": "relu",
    "Gaussian": "gaussian",
    "Cosine": "cos",
    "ReverseLogistic": "reverse_logistic",
    "Exponential": "exp",
    "Harmonic": "harmonic",
}
assert set(ACTIVATION_OF.values()) == set(ACTIVATIONS)


class PlainNetwork:
    """Energies of atoms: constants, plus sums of networks, for each element.

    Attributes
    ----------
    width : int
        Columns of the values.
    dtype : torch.dtype
        The floating type of the values that the module takes: values are rounded to it.
    """

    def __init__(
        self,
        width: int,
        dtype: torch.dtype,
        constants: Doubles,
        parts: list[list[FeedForward]],  # each with a network for each element
    ) -> None:
        if any(len(part) != len(constants) for part in parts):
            raise ValueError("a network for each element is needed")
        self.width, self.dtype = width, dtype
        self._constants, self._parts = constants, parts

    @property
    def n_elements(self) -> int:
        return len(self._constants)

    def takes(self, codes: Any) -> bool:
        """Whether all of these species codes have a network."""
        return all(0 <= code < self.n_elements for code in codes.tolist())

    def evaluate(
        self, values: Doubles, codes: Any, *, gradient: bool, n_threads: int | None = None
    ) -> tuple[Doubles, Doubles | None]:
        """Return the energies of atoms, and their gradient with respect to the values.

        Parameters
        ----------
        values : (n, width) float64 array
        codes : (n,) int64 array, or None if there is one element
        gradient : bool
        n_threads : int, optional
        """
        threads = resolve_threads(n_threads)
        n = len(values)
        rows: list[Any] = [None]  # of each element
        if self.n_elements == 1:
            energies = np.full(n, self._constants[0])
        else:
            rows = [np.flatnonzero(codes == k) for k in range(self.n_elements)]
            energies = self._constants[codes]
        dE_dD = None
        if gradient:  # in memory that is used again in each step
            dE_dD = _memory.empty((n, self.width), np.dtype(np.float64))
            dE_dD.fill(0)
        for part in self._parts:
            for network, own in zip(part, rows, strict=True):
                network.add(values, own, energies, dE_dD, threads)
        return energies, dE_dD


def plain_network(module: torch.jit.ScriptModule) -> PlainNetwork | None:
    """Return the network that a TorchScript module is, if it is one of ours; else None.

    Parameters
    ----------
    module : torch.jit.ScriptModule
        As loaded, before it is frozen.
    """
    try:
        read = _read(module)
        plain = PlainNetwork(read.width, read.dtype, read.constants, read.parts)
        graph = _graph(module)
        if graph not in _known:
            if graph != _graph(_stored_and_loaded(read.twin)):
                return None
            _known.add(graph)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RuntimeError):
        return None  # it has other parts, or parts that do not fit
    tensors = [t for t in (*module.parameters(), *module.buffers()) if t.numel()]
    if not all(float(t.detach().abs().max()) <= LARGEST[t.dtype] for t in tensors):
        return None
    return plain


_known: set[str] = set()  # graphs of modules that were recognized


class _Read(NamedTuple):
    """A module: what it computes, and a new module with the same structure."""

    width: int
    dtype: torch.dtype  # of the values that it takes
    constants: Doubles  # (n_elements,)
    parts: list[list[FeedForward]]
    twin: torch.nn.Module


def _read(module):
    return READERS[module.original_name](module)


def _read_of_one_element(module):
    inner = _read(module.network)
    return inner._replace(twin=OfOneElement(inner.twin))


def _read_with_references(module):
    inner, references = _read(module.network), _array(module.references)
    _require(references.shape == inner.constants.shape)
    twin = WithReferences(inner.twin, references, module.takes_species)
    return inner._replace(constants=inner.constants + references, twin=twin)


def _read_with_linear(module):
    linear, rest = _read(module.linear), _read(module.network)
    _require(linear.width == rest.width and linear.constants.shape == rest.constants.shape)
    twin = WithLinear(linear.twin, rest.twin)
    strength = float(module.strength.detach())
    parts = linear.parts + [[net.times(strength) for net in part] for part in rest.parts]
    constants = linear.constants + strength * rest.constants
    return _Read(linear.width, torch.float64, constants, parts, twin)


def _read_polynomials(module):
    _require(module.degree == 1)
    weights = _array(module.linear)
    width = weights.shape[1]
    plain = np.zeros(width), np.ones(width)
    part = [FeedForward(*plain, [(row[None], [0.0], 1.0, "linear")], 1.0, F64) for row in weights]
    twin = ElementPolynomials(_stand_in(len(weights), {}, width))
    return _Read(width, torch.float64, _array(module.constant), [part], twin)


def _read_networks(module):
    elements = _symbols(module.n_elements)
    networks = [getattr(module.networks, str(k)) for k in range(len(elements))]
    layers = {e: list(net.layers.children()) for e, net in zip(elements, networks, strict=True)}
    names = {e: [ACTIVATION_OF[own.activation.original_name] for own in layers[e]] for e in layers}
    nodes = {e: [own.linear.weight.shape[0] for own in layers[e][:-1]] for e in layers}
    widths = {e: layers[e][0].linear.weight.shape[1] for e in layers}
    for element, net in zip(elements, networks, strict=True):
        _require(net.width == widths[element] <= module.width)
        _require(net.padded == (net.width < module.width))
    twin = ElementNetworks(
        _stand_in(len(elements), widths, module.width),
        nodes,
        {e: names[e][:-1] for e in names},
        output_activation={e: names[e][-1] for e in names},
    )
    part, constants = [], []
    for element, network, own in zip(elements, networks, twin.networks, strict=True):
        packed = [
            (_array(layer.linear.weight), _array(layer.linear.bias), layer.divisor, name)
            for layer, name in zip(layers[element], names[element], strict=True)
        ]
        if network.axes is not None:
            axes = _array(network.axes)
            packed.insert(0, (axes.T, np.zeros(len(axes)), 1.0, "linear"))
            own.axes = torch.zeros(axes.shape)
        dtype = network.shift.dtype
        scaling = _array(network.shift), _array(network.factor)
        factor = float(network.energy_factor)
        part.append(FeedForward(*scaling, packed, factor, str(dtype).removeprefix("torch.")))
        constants.append(float(network.reference))
    return _Read(module.width, dtype, np.array(constants), [part], twin.to(dtype))


READERS = {
    "OfOneElement": _read_of_one_element,
    "WithReferences": _read_with_references,
    "WithLinear": _read_with_linear,
    "ElementPolynomials": _read_polynomials,
    "ElementNetworks": _read_networks,
}


def _require(fits):
    """Of what torch would refuse, or do in another way."""
    if not fits:
        raise ValueError("the parts do not fit")


def _stand_in(n, widths, width):
    """All that our modules use of a descriptor."""
    elements = _symbols(n)
    return SimpleNamespace(
        species=elements, width=width, n_values=lambda element: widths.get(element, width)
    )


def _symbols(n):
    return tuple(chemical_symbols[1 : n + 1])


def _array(tensor):
    return tensor.detach().cpu().to(torch.float64).numpy()


def _stored_and_loaded(module):
    stored = io.BytesIO()
    torch.jit.save(torch.jit.script(module.eval()), stored)
    stored.seek(0)
    return torch.jit.load(stored)


def _graph(module):
    """All that a module does, as a text: without places in files, or numbers in names of types."""
    return re.sub(r"___torch_mangle_\d+\.", "", module.inlined_graph.str(False))
