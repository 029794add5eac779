"""DescriptorModel: equal to the portable model, and gradients of losses against differences."""

import warnings

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import torchml_core as tm
from torchml_core.dataset import Dataset

CUTOFF = 3.2
SPECIES = ("C", "Si")


def descriptor(species=SPECIES):
    functions = [("g2", [[0.3, 0.0], [0.8, 1.9]]), ("g4", [[1, 1, 0.05], [2, -1, 0.1]])]
    return tm.SymmetryFunctions(list(species), CUTOFF, functions, species_mode="weighted")


def structures():
    """Cells with one, two and eight atoms, one of them far from the origin; and a molecule."""
    random = np.random.default_rng(2)
    made = [Atoms("SiC2", [[0, 0, 0], [1.6, 0, 0.2], [0.3, 1.7, 0]]), bulk("Si", "fcc", a=3.0)]
    for k in range(2):
        atoms = bulk("SiC", "zincblende", a=4.3 + 0.1 * k, cubic=True)
        atoms.rattle(0.15, seed=k)
        atoms.set_cell(atoms.cell + 0.1 * random.normal(size=(3, 3)), scale_atoms=True)
        atoms.positions += 30.0 * k
        made.append(atoms)
    for atoms in made:
        labels = {"energy": random.normal(), "forces": random.normal(size=(len(atoms), 3))}
        if atoms.cell.rank == 3:
            labels["stress"] = 0.1 * random.normal(size=6)
        atoms.calc = SinglePointCalculator(atoms, **labels)
    return made


def networks(dtype=torch.float64):
    torch.manual_seed(3)
    return tm.nn.ElementNetworks(descriptor(), hidden=(5, 4), dtype=dtype)


def polynomials():
    torch.manual_seed(4)
    made = tm.nn.ElementPolynomials(descriptor(), 2)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    return made


class AnyNetwork(torch.nn.Module):
    """``forward(descriptor)``, whose energies are a column."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, 6, dtype=torch.float64),
            torch.nn.Tanh(),
            torch.nn.Linear(6, 1, dtype=torch.float64),
        )

    def forward(self, descriptor):
        return self.layers(descriptor)


class Column(torch.nn.Module):
    """As AnyNetwork, with energies (n,), as portable models return them."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, descriptor):
        return self.network(descriptor).squeeze(1)


def one_batch(d, **arguments):
    return next(iter(Dataset.from_atoms(structures()).batches(d, 9, **arguments)))


def loss_of(out, batch):
    """On all labels; masks are those of the batch."""
    energies = ((out.energy - batch.energy) / batch.n_atoms)[batch.has_energy]
    forces = out.forces - batch.forces
    stress = (out.stress - batch.stress) * batch.has_stress[:, None]
    return energies.pow(2).sum() + forces.pow(2).sum() + 10 * stress.pow(2).sum()


@pytest.mark.parametrize("make", [networks, polynomials, AnyNetwork])
def test_results_are_those_of_the_portable_model(make, tmp_path):
    d, network, references = descriptor(), make(), {"C": -150.0, "Si": -7890.5}
    batch = one_batch(d)
    model = tm.nn.DescriptorModel(d, network, reference_energies=references)
    out = model(batch)
    with warnings.catch_warnings():  # AnyNetwork does not tell elements apart
        warnings.simplefilter("ignore")
        saved = tm.PortableModel.create(
            tmp_path / "model",
            model=Column(network) if isinstance(network, AnyNetwork) else network,
            species=SPECIES,
            descriptor=d,
        )
    for k, atoms in enumerate(structures()):
        expected = saved.evaluate(atoms).fold()
        energy = expected.energy + sum(references[s] for s in atoms.symbols)
        assert out.energy[k].item() == pytest.approx(energy, rel=1e-13)
        own = batch.structure == k
        np.testing.assert_allclose(out.forces[own].detach(), expected.forces, atol=1e-11)
        stress = expected.stress if atoms.cell.rank == 3 else np.zeros(6)
        np.testing.assert_allclose(out.stress[k].detach(), stress, atol=1e-11)


@pytest.mark.parametrize("make", [networks, polynomials, AnyNetwork])
@pytest.mark.parametrize("name", ["energy", "forces", "stress", "all"])
def test_gradient_of_a_loss_against_differences(make, name):
    d, network = descriptor(), make()
    batch = one_batch(d)
    model = tm.nn.DescriptorModel(d, network)
    tensors = list(network.parameters())

    def loss():
        out = model(batch)
        return loss_of(out, batch) if name == "all" else getattr(out, name).pow(2).sum()

    loss().backward()
    random = np.random.default_rng(0)
    for _ in range(3):  # along random directions of all parameters
        directions = [torch.from_numpy(random.normal(size=tuple(p.shape))) for p in tensors]
        # what a loss does not depend on, such as the last bias in forces, has no gradient
        slopes = [
            (p.grad * u).sum()
            for p, u in zip(tensors, directions, strict=True)
            if p.grad is not None
        ]
        values = []
        for step in (1e-5, -1e-5, 2e-5, -2e-5):
            with torch.no_grad():
                for p, u in zip(tensors, directions, strict=True):
                    p += step * u
                values.append(loss().item())
                for p, u in zip(tensors, directions, strict=True):
                    p -= step * u
        difference = (8 * (values[0] - values[1]) - (values[2] - values[3])) / 12e-5
        size = sum(slope.abs() for slope in slopes).item()  # one slope may cancel another
        assert abs(sum(slopes).item() - difference) < 1e-7 * size


def test_backward_as_often_as_one_likes():
    """Gradients add up, a graph may be kept, weight decay works, and gradients have gradients."""
    d, network = descriptor(), networks()
    batch, model = one_batch(d), tm.nn.DescriptorModel(d, network)
    parameters = list(network.parameters())
    loss = loss_of(model(batch), batch)
    loss.backward(retain_graph=True)
    once = [p.grad.clone() for p in parameters]
    loss.backward()
    loss_of(model(batch), batch).backward()
    for p, first in zip(parameters, once, strict=True):
        torch.testing.assert_close(p.grad, 3 * first)
    optimizer = torch.optim.SGD(parameters, lr=1e-3, weight_decay=0.5)
    before = [p.detach().clone() for p in parameters]
    optimizer.step()
    for p, was, first in zip(parameters, before, once, strict=True):
        torch.testing.assert_close(p.detach(), was - 1e-3 * (3 * first + 0.5 * was))
    # the third derivative of the network: the Hessian of the loss times a vector, by differences
    random = np.random.default_rng(0)
    directions = [torch.from_numpy(random.normal(size=tuple(p.shape))) for p in parameters]

    def gradients(create_graph):
        return torch.autograd.grad(
            loss_of(model(batch), batch), parameters, create_graph=create_graph
        )

    slope = sum((g * u).sum() for g, u in zip(gradients(True), directions, strict=True))
    found = torch.autograd.grad(slope, parameters)
    step, sides = 1e-5, []
    for sign in (1, -1):
        with torch.no_grad():
            for p, u in zip(parameters, directions, strict=True):
                p += sign * step * u
        sides.append(gradients(False))
        with torch.no_grad():
            for p, u in zip(parameters, directions, strict=True):
                p -= sign * step * u
    size = max(h.abs().max().item() for h in found)
    for h, plus, minus in zip(found, *sides, strict=True):
        torch.testing.assert_close(h, (plus - minus) / (2 * step), rtol=0, atol=1e-6 * size)


def test_one_call_of_each_verb(monkeypatch):
    d, calls = descriptor(), []
    for verb in ("compute", "vjp", "jvp", "pair_gradients", "jacobian"):
        own = getattr(tm.SymmetryFunctions, verb)

        def counted(*arguments, own=own, verb=verb, **more):
            calls.append(verb)
            return own(*arguments, **more)

        monkeypatch.setattr(tm.SymmetryFunctions, verb, counted)
    batch = one_batch(d)
    assert calls == ["compute"]
    model = tm.nn.DescriptorModel(d, networks())
    loss_of(model(batch), batch).backward()
    assert calls == ["compute", "vjp", "jvp"]
    assert model(batch, forces=False, stress=False).energy.requires_grad
    assert calls == ["compute", "vjp", "jvp"]


def test_without_a_graph_and_parts():
    d = descriptor()
    model, batch = tm.nn.DescriptorModel(d, networks()), one_batch(d)
    whole = model(batch)
    with torch.no_grad():
        out = model(batch, stress=False)
    assert out.stress is None
    assert not out.energy.requires_grad
    assert not out.forces.requires_grad
    torch.testing.assert_close(out.energy, whole.energy.detach())
    torch.testing.assert_close(out.forces, whole.forces.detach())
    assert model(batch, forces=False).forces is None
    assert batch.descriptor.grad is None
    assert not batch.descriptor.requires_grad


def test_large_total_energies_keep_their_digits():
    """Of a million eV, in float32 too; the linear part of a warm start is in float64."""
    d, references = descriptor(), {"C": -1e6, "Si": -1e6 / 3}
    linear = polynomials()
    with torch.no_grad():
        linear.constant += torch.tensor([-1e6, -1e6 / 3], dtype=torch.float64)
    for plain, network, dtype, known in (
        (networks(), networks().float(), "float32", references),
        (polynomials(), tm.nn.WithLinear(linear, networks().float()), "float64", None),
    ):
        expected = tm.nn.DescriptorModel(d, plain)(one_batch(d)).energy
        batch = one_batch(d, dtype=dtype)
        found = tm.nn.DescriptorModel(d, network, reference_energies=known)(batch).energy
        totals = [sum(references[s] for s in atoms.symbols) for atoms in structures()]
        rest = found - torch.tensor(totals, dtype=torch.float64)
        torch.testing.assert_close(rest, expected, atol=2e-6, rtol=0)


def test_float32_with_large_reference_energies():
    """Reference energies do not take digits from what the network computes in float32."""
    d, references = descriptor(), {"C": -1e5, "Si": -3e5}
    model = tm.nn.DescriptorModel(d, networks(), reference_energies=references)
    expected = model(one_batch(d))
    batch = one_batch(d, dtype="float32")
    model = tm.nn.DescriptorModel(d, networks().float(), reference_energies=references)
    out = model(batch)
    assert (out.energy.dtype, out.forces.dtype) == (torch.float64, torch.float32)
    torch.testing.assert_close(out.energy, expected.energy, atol=2e-6, rtol=0)
    torch.testing.assert_close(out.forces.double(), expected.forces, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(out.stress, expected.stress, atol=2e-7, rtol=1e-5)
    loss_of(out, batch).backward()
    assert {p.grad.dtype for p in model.parameters()} == {torch.float32}
    with pytest.raises(tm.InputError, match=r"torch.float64; torch.float32, the type of the netw"):
        model(one_batch(d))
    mixed = tm.nn.DescriptorModel(d, tm.nn.WithLinear(polynomials(), networks(torch.float32)))
    with pytest.raises(tm.InputError, match=r"torch.float32; torch.float64, the type of the netw"):
        mixed(batch)
    torch.testing.assert_close(
        mixed(one_batch(d)).forces, tm.nn.DescriptorModel(d, polynomials())(one_batch(d)).forces
    )


def test_descriptors_that_do_not_know_species():
    d = tm.Xi(2, CUTOFF)
    data = Dataset.from_atoms(structures())
    (batch,) = data.batches(d, 9)
    network = tm.nn.ElementPolynomials(d, species=SPECIES)
    assert tm.nn.DescriptorModel(d, network)(batch).energy.shape == (4,)


def test_what_is_refused():
    d, batch = descriptor(), one_batch(descriptor())
    other = descriptor(("Si", "C"))
    for arguments, message in (
        ({"descriptor": "d"}, "descriptor = 'd': a Descriptor is needed"),
        ({"network": "n"}, "network = 'n': a torch.nn.Module is needed"),
        ({"descriptor": other}, r"network: its species are \['C', 'Si'\]; \['Si', 'C'\]"),
        ({"network": torch.nn.Bilinear(2, 2, 2)}, None),
        ({"network": torch.nn.MultiheadAttention(2, 1)}, "its forward takes .query, key"),
        ({"reference_energies": {"C": 1}}, "an energy of Si is needed"),
        ({"reference_energies": 3}, "an energy of C is needed"),
    ):
        given = {"descriptor": d, "network": networks(), **arguments}
        if message is None:
            tm.nn.DescriptorModel(**given)  # two inputs, whatever they are called
            continue
        with pytest.raises(tm.InputError, match=message):
            tm.nn.DescriptorModel(**given)
    model = tm.nn.DescriptorModel(d, networks())
    with pytest.raises(tm.InputError, match="a batch of Dataset.batches is needed"):
        model(3)
    with pytest.raises(tm.InputError, match="its values are those of SymmetryFunctions"):
        model(one_batch(other))
    with pytest.raises(tm.InputError, match="an energy for each of the 20 atoms is needed"):
        tm.nn.DescriptorModel(d, torch.nn.Linear(4, 2, dtype=torch.float64))(batch)
