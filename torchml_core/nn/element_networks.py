"""A network for each element, as one torch module."""

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from torchml_core import checks
from torchml_core.nn.activations import ACTIVATIONS
from torchml_core.nn.grouping import in_given_order, rows_by_element

if TYPE_CHECKING:
    from torchml_core.descriptors.base import Descriptor

SCALINGS = ("none", "center", "range", "centered_range", "sigma", "principal_axes")
# Added to variances along principal axes: components that hardly vary would be noise.
SMALL_VARIANCE = 1e-4


class ElementNetworks(nn.Module):
    """A feed-forward network for each element, from a descriptor to energies of atoms.

    ``forward(descriptor, species)`` takes values (n, width) and species codes int64 (n,), in the
    order of ``species``, and returns the energies of the n atoms. This is the form of descriptor
    models of several elements, so ``PortableModel.create(folder, model=networks,
    descriptor=descriptor, species=networks.species)`` stores it. It can be scripted and exported,
    with any number of atoms, and differentiated twice.

    The energy of an atom of element e is

        ``energy_factor * network_e((D - shift_e) * factor_e) + reference_energies[e]``

    where D are the first ``descriptor.n_values(e)`` values of its row; shift and factor are set by
    :meth:`fit_scaling` or :meth:`set_scaling`, and are 0 and 1 before.

    Parameters
    ----------
    descriptor : Descriptor
        Only its species, its width, and the number of values of each element are used. In rows of
        ElementSymmetryFunctions, what follows an element's own values is ignored.
    hidden : sequence of int, or dict of str to sequence of int
        Nodes of each hidden layer, for all elements or for each. An empty sequence makes a linear
        model.
    activation : str, sequence of str, or dict of str to either
        Of the hidden layers, all or each, for all elements or for each: "tanh", "logistic",
        "softplus", "relu", "gaussian" (exp(-x²/2)), "cos", "reverse_logistic" (1 - logistic),
        "exp" (exp(-x)), "harmonic" (x²) or "linear".
    output_activation : str or dict of str to str
        Of the output.
    reference_energies : dict of str to float, optional
        Energy that is added for each atom of an element, in eV. None: zeros.
    energy_factor : float
        What the outputs of the networks are multiplied with.
    normalize_nodes : bool
        Whether the input of each node, weights times values plus bias, is divided by the number of
        values, as in n2p2.
    dtype : {"float64", "float32"} or torch.dtype
        Of the parameters; it must be that of the descriptor's values.

    Attributes
    ----------
    species : tuple of str
    width : int
        Number of columns of the descriptor.
    networks : torch.nn.ModuleList
        One for each element; ``networks[k].layers[j].linear`` is a layer's torch.nn.Linear.

    Raises
    ------
    InputError
        If an argument cannot be used.

    Examples
    --------
    >>> import torch
    >>> import torchml_core as tm
    >>> d = tm.SymmetryFunctions(["Si", "C"], 5.0, [("g2", [[0.1, 0.0], [0.5, 0.0]])])
    >>> networks = tm.nn.ElementNetworks(d, hidden=(20, 20), reference_energies={"Si": -1, "C": -2})
    >>> networks(torch.rand(7, 2, dtype=torch.float64), torch.tensor([0, 1, 1, 0, 1, 0, 0])).shape
    torch.Size([7])
    """

    def __init__(
        self,
        descriptor: "Descriptor",
        hidden: Sequence[int] | Mapping[str, Sequence[int]] = (30, 30),
        activation: Any = "tanh",
        *,
        output_activation: str | Mapping[str, str] = "linear",
        reference_energies: Mapping[str, float] | None = None,
        energy_factor: float = 1.0,
        normalize_nodes: bool = False,
        dtype: str | torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        self.species = tuple(descriptor.species)
        self.width = int(descriptor.width)
        normalize_nodes = checks.flag("normalize_nodes", normalize_nodes)
        references = _by_element("reference_energies", reference_energies or 0.0, self.species)
        factor = checks.number("energy_factor", energy_factor)
        self.n_elements = len(self.species)
        self.networks = nn.ModuleList()
        parts = (
            _by_element("hidden", hidden, self.species),
            _by_element("activation", activation, self.species),
            _by_element("output_activation", output_activation, self.species),
        )
        for element in self.species:
            nodes, names, last = (part[element] for part in parts)
            nodes = _check_nodes(nodes)
            width = descriptor.n_values(element)
            if not width:
                checks.refuse("descriptor", descriptor, f"at least one value for {element}")
            names = [*_check_activations(names, len(nodes)), _check_activation(last)]
            reference = checks.number("reference_energies", references[element])
            layers = _layers([width, *nodes, 1], names, normalize_nodes)
            self.networks.append(ElementNetwork(self.width, layers, factor, reference))
        self.to(_torch_dtype(dtype))

    def forward(self, descriptor: Tensor, species: Tensor) -> Tensor:
        """Return the energies of atoms, (n,).

        Parameters
        ----------
        descriptor : (n, width) tensor
        species : (n,) int64 tensor
            Codes of elements, 0 to ``len(self.species) - 1``.
        """
        if descriptor.dim() != 2 or descriptor.shape[1] != self.width:
            raise ValueError("descriptor: a tensor of shape (n, width) is needed")
        parts, order = rows_by_element(descriptor, species, self.n_elements)
        energies = []
        for k, network in enumerate(self.networks):
            energies.append(network(parts[k]))
        return in_given_order(energies, order)

    # ---- scaling

    @torch.jit.unused
    def set_scaling(self, shift: Mapping[str, Any], factor: Mapping[str, Any]) -> None:
        """Set the scaling ``(D - shift) * factor`` from arrays.

        Parameters
        ----------
        shift, factor : dict of str to (width of the element,) array
            For each element.
        """
        network: Any
        for network, element in zip(self.networks, self.species, strict=True):
            for name, given in (("shift", shift), ("factor", factor)):
                if not isinstance(given, Mapping) or element not in given:
                    checks.refuse(name, given, f"a dict of arrays, also for {element},")
                buffer = getattr(network, name)
                shape = tuple(buffer.shape)
                values = checks.real_numbers(f"{name}[{element!r}]", given[element], shape)
                buffer.copy_(torch.from_numpy(values))
            network.axes = None

    @torch.jit.unused
    def set_weights(self, layers: Mapping[str, Any]) -> None:
        """Set the weights and biases of the networks.

        Parameters
        ----------
        layers : dict of str to list of (array, array)
            For each element and each layer, the output layer last: weights (n_outputs, n_inputs)
            and biases (n_outputs,).
        """
        network: Any
        for network, element in zip(self.networks, self.species, strict=True):
            for layer, (weights, biases) in zip(network.layers, layers[element], strict=True):
                for name, given in (("weight", weights), ("bias", biases)):
                    parameter = getattr(layer.linear, name)
                    shape = tuple(parameter.shape)
                    values = checks.real_numbers(f"layers[{element!r}]: {name}", given, shape)
                    with torch.no_grad():
                        parameter.copy_(torch.from_numpy(values))

    @torch.jit.unused
    def fit_scaling(self, descriptor: Any, species: Any, scaling: str = "sigma") -> None:
        """Set the scaling from the descriptor's values in a training set.

        Parameters
        ----------
        descriptor : (n, width) array or tensor
        species : (n,) array or tensor of int
            Codes of elements. An element without atoms is an error.
        scaling : {"none", "center", "range", "centered_range", "sigma", "principal_axes"}
            What the values of each component become, with its mean, minimum, maximum and standard
            deviation over the element's atoms: D; D - mean; (D - min) / (max - min);
            (D - mean) / (max - min); (D - mean) / sigma. A component with the same value for all
            atoms is only centered. "principal_axes" goes on from "sigma": the network gets the
            components along the principal axes of these values, divided by the root of their
            variance plus 1e-4. Values of descriptors are strongly correlated, and networks learn
            faster without.
        """
        checks.one_of("scaling", scaling, SCALINGS)
        values = checks.real_numbers("descriptor", descriptor, (None, self.width), "(n, width)")
        codes = checks.integers(
            "species", species, (len(values),), least=0, most=self.n_elements - 1
        )
        shifts, factors, axes = {}, {}, []
        for k, element in enumerate(self.species):
            own = values[codes == k][:, : self.networks[k].width]
            if not len(own):
                checks.refuse("species", species, f"at least one atom of {element}")
            shifts[element], factors[element] = _scaling(own, scaling)
            if scaling == "principal_axes":
                axes.append(_axes((own - shifts[element]) * factors[element]))
        self.set_scaling(shifts, factors)
        network: Any
        for network, found in zip(self.networks, axes, strict=False):  # none for other scalings
            network.axes = torch.from_numpy(found).to(network.shift)

    def extra_repr(self) -> str:
        return f"{' '.join(self.species)}; width {self.width}"


class ElementNetwork(nn.Module):
    """The network of one element: values (n, descriptor's width) become energies (n,)."""

    shift: Tensor
    factor: Tensor
    axes: Tensor | None  # (width, width), from the scaled values to what the layers get
    energy_factor: Tensor
    reference: Tensor

    def __init__(self, n_columns, layers, energy_factor, reference_energy):
        super().__init__()
        self.width = layers[0].linear.in_features
        self.padded = self.width < n_columns
        self.layers = layers
        self.register_buffer("shift", torch.zeros(self.width))
        self.register_buffer("factor", torch.ones(self.width))
        self.register_buffer("axes", None)
        # a Python float would be a constant; as buffers both are converted with the module
        self.register_buffer("energy_factor", torch.tensor(energy_factor, dtype=torch.float64))
        self.register_buffer("reference", torch.tensor(reference_energy, dtype=torch.float64))

    def forward(self, values: Tensor) -> Tensor:
        if self.padded:
            values = values[:, : self.width]
        values = (values - self.shift) * self.factor
        axes = self.axes  # a script knows the type of a variable, not that of an attribute
        if axes is not None:
            values = values @ axes
        for layer in self.layers:
            values = layer(values)
        return values.squeeze(1) * self.energy_factor + self.reference

    def _load_from_state_dict(self, state_dict, prefix, *arguments):
        axes = state_dict.get(f"{prefix}axes")  # there or not, whatever this network has
        self.axes = None if axes is None else torch.empty_like(axes).to(self.shift)
        super()._load_from_state_dict(state_dict, prefix, *arguments)


class MeanNetwork(nn.Module):
    """The mean of several networks of the same element."""

    def __init__(self, networks):
        super().__init__()
        self.members = nn.ModuleList(networks)

    def forward(self, values: Tensor) -> Tensor:
        total = torch.zeros_like(values[:, 0])
        for member in self.members:
            total = total + member(values)
        return total / len(self.members)


def mean_networks(members: Sequence[ElementNetworks]) -> ElementNetworks:
    """Return an ElementNetworks whose energies are the mean of those of several.

    Parameters
    ----------
    members : sequence of ElementNetworks
        On the same descriptor. Their parameters are shared, not copied.
    """
    mean = copy.copy(members[0])
    mean._modules = {}  # a shallow copy shares the dict of modules
    mean.networks = nn.ModuleList(
        MeanNetwork(networks)
        for networks in zip(*(member.networks for member in members), strict=True)
    )
    return mean


class Layer(nn.Module):
    """activation((W x + b) / divisor)."""

    def __init__(self, n_inputs, n_nodes, activation, divisor):
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_nodes)
        self.activation = ACTIVATIONS[activation]()
        self.divisor = float(divisor)

    def forward(self, values: Tensor) -> Tensor:
        values = self.linear(values)
        if self.divisor != 1.0:
            values = values / self.divisor
        return self.activation(values)


def _layers(nodes, activations, normalize_nodes):
    return nn.ModuleList(
        Layer(n, m, activation, n if normalize_nodes else 1)
        for n, m, activation in zip(nodes[:-1], nodes[1:], activations, strict=True)
    )


def _scaling(values, scaling):
    """(shift, factor) of each column of values (n, width)."""
    if scaling == "none":
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    low, high = values.min(axis=0), values.max(axis=0)
    shift = low if scaling == "range" else np.clip(values.mean(axis=0), low, high)
    if scaling == "center":
        return shift, np.ones_like(shift)
    size = values.std(axis=0) if scaling in ("sigma", "principal_axes") else high - low
    return shift, 1.0 / np.where(high > low, size, 1.0)


def _axes(scaled):
    """(width, width): columns are principal axes over the root of their variances."""
    variances, axes = np.linalg.eigh(scaled.T @ scaled / len(scaled))
    return axes / np.sqrt(np.maximum(variances, 0) + SMALL_VARIANCE)


def _by_element(name, given, species):
    """{element: value} of one value for all, or of a dict with one for each."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(species, given)
    if set(given) != set(species):
        checks.refuse(name, dict(given), f"a value for each of {', '.join(species)}")
    return dict(given)


def _check_nodes(nodes):
    nodes = checks.sequence("hidden", nodes, "a sequence of numbers of nodes")
    return [checks.whole("hidden", n, 1, 100_000) for n in nodes]


def _check_activations(names, n_layers):
    if isinstance(names, str):
        names = [names] * n_layers
    names = checks.sequence("activation", names, "a name, or one for each hidden layer,")
    if len(names) != n_layers:
        checks.refuse("activation", names, f"a name, or one for each of {n_layers} hidden layers,")
    return [_check_activation(name) for name in names]


def _check_activation(name):
    return checks.one_of("activation", name, tuple(ACTIVATIONS))


def _torch_dtype(dtype):
    if isinstance(dtype, torch.dtype):
        dtype = str(dtype).removeprefix("torch.")
    return getattr(torch, checks.real_dtype("dtype", dtype).name)
