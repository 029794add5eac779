"""Networks of ours run in a kernel of ours: the same results as in torch, whatever the batch."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import torchml_core as tm
from torchml_core.nn.activations import ACTIVATIONS
from torchml_core.nn.portable_form import OfOneElement, WithReferences
from torchml_core.portable import plain_network as plain_networks
from torchml_core.portable.executors import load_executor, saved_model

WIDTH = 11
SPECIES = ("Si", "C")


def stand_in(species=SPECIES):
    widths = dict(zip(SPECIES, (WIDTH, WIDTH - 3), strict=True))
    return SimpleNamespace(species=species, width=WIDTH, n_values=widths.get)


def networks(activation="tanh", *, scaling="sigma", species=SPECIES, **settings):
    torch.manual_seed(1)
    hidden = {"Si": (7, 5), "C": (9,)}
    hidden = {element: hidden[element] for element in species}
    made = tm.nn.ElementNetworks(stand_in(species), hidden, activation, **settings)
    values, codes = inputs(len(species))
    made.fit_scaling(values, codes, scaling)
    return made


def inputs(n_elements=2, n=37):
    rng = np.random.default_rng(0)
    return 2 * rng.normal(size=(n, WIDTH)), rng.integers(0, n_elements, n)


def plain_network(module):
    """The PlainNetwork that a module is, once it is stored and read; or None."""
    content = saved_model(module.eval())[1]
    return load_executor("model.pt", torch.device("cpu"), content=content).plain


def in_torch(module, values, codes, dtype=torch.float64):
    values = torch.tensor(values, dtype=dtype, requires_grad=True)
    arguments = () if codes is None else (torch.from_numpy(codes),)
    energies = module(values, *arguments)
    (gradient,) = torch.autograd.grad(energies.sum(), values)
    return energies.detach().numpy(), gradient.numpy()


def assert_close(found, expected, tolerance):
    for own, other in zip(found, expected, strict=True):
        assert np.abs(own - other).max() <= tolerance * np.abs(other).max()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-14), ("float32", 2e-6)])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_are_those_of_torch(activation, dtype, tolerance):
    made = networks(activation, dtype=dtype, reference_energies={"Si": -3, "C": 2})
    values, codes = inputs()
    found = plain_network(made).evaluate(values, codes, gradient=True)
    assert_close(found, in_torch(made, values, codes, getattr(torch, dtype)), tolerance)


@pytest.mark.parametrize("activation", ["tanh", "logistic", "softplus", "reverse_logistic"])
def test_activations_of_tiny_and_huge_arguments(activation):
    """Also far from 1 in relative terms: no digits may cancel."""
    one = SimpleNamespace(species=("Si",), width=1, n_values=lambda _: 1)
    made = tm.nn.ElementNetworks(one, (1,), activation)
    made.set_weights({"Si": [([[1.0]], [0.0]), ([[1.0]], [0.0])]})
    x = np.concatenate([-np.logspace(-12, 2.5, 40), [0.0], np.logspace(-12, 2.5, 40)])[:, None]
    found = plain_network(made).evaluate(x, None, gradient=True)
    expected = in_torch(made, x, np.zeros(len(x), dtype=np.int64))
    np.testing.assert_allclose(found[0], expected[0], rtol=5e-15, atol=1e-300)
    if activation == "softplus":  # slopes of the others, as y (1 - y), lose digits in torch
        np.testing.assert_allclose(found[1], expected[1], rtol=1e-14, atol=1e-300)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=3e-16)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_depend_neither_on_the_batch_nor_on_threads(dtype):
    plain = plain_network(networks(dtype=dtype))
    values, codes = inputs(n=150)
    energies, gradient = plain.evaluate(values, codes, gradient=True, n_threads=1)
    assert (plain.evaluate(values, codes, gradient=False)[0] == energies).all()
    in_two = plain.evaluate(values, codes, gradient=True, n_threads=2)
    assert (in_two[0] == energies).all()
    assert (in_two[1] == gradient).all()
    for n in (1, 2, 31, 33):
        some = slice(3, 3 + n)
        found = plain.evaluate(values[some].copy(), codes[some], gradient=True)
        assert (found[0] == energies[some]).all()
        assert (found[1] == gradient[some]).all()


def forms():
    with_axes = networks(scaling="principal_axes", normalize_nodes=True, energy_factor=2.5)
    linear = tm.nn.ElementPolynomials(stand_in())
    both = tm.nn.WithLinear(linear, networks(dtype="float32"))
    with torch.no_grad():
        both.linear.linear.normal_()
        both.linear.constant.normal_()
        both.strength.fill_(0.3)
    one = networks(species=("Si",))
    return {
        "axes": (with_axes, 1e-14),
        "no hidden layer": (tm.nn.ElementNetworks(stand_in(), ()), 1e-14),
        "linear": (both.linear, 1e-14),
        "network on a linear model": (both, 1e-6),
        "references": (WithReferences(both, [1.0, 2.0], True), 1e-6),
        "one element": (OfOneElement(WithReferences(one, [-4.0], True)), 1e-14),
    }


@pytest.mark.parametrize("form", forms())
def test_forms_in_which_networks_are_stored(form):
    module, tolerance = forms()[form]
    values, codes = inputs()
    codes = None if form == "one element" else codes
    plain = plain_network(module)
    assert_close(
        plain.evaluate(values, codes, gradient=True), in_torch(module, values, codes), tolerance
    )


class ElementNetworks(tm.nn.ElementNetworks):
    """The same name and parts, but something else."""

    def forward(self, descriptor: torch.Tensor, species: torch.Tensor) -> torch.Tensor:
        return 2 * self.networks[0](descriptor)


@pytest.mark.slow
def test_other_modules_run_in_torch():
    assert plain_network(ElementNetworks(stand_in(), (4,))) is None
    assert plain_network(tm.nn.ElementPolynomials(stand_in(), 2)) is None
    assert plain_network(torch.nn.Sequential(torch.nn.Linear(WIDTH, 1))) is None
    huge = networks()
    huge.networks[0].layers[0].linear.weight.data.fill_(1e200)
    assert plain_network(huge) is None
    for part, value in (("factor", torch.ones(1)), ("width", 10**9), ("padded", True)):
        unfit = networks()  # as a damaged file might have it
        setattr(unfit.networks[0], part, value)
        assert plain_network(unfit) is None
    unfit = WithReferences(networks(), [1.0], True)
    assert plain_network(unfit) is None
    changed = networks()
    changed.networks[1].layers[0].activation = torch.nn.Softplus(beta=3.0)
    assert plain_network(changed) is None
    assert plain_network(networks()) is not None


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A model of SiC, evaluated by the kernel or by torch."""
    d = tm.SymmetryFunctions(SPECIES, 4.0, [("g2", [[0.1, 0.0], [0.5, 1.0]])])

    def make(name, *, dtype="float64", in_kernel=True):
        torch.manual_seed(0)
        network = tm.nn.ElementNetworks(d, (6,), dtype=dtype)
        if not in_kernel:
            monkeypatch.setattr(
                "torchml_core.portable.executors.plain_network", lambda module: None
            )
        return tm.PortableModel.create(
            tmp_path / name, model=network, species=SPECIES, descriptor=d
        )

    return make


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-5)])
def test_a_model_gives_the_same_in_both(make, dtype, tolerance):
    from ase.build import bulk

    atoms = bulk("SiC", "zincblende", a=4.36, cubic=True)
    atoms.rattle(0.1, seed=0)
    ours = make("ours", dtype=dtype)
    assert ours._is_plain
    assert str(ours.dtype) == f"torch.{dtype}"
    copied = copy.deepcopy(ours)
    theirs = make("theirs", dtype=dtype, in_kernel=False)
    assert not theirs._is_plain
    a, b = ours.evaluate(atoms).fold(), theirs.evaluate(atoms).fold()
    for name in ("particle_energies", "forces", "virial"):
        assert_close([getattr(a, name)], [getattr(b, name)], tolerance)
    assert (copied.evaluate(atoms).fold().forces == a.forces).all()


def test_graphs_that_are_known_are_not_compiled_again(monkeypatch):
    assert plain_network(networks()) is not None
    monkeypatch.setattr(plain_networks, "_stored_and_loaded", None)
    assert plain_network(networks()) is not None
