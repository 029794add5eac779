"""Descriptors as torch functions: derivatives once and once more, and an honest no beyond."""

import numpy as np
import pytest
import torch
from small_models import shuffled
from structures import rattled_silicon

import torchml_core as tm

CUTOFF = 3.2
# for central differences with steps of 1e-5 of functions of size 1
DIFFERENCES = {"eps": 1e-5, "atol": 1e-8, "rtol": 1e-7}


FUNCTIONS = [
    ("g2", [[0.5, 0.0], [2.0, 2.4]]),
    ("g4", [[1.0, 1.0, 0.05]]),
    ("g5", [[2.0, -1.0, 0.1]]),
]


@pytest.fixture(
    params=[
        lambda: tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS),
        lambda: tm.SOAP(["Si"], CUTOFF, 2, 1, normalization="libdescriptor"),
        lambda: tm.SOAP(["Si"], CUTOFF, 2, 2, unit_norm=True),
        lambda: tm.SphericalExpansion(["Si"], CUTOFF, 2, 1, radial_basis="polynomial"),
    ],
    ids=["symmetry functions", "SOAP", "SOAP of unit norm", "spherical expansion"],
)
def descriptor(request):
    return request.param()


@pytest.fixture
def cluster():
    """Five atoms, one of them without neighbors."""
    positions = [[0, 0, 0], [2.3, 0.1, 0], [0.2, 2.2, 0.3], [1.1, 1.3, 2.0], [9, 9, 9]]
    return tm.Configuration.from_atoms(
        positions=np.array(positions, dtype=float), symbols=["Si"] * 5, cutoff=CUTOFF
    )


@pytest.fixture
def crystal():
    """Ghosts and contributing particles mixed, rows in another order."""
    return shuffled(tm.Configuration.from_atoms(rattled_silicon(1), CUTOFF))[0]


def positions_of(c, dtype=torch.float64):
    return torch.tensor(c.positions, dtype=dtype, requires_grad=True)


def weights_of(descriptor, c, seed=0):
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((c.n_centers, descriptor.width))
    return torch.tensor(values, requires_grad=True)


def small_network(width):
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(width, 3, dtype=torch.float64),
        torch.nn.Tanh(),
        torch.nn.Linear(3, 1, dtype=torch.float64),
    )


def force_loss(descriptor, c, network, x):
    """A loss of energy and forces."""
    energy = network(tm.autograd.compute(descriptor, c, x)).sum()
    (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
    return (energy - 1.0) ** 2 + ((gradient - 0.1) ** 2).sum()


def test_values_and_gradient_are_the_descriptors(descriptor, crystal):
    x, g = positions_of(crystal), weights_of(descriptor, crystal)
    values = tm.autograd.compute(descriptor, crystal, x)
    assert np.array_equal(values.detach().numpy(), descriptor.compute(crystal))
    (gradient,) = torch.autograd.grad(values, x, g)
    assert np.array_equal(gradient.numpy(), descriptor.vjp(crystal, g.detach().numpy()))


def test_positions_are_those_of_the_tensor(descriptor, cluster):
    before = cluster.positions.copy()
    moved = cluster.with_positions(before + 0.1 * np.sin(np.arange(15.0)).reshape(5, 3))
    values = tm.autograd.compute(descriptor, cluster, positions_of(moved))
    assert np.array_equal(values.detach().numpy(), descriptor.compute(moved))
    assert np.array_equal(cluster.positions, before)


@pytest.mark.parametrize("name", ["cluster", "crystal"])
def test_gradient_by_finite_differences(descriptor, name, request):
    c = request.getfixturevalue(name)
    assert torch.autograd.gradcheck(
        lambda x: tm.autograd.compute(descriptor, c, x), positions_of(c), **DIFFERENCES
    )


def test_gradient_is_differentiable_in_dE_dD_twice(descriptor, cluster):
    x = positions_of(cluster)

    def gradient(g):
        values = tm.autograd.compute(descriptor, cluster, x)
        return torch.autograd.grad(values, x, g, create_graph=True)[0]

    g = weights_of(descriptor, cluster)
    assert torch.autograd.gradcheck(gradient, g, **DIFFERENCES)
    assert torch.autograd.gradgradcheck(lambda g: gradient(g) ** 2, g, **DIFFERENCES)


@pytest.mark.parametrize("name", ["cluster", "crystal"])
def test_training_gradient_by_finite_differences(descriptor, name, request):
    c = request.getfixturevalue(name)
    network, x = small_network(descriptor.width), positions_of(c)
    parameters = list(network.parameters())
    gradients = torch.autograd.grad(force_loss(descriptor, c, network, x), parameters)
    step, checked = 1e-4, 0
    for parameter, gradient in zip(parameters, gradients, strict=True):
        flat, expected = parameter.detach().view(-1), np.empty(parameter.numel())
        for k in range(len(flat)):
            losses = {}
            for shift in (-2, -1, 1, 2):
                flat[k] += shift * step
                losses[shift] = float(force_loss(descriptor, c, network, x).detach())
                flat[k] -= shift * step
            expected[k] = (8 * (losses[1] - losses[-1]) - (losses[2] - losses[-2])) / (12 * step)
        scale = max(1.0, np.abs(expected).max())
        assert np.abs(gradient.numpy().ravel() - expected).max() <= 1e-7 * scale
        checked += len(flat)
    assert checked == sum(p.numel() for p in parameters)


def test_backward_with_inputs_is_the_same_as_grad(descriptor, crystal):
    network, x = small_network(descriptor.width), positions_of(crystal)
    parameters = list(network.parameters())
    expected = torch.autograd.grad(force_loss(descriptor, crystal, network, x), parameters)
    force_loss(descriptor, crystal, network, x).backward(inputs=parameters)
    assert all(torch.equal(p.grad, e) for p, e in zip(parameters, expected, strict=True))
    assert x.grad is None


def test_second_derivatives_by_positions_are_refused(descriptor, crystal):
    network, x = small_network(descriptor.width), positions_of(crystal)
    with pytest.raises(tm.UnsupportedError, match=r"backward\(inputs=list\(model.parameters"):
        force_loss(descriptor, crystal, network, x).backward()
    with pytest.raises(tm.UnsupportedError, match="second derivatives"):
        torch.autograd.grad(force_loss(descriptor, crystal, network, x), x)
    energy = tm.autograd.compute(descriptor, crystal, x).sum()
    (gradient,) = torch.autograd.grad(energy, x, create_graph=True)
    with pytest.raises(tm.UnsupportedError, match="second derivatives"):  # a Hessian
        torch.autograd.grad(gradient[0, 0], x)


def test_higher_derivatives_by_positions_are_refused(descriptor, cluster):
    """The tangent depends on positions too: no zero for it either."""
    x, g = positions_of(cluster), weights_of(descriptor, cluster)
    (gradient,) = torch.autograd.grad(
        tm.autograd.compute(descriptor, cluster, x), x, g, create_graph=True
    )
    (tangent,) = torch.autograd.grad((gradient**2).sum() / 2, g, create_graph=True)
    with pytest.raises(tm.UnsupportedError, match="second derivatives"):
        torch.autograd.grad(tangent.sum(), x)


def test_plain_backward_of_an_energy_fills_the_gradient_of_positions(descriptor, crystal):
    network, x = small_network(descriptor.width), positions_of(crystal)
    network(tm.autograd.compute(descriptor, crystal, x)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    assert x.grad.abs().max() > 1e-3


def test_stress_from_positions_of_atoms_and_cell(descriptor):
    """Ghosts follow atoms and cell: the gradient by a strain is that of the energy."""
    atoms = rattled_silicon(1)
    c = tm.Configuration.from_atoms(atoms, CUTOFF + 0.1)  # so that small strains keep the lists
    network = small_network(descriptor.width)
    x, cell = torch.tensor(atoms.positions), torch.tensor(atoms.cell.array)

    def energy(strain):
        deformed = torch.eye(3, dtype=torch.float64) + strain
        particles = c.particle_positions(x @ deformed, cell @ deformed)
        return network(tm.autograd.compute(descriptor, c, particles)).sum()

    strain = torch.zeros((3, 3), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(energy, strain, **DIFFERENCES)


def test_float32_positions_give_float32(descriptor, crystal):
    x = positions_of(crystal, torch.float32)
    values = tm.autograd.compute(descriptor, crystal, x)
    (gradient,) = torch.autograd.grad(values.sum(), x, create_graph=True)
    assert values.dtype == gradient.dtype == torch.float32
    # the work is done in float64, at the rounded positions
    exact = positions_of(crystal, torch.float32).detach().double().requires_grad_()
    expected = tm.autograd.compute(descriptor, crystal, exact)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), exact)
    assert torch.equal(values, expected.float())
    assert torch.equal(gradient, expected_gradient.float())


def test_no_gradient_where_none_is_wanted(descriptor, crystal):
    values = tm.autograd.compute(descriptor, crystal, torch.tensor(crystal.positions))
    assert not values.requires_grad


def test_one_atom_has_gradient_zero(descriptor):
    c = tm.Configuration.from_atoms(positions=np.zeros((1, 3)), symbols=["Si"], cutoff=CUTOFF)
    network, x = small_network(descriptor.width), positions_of(c)
    loss = force_loss(descriptor, c, network, x)
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    assert all(torch.isfinite(g).all() for g in gradients)
    (gradient,) = torch.autograd.grad(tm.autograd.compute(descriptor, c, x).sum(), x)
    assert torch.equal(gradient, torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.zeros((5, 3)), "positions is a float64; a torch.Tensor"),
        ([[0.0, 0.0, 0.0]], "positions is a list; a torch.Tensor"),
        (torch.zeros((5, 3), dtype=torch.int64), "positions is a torch.int64"),
        (torch.zeros((4, 3)), r"positions has shape \(4, 3\).*5 particles, \(5, 3\) is needed"),
        (torch.zeros(15), r"positions has shape \(15,\)"),
        (torch.full((5, 3), torch.nan), "nan"),
    ],
)
def test_wrong_positions_are_named(descriptor, cluster, positions, message):
    with pytest.raises(tm.InputError, match=message):
        tm.autograd.compute(descriptor, cluster, positions)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch uses it itself
def test_transforms_of_torch_func():
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)
    c = shuffled(tm.Configuration.from_atoms(rattled_silicon(1), CUTOFF))[0]
    x = torch.tensor(c.positions)
    columns = [descriptor.vjp(c, unit) for unit in np.eye(c.n_centers * 4).reshape(-1, 8, 4)]
    jacobian = torch.tensor(np.array(columns)).reshape(c.n_centers, 4, *x.shape)

    def compute(x):
        return tm.autograd.compute(descriptor, c, x)

    for transform in (torch.func.jacrev, torch.func.jacfwd):
        torch.testing.assert_close(transform(compute)(x), jacobian)
    u = torch.ones_like(x)
    u[:, 1] = torch.arange(len(x))
    values, tangent = torch.func.jvp(compute, (x,), (u,))
    torch.testing.assert_close(tangent, torch.einsum("dkax,ax->dk", jacobian, u))
    some = torch.stack([x, 1.01 * x, x])
    together = torch.func.vmap(compute)(some)
    torch.testing.assert_close(together, torch.stack([compute(member) for member in some]))
    torch.testing.assert_close(together[2], values)
    across = torch.func.vmap(compute, in_dims=1)(some.transpose(0, 1))
    torch.testing.assert_close(across, together)

    # what is linear in u and in g, along a direction of it
    two = 2.0 * u + 1.0
    found = torch.func.jvp(lambda u: torch.func.jvp(compute, (x,), (u,))[1], (u,), (two,))[1]
    torch.testing.assert_close(found, torch.einsum("dkax,ax->dk", jacobian, two))
    _, pull = torch.func.vjp(compute, x)
    found = torch.func.jvp(lambda g: pull(g)[0], (values,), (values**2,))[1]
    torch.testing.assert_close(found, torch.einsum("dkax,dk->ax", jacobian, values**2))

    def energy(x):
        return (compute(x) ** 2).sum()

    expected = 2 * torch.einsum("dkax,dk->ax", jacobian, values)
    torch.testing.assert_close(torch.func.grad(energy)(x), expected)
    with pytest.raises(tm.UnsupportedError, match="second derivatives"):
        torch.func.hessian(energy)(x)
    with pytest.raises(tm.UnsupportedError, match="second derivatives"):
        torch.func.grad(lambda x: torch.func.jvp(compute, (x,), (u,))[1].sum())(x)


def test_batches_of_gradients_say_what_to_do_instead(cluster):
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, FUNCTIONS)
    x = positions_of(cluster)
    values = tm.autograd.compute(descriptor, cluster, x)
    with pytest.raises(tm.UnsupportedError, match=r"torch\.func\.jacrev"):
        torch.autograd.grad(values, x, torch.ones(2, *values.shape), is_grads_batched=True)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_vjp_at_fixed_positions_is_linear_in_its_argument(descriptor, crystal, dtype):
    """Differentiated as often as one likes, in the precision of what it is given."""
    g = weights_of(descriptor, crystal).to(dtype).detach().requires_grad_(True)
    forces = tm.autograd.vjp(descriptor, crystal, g)
    assert forces.dtype == dtype
    np.testing.assert_array_equal(forces.detach(), descriptor.vjp(crystal, g.detach().numpy()))
    if dtype == torch.float64:
        of_squares = lambda h: tm.autograd.vjp(descriptor, crystal, h**2)  # noqa: E731
        assert torch.autograd.gradcheck(of_squares, g, **DIFFERENCES, fast_mode=True)
        assert torch.autograd.gradgradcheck(of_squares, g, **DIFFERENCES, fast_mode=True)
    else:
        (change,) = torch.autograd.grad(forces.pow(2).sum(), g)
        moves = 2 * forces.detach().numpy()
        np.testing.assert_array_equal(change, descriptor.jvp(crystal, moves))


def test_vjp_of_what_it_cannot_use(descriptor, crystal):
    g = weights_of(descriptor, crystal)
    for bad, message in (
        (g.long(), "dE_dD is a torch.int64; a torch.Tensor of floating type is needed"),
        (g[1:], r"dE_dD has shape .* \(n_centers, width\)"),
        (g * torch.nan, "a finite number is needed"),
    ):
        with pytest.raises(tm.InputError, match=message):
            tm.autograd.vjp(descriptor, crystal, bad)
