"""ElementNetworks: values against a plain loop, scripted and exported, scaling, derivatives."""

import copy
import pickle
import warnings

import numpy as np
import pytest
import torch
from ase import Atoms

import torchml_core as tm
from torchml_core.descriptors.symmetry_functions import Function
from torchml_core.nn.activations import ACTIVATIONS

FORMULAS = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "logistic": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "relu": lambda x: np.maximum(x, 0),
    "gaussian": lambda x: np.exp(-(x**2) / 2),
    "cos": np.cos,
    "reverse_logistic": lambda x: 1 - 1 / (1 + np.exp(-x)),
    "exp": lambda x: np.exp(-x),
    "harmonic": lambda x: x**2,
}
WIDTHS = {"H": 3, "O": 5, "C": 2}


@pytest.fixture(scope="module")
def descriptor():
    return tm.ElementSymmetryFunctions(
        {e: [Function("g2", ("O",), 4.0, 0.1 * k) for k in range(n)] for e, n in WIDTHS.items()}
    )


@pytest.fixture
def networks(descriptor):
    torch.manual_seed(0)
    made = tm.nn.ElementNetworks(
        descriptor,
        hidden={"H": (4,), "O": (5, 3), "C": ()},
        activation={"H": "softplus", "O": ["tanh", "gaussian"], "C": "tanh"},
        output_activation={"H": "linear", "O": "cos", "C": "linear"},
        reference_energies={"H": -1.0, "O": -2.0, "C": 3.0},
        energy_factor=2.5,
        normalize_nodes=True,
    )
    scales = np.random.default_rng(0).uniform(0.5, 2, (2, 5))
    made.set_scaling(*({e: row[:n] for e, n in WIDTHS.items()} for row in scales))
    return made


def some_input(n, seed=0, n_elements=3):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, 5))), torch.from_numpy(
        rng.integers(0, n_elements, n)
    )


def expected(networks, values, codes):
    """Energies, one atom after the other."""
    names = {"H": ["softplus", "linear"], "O": ["tanh", "gaussian", "cos"], "C": ["linear"]}
    energies = []
    for row, code in zip(values.numpy(), codes.tolist(), strict=True):
        element, network = networks.species[code], networks.networks[code]
        x = (row[: WIDTHS[element]] - network.shift.numpy()) * network.factor.numpy()
        for layer, name in zip(network.layers, names[element], strict=True):
            w, b = (p.detach().numpy() for p in (layer.linear.weight, layer.linear.bias))
            x = FORMULAS[name]((w @ x + b) / len(x))
        energies.append(2.5 * x[0] + {"H": -1.0, "O": -2.0, "C": 3.0}[element])
    return energies


def scripted(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of torch itself
        return torch.jit.script(module)


def test_energies(networks):
    values, codes = some_input(30)
    np.testing.assert_allclose(
        networks(values, codes).detach(), expected(networks, values, codes), rtol=1e-12
    )


def test_values_beyond_an_elements_width_are_ignored(networks):
    values, codes = some_input(30)
    changed = values.clone()
    for k, element in enumerate(networks.species):
        changed[codes == k, WIDTHS[element] :] = 1e9
    assert torch.equal(networks(changed, codes), networks(values, codes))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name):
    x = torch.linspace(-30, 30, 61, dtype=torch.float64)
    np.testing.assert_allclose(ACTIVATIONS[name]()(x), FORMULAS[name](x.numpy()), atol=1e-14)


def exported(module):
    auto = torch.export.Dim.AUTO
    example = some_input(7, n_elements=module.n_elements)
    return torch.export.export(module, example, dynamic_shapes=({0: auto}, {0: auto})).module()


@pytest.mark.parametrize("make", [scripted, pytest.param(exported, marks=pytest.mark.slow)])
def test_scripted_and_exported(networks, make):
    """Also without atoms, with one, and with elements that are missing."""
    other = make(networks)
    for n, n_elements in ((0, 3), (1, 3), (5, 1), (20, 2), (50, 3)):
        values, codes = some_input(n, 1, n_elements)
        values.requires_grad_(True)
        results = []
        for module in (networks, other):
            energies = module(values, codes)
            assert energies.shape == (n,)
            results += [energies.detach(), *torch.autograd.grad(energies.sum(), values)]
        torch.testing.assert_close(results[:2], results[2:], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("suffix", [".pt", pytest.param(".pt2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_stored_as_a_portable_model(descriptor, tmp_path, suffix, dtype):
    """Energies and forces; of structures in which an element is missing, too."""
    networks = tm.nn.ElementNetworks(descriptor, (4,), dtype=dtype)
    module = networks
    if suffix == ".pt2":
        auto, (values, codes) = torch.export.Dim.AUTO, some_input(7)
        example = (values.to(getattr(torch, dtype)), codes)
        module = torch.export.export(networks, example, dynamic_shapes=({0: auto}, {0: auto}))
    model = tm.PortableModel.create(
        tmp_path, model=module, species=networks.species, descriptor=descriptor
    )
    assert model.parameters.model_file == f"model{suffix}"
    for symbols in ("OHHC", "OO", "C"):
        atoms = Atoms(symbols, np.random.default_rng(0).uniform(0, 3, (len(symbols), 3)))
        c = tm.Configuration.from_atoms(atoms, descriptor.cutoff, descriptor.species)
        values = torch.from_numpy(descriptor.compute(c)).to(getattr(torch, dtype))
        values.requires_grad_(True)
        codes = torch.from_numpy(c.codes(networks.species).astype(np.int64)[c.centers])
        energies = networks(values, codes)
        (gradient,) = torch.autograd.grad(energies.sum(), values)
        p, tolerance = model.evaluate(c), 1e-12 if dtype == "float64" else 1e-5
        np.testing.assert_allclose(p.particle_energies, energies.detach(), atol=tolerance)
        forces = -descriptor.vjp(c, gradient.double().numpy())
        np.testing.assert_allclose(p.forces, forces, atol=10 * tolerance)


@pytest.mark.parametrize("make", [lambda module: module, scripted, exported])
def test_one_element(make):
    """Not sorted, but its codes are checked."""
    d = tm.SymmetryFunctions(["Si"], 4.0, [("g2", [[0.1 * k, 0.0] for k in range(5)])])
    networks = tm.nn.ElementNetworks(d, hidden=(3,))
    module = make(networks)
    for n in (0, 1, 4):
        values = torch.rand(n, 5, dtype=torch.float64)
        energies = module(values, torch.zeros(n, dtype=torch.int64))
        torch.testing.assert_close(energies, networks.networks[0](values))
    for wrong in (1, -1):
        with pytest.raises(Exception, match="out of (bounds|range)"):
            module(values, torch.tensor([0, 0, wrong, 0]))


def test_derivatives(networks):
    """Also second ones, with respect to the parameters, as training on forces needs them."""
    values, codes = some_input(6)
    values.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda v: networks(v, codes), (values,))
    names, parameters = zip(*networks.named_parameters(), strict=True)

    def loss(*parameters):
        named = dict(zip(names, parameters, strict=True))
        energies = torch.func.functional_call(networks, named, (values, codes))
        (gradient,) = torch.autograd.grad(energies.sum(), values, create_graph=True)
        return (gradient**2).sum()

    assert torch.autograd.gradcheck(loss, parameters)


def test_float32(descriptor):
    networks = tm.nn.ElementNetworks(descriptor, dtype="float32")
    values, codes = some_input(9)
    assert networks(values.float(), codes).dtype == torch.float32
    assert {p.dtype for p in networks.parameters()} == {torch.float32}
    assert {b.dtype for b in networks.buffers()} == {torch.float32}


def test_wrong_codes_and_widths_are_errors(networks):
    values, codes = some_input(9)
    for module in (networks, scripted(networks)):
        for wrong in ((values, codes + 1), (values, codes - 1), (values[:, :4], codes)):
            with pytest.raises((RuntimeError, ValueError, torch.jit.Error)):
                module(*wrong)


@pytest.mark.parametrize(
    ("scaling", "formula"),
    [
        ("none", lambda x: x),
        ("center", lambda x: x - x.mean(axis=0)),
        ("range", lambda x: (x - x.min(axis=0)) / (x.max(axis=0) - x.min(axis=0))),
        ("centered_range", lambda x: (x - x.mean(axis=0)) / (x.max(axis=0) - x.min(axis=0))),
        ("sigma", lambda x: (x - x.mean(axis=0)) / x.std(axis=0)),
    ],
)
def test_scaling_from_data(descriptor, scaling, formula):
    networks = tm.nn.ElementNetworks(descriptor)
    values, codes = some_input(40)
    networks.fit_scaling(values, codes, scaling)
    for k, (network, n) in enumerate(zip(networks.networks, WIDTHS.values(), strict=True)):
        own = values.numpy()[codes == k][:, :n]
        scaled = (own - network.shift.numpy()) * network.factor.numpy()
        np.testing.assert_allclose(scaled, formula(own), atol=1e-14)


def test_principal_axes(descriptor, networks):
    """What the layers get has no correlations, with variances v / (v + 1e-4)."""
    values, codes = some_input(200)
    values[:, 1] = values[:, 0] + 0.01 * values[:, 1]  # nearly the same
    networks.fit_scaling(values, codes, "principal_axes")
    energies = networks(values, codes)
    for k, (network, n) in enumerate(zip(networks.networks, WIDTHS.values(), strict=True)):
        own = values.numpy()[codes == k][:, :n]
        scaled = (own - own.mean(axis=0)) / own.std(axis=0)
        v = np.linalg.eigvalsh(np.atleast_2d(scaled.T @ scaled / len(own)))
        seen = scaled @ network.axes.numpy()
        expected = np.diag(v / (v + 1e-4))
        np.testing.assert_allclose(seen.T @ seen / len(own), expected, atol=1e-12)
        inner = torch.from_numpy(seen)
        for layer in network.layers:
            inner = layer(inner)
        expected = inner.squeeze(1) * network.energy_factor + network.reference
        torch.testing.assert_close(energies[codes == k], expected, rtol=1e-10, atol=1e-12)
    with warnings.catch_warnings():  # torch says that scripts are deprecated
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(networks)
    for again in (scripted, pickle.loads(pickle.dumps(networks))):
        torch.testing.assert_close(again(values, codes), energies)
    stored = copy.deepcopy(networks.state_dict())
    networks.fit_scaling(values, codes, "none")
    networks.load_state_dict(stored)
    torch.testing.assert_close(networks(values, codes), energies, rtol=0, atol=0)
    networks.fit_scaling(values, codes, "sigma")  # does not leave the axes
    assert all(network.axes is None for network in networks.networks)


@pytest.mark.parametrize("scaling", ["range", "centered_range", "sigma"])
def test_constant_components_become_zero(descriptor, scaling):
    networks = tm.nn.ElementNetworks(descriptor)
    values, codes = some_input(40)
    values[:, 1] = 0.1
    networks.fit_scaling(values, codes, scaling)
    for network in networks.networks:
        assert network.shift[1] == 0.1
        assert network.factor[1] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 30}, "hidden = 30"),
        ({"hidden": (30, 0)}, "hidden = 0"),
        ({"hidden": {"H": (3,)}}, "hidden = .*a value for each of H, O, C"),
        ({"activation": "gelu"}, "activation = 'gelu'"),
        ({"activation": ["tanh"]}, "activation = .*one for each of 2 hidden layers"),
        ({"output_activation": None}, "activation = None"),
        ({"reference_energies": {"H": 1.0, "O": 2.0}}, "reference_energies = "),
        ({"reference_energies": {"H": 1.0, "O": 2.0, "C": "x"}}, "reference_energies = 'x'"),
        ({"energy_factor": np.nan}, "energy_factor = nan"),
        ({"normalize_nodes": "yes"}, "normalize_nodes = 'yes'"),
        ({"dtype": "int64"}, "dtype = 'int64'"),
    ],
)
def test_wrong_arguments(descriptor, arguments, message):
    with pytest.raises(tm.InputError, match=message):
        tm.nn.ElementNetworks(descriptor, **arguments)


def test_wrong_scaling(networks):
    values, codes = some_input(9)
    with pytest.raises(tm.InputError, match="scaling = 'minmax'"):
        networks.fit_scaling(values, codes, "minmax")
    with pytest.raises(tm.InputError, match="at least one atom of C"):
        networks.fit_scaling(values, codes % 2)
    with pytest.raises(tm.InputError, match="shift = .*also for H"):
        networks.set_scaling({}, {})
    with pytest.raises(tm.InputError, match=r"shift\['H'\] has shape"):
        networks.set_scaling({"H": [1.0]}, {"H": [1.0]})
