"""What a model may return, what it may not, and what a user sees of it."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from small_models import CUTOFF, DescriptorNet, PairNet, shuffled
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.finite_differences import finite_difference_stress
from torchml_core.portable.species_input import ELEMENTS_MAP

FILE = "model.pt"


class Returns:
    """An executor that runs a Python function, to try what TorchScript would hardly type."""

    path = Path(FILE)
    device = torch.device("cpu")
    weights_dtype = torch.float64
    n_numbers = 0
    linear = None
    arguments = ("species", "coords", "n_neigh", "nlist", "contributing")

    def __init__(self, function, uses_autograd=False):
        self.function, self.uses_autograd = function, uses_autograd

    def __call__(self, *tensors):
        return self.function(*tensors)


@pytest.fixture
def evaluate(tmp_path):
    """Evaluate 8 silicon atoms by a raw model that is a Python function of the coordinates."""
    model = tm.PortableModel.create(
        tmp_path / "m", model=PairNet(), species=["Si"], cutoff=CUTOFF, convention="raw"
    )

    def run(function, *, uses_autograd=False, returns_forces=False, c=None, **asked):
        parameters = model.parameters.__class__(
            ("Si",), "raw", CUTOFF, FILE, returns_forces=returns_forces
        )
        wrapped = Returns(lambda *tensors: function(tensors[1]), uses_autograd)
        changed = tm.PortableModel(model.folder, [], parameters, wrapped)
        return changed.evaluate(rattled_silicon(1) if c is None else c, **asked)

    return run


# --- energies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "per_particle"),
    [((), False), ((1,), False), ((8,), True), ((8, 1), True), ((1, 8), True), ((2, 3), False)],
)
def test_energy_of_any_shape_is_summed(shape, per_particle, evaluate):
    def model(x):
        return torch.arange(1.0, np.prod(shape) + 1, dtype=x.dtype).reshape(shape) * x[0, 0]

    p = evaluate(model)
    n = int(np.prod(shape))
    x = rattled_silicon(1).positions[0, 0]
    assert p.energy == pytest.approx(n * (n + 1) / 2 * x, rel=1e-14)
    assert isinstance(p.energy, float)
    np.testing.assert_allclose(p.forces[0], [-n * (n + 1) / 2, 0, 0], rtol=1e-14)
    if per_particle:
        np.testing.assert_allclose(p.particle_energies[:8], np.arange(1.0, 9.0) * x)
        assert not p.particle_energies[8:].any()
        assert p.fold().particle_energies.shape == (8,)
    else:
        with pytest.raises(tm.UnsupportedError, match=r"particle_energies: the model returns"):
            _ = p.particle_energies


def test_a_scalar_is_no_particle_energy_of_one_atom(evaluate):
    c = tm.Configuration.from_atoms(bulk("Si", "sc", 3.0), CUTOFF)
    assert evaluate(lambda x: x[0, :1], c=c).particle_energies[0] == c.positions[0, 0]
    with pytest.raises(tm.UnsupportedError, match=r"shape \(\)"):
        _ = evaluate(lambda x: x[0, 0], c=c).particle_energies


def test_particle_energies_stand_where_their_particles_do(tmp_path):
    atoms = rattled_silicon(1)
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0.0]])])
    model = tm.PortableModel.create(
        tmp_path, model=DescriptorNet(1), species=["Si"], descriptor=descriptor
    )
    c, _ = shuffled(tm.Configuration.from_atoms(atoms, CUTOFF))
    p = model.evaluate(c)
    D = torch.from_numpy(descriptor.compute(c))
    expected = np.zeros(c.n_particles)
    expected[c.centers] = DescriptorNet(1)(D).detach().numpy()[:, 0]
    np.testing.assert_allclose(p.particle_energies, expected, rtol=1e-14)
    assert p.particle_energies.sum() == pytest.approx(p.energy, rel=1e-14)
    np.testing.assert_array_equal(p.fold().particle_energies, expected[c.contributing])


# --- forces of the model's own -------------------------------------------------------------------


@pytest.mark.parametrize("layout", [(-1, 3), (-1,), (1, -1, 3), (1, -1)])
@pytest.mark.parametrize("said", [True, False])
def test_forces_of_the_model_are_used_as_they_are(layout, said, evaluate):
    seen = []

    def model(x):
        seen.append(x.requires_grad)
        return x.sum(), (7 * x.detach() + 1).reshape(layout)

    p = evaluate(model, returns_forces=said)
    c = tm.Configuration.from_atoms(rattled_silicon(1), CUTOFF)
    np.testing.assert_allclose(p.forces, 7 * c.positions + 1, rtol=1e-14)
    assert seen == [not said]


@pytest.mark.parametrize("rest", [("x",), (None, 3), ({"stress": 1.0},)])
def test_what_follows_energy_and_forces_is_left_alone(rest, evaluate):
    p = evaluate(lambda x: (x.sum(), 7 * x.detach(), *rest))
    c = tm.Configuration.from_atoms(rattled_silicon(1), CUTOFF)
    np.testing.assert_allclose(p.forces, 7 * c.positions, rtol=1e-14)


def test_a_model_that_differentiates_itself_always_can(evaluate):
    def model(x):
        energy = (x**2).sum()
        return energy, -torch.autograd.grad(energy, x)[0]

    own = {"uses_autograd": True, "returns_forces": True}
    p = evaluate(model, **own)
    c = tm.Configuration.from_atoms(rattled_silicon(1), CUTOFF)
    np.testing.assert_allclose(p.forces, -2 * c.positions, rtol=1e-14)
    assert evaluate(model, forces=False, virial=False, **own).energy == p.energy


def test_second_tensor_of_a_descriptor_model_is_minus_dE_dD(tmp_path):
    class Both(DescriptorNet):
        def forward(self, descriptor):
            h = torch.tanh(descriptor @ self.first.T)
            return h @ self.last.T, -((1 - h**2) * self.last) @ self.first

    arguments = {
        "species": ["Si"],
        "descriptor": tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0], [1.0, 1.5]])]),
    }
    create = tm.PortableModel.create
    both = create(tmp_path / "both", model=Both(2), returns_forces=True, **arguments)
    one = create(tmp_path / "one", model=DescriptorNet(2), **arguments)
    p, q = (model.evaluate(rattled_silicon(1)) for model in (both, one))
    np.testing.assert_allclose(p.forces, q.forces, rtol=0, atol=1e-14)
    np.testing.assert_allclose(p.virial, q.virial, rtol=0, atol=1e-13)


# --- backward only where somebody asked ----------------------------------------------------------


class CountsBackward(torch.autograd.Function):
    count = 0

    @staticmethod
    def forward(context, x):
        context.shape = x.shape
        return (x**2).sum()

    @staticmethod
    def backward(context, gradient):
        CountsBackward.count += 1
        return gradient.expand(context.shape)


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"forces": False, "virial": False}, 0),
        ({"forces": True, "virial": False}, 1),
        ({"forces": False, "virial": True}, 1),
        ({}, 1),
    ],
)
def test_backward_runs_only_if_asked_for(asked, count, evaluate):
    seen = []

    def model(x):
        seen.append((x.requires_grad, torch.is_grad_enabled()))
        return CountsBackward.apply(x)

    CountsBackward.count = 0
    p = evaluate(model, **asked)
    assert CountsBackward.count == count
    assert seen == [(bool(count), bool(count))]
    for name in ("forces", "virial"):
        if asked.get(name, True):
            assert np.isfinite(getattr(p, name)).all()
        else:
            with pytest.raises(tm.InputError, match=f"{name} was not computed.*{name}=True"):
                getattr(p, name)
    if not asked.get("virial", True):
        with pytest.raises(tm.InputError, match="virial=True"):
            _ = p.particle_virials
        with pytest.raises(tm.InputError, match="virial=True"):
            _ = p.fold().stress


# --- what cannot be used -------------------------------------------------------------------------


WRONG = {
    "a string": (lambda x: "energy", "returned str of (str)"),
    "nothing": (lambda x: None, "NoneType"),
    "a number": (lambda x: 1.0, "float"),
    "a dictionary": (lambda x: {"energy": x.sum()}, "dict"),
    "whole forces of three": (lambda x: (x.sum(), x.long(), x), "forward returned forces of dtype"),
    "no tensors": (lambda x: (), "tuple of ()"),
    "energy and nothing": (lambda x: (x.sum(), None), "tuple of (Tensor, NoneType)"),
    "whole numbers": (lambda x: torch.tensor(3), "forward returned energy of dtype torch.int64"),
    "complex": (lambda x: x.sum() * 1j, "forward returned energy of dtype torch.complex128"),
    "truth": (lambda x: x.sum() > 0, "forward returned energy of dtype torch.bool"),
    "whole forces": (lambda x: (x.sum(), x.long()), "forward returned forces of dtype torch.int64"),
    "empty": (lambda x: x[:0], "the energy returned is empty, of shape (0, 3)"),
    "forces of atoms": (lambda x: (x.sum(), x[:8]), "forces, has shape (8, 3); ("),
    "forces across": (lambda x: (x.sum(), x.T), "forces, has shape (3, "),
    "scalar forces": (lambda x: (x.sum(), x.sum()), "forces, has shape (); ("),
    "NaN": (lambda x: x.sum() * torch.nan, "the energy is nan"),
    "infinity": (lambda x: x.sum() / 0, "the energy is"),
    "NaN gradient": (lambda x: ((x - x) ** 2).sum().sqrt(), "gradient of the energy is n"),
    "NaN forces": (lambda x: (x.sum(), x * torch.nan), "gradient of the energy is nan"),
    "detached": (lambda x: x.detach().sum(), "does not depend on the inputs"),
    "constant": (lambda x: torch.tensor(1.0), "does not depend on the inputs"),
    "unrelated": (
        lambda x: torch.ones(1, requires_grad=True) * 2,
        "does not depend on the inputs",
    ),
    "an error": (lambda x: x @ x, "forward failed on 42 particles, 8 of them contributing"),
    "one without a word": (lambda x: [][1:].pop(), "forward failed"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_cannot_be_used_is_named(kind, evaluate):
    function, message = WRONG[kind]
    n = tm.Configuration.from_atoms(rattled_silicon(1), CUTOFF).n_particles
    message = message.replace("42 particles", f"{n} particles")
    with pytest.raises(tm.ModelError, match=re.escape(message)) as caught:
        evaluate(function)
    assert str(caught.value).startswith(f"{FILE}: ")


def test_forces_that_were_promised_and_did_not_come(evaluate):
    with pytest.raises(tm.ModelError, match="'Returns forces' should be False"):
        evaluate(lambda x: x.sum(), returns_forces=True)
    assert evaluate(lambda x: x.sum(), returns_forces=True, forces=False, virial=False).energy


def test_nan_from_species_codes_comes_with_advice(evaluate, monkeypatch):
    monkeypatch.delenv(ELEMENTS_MAP, raising=False)
    with pytest.raises(tm.ModelError, match=ELEMENTS_MAP):
        evaluate(lambda x: x.sum() * torch.nan)
    monkeypatch.setenv(ELEMENTS_MAP, "yes")
    with pytest.raises(tm.ModelError, match=r"nan$"):
        evaluate(lambda x: x.sum() * torch.nan)


def test_particles_that_are_too_close_explain_nan(evaluate, monkeypatch):
    monkeypatch.delenv(ELEMENTS_MAP, raising=False)
    c = tm.Configuration.from_atoms(Atoms("Si3", np.diag([2.0, 0, 0.01])), CUTOFF)
    message = r"is nan; particles 1 and 2 are only 0\.01 Å apart$"
    with pytest.raises(tm.ModelError, match=message):
        evaluate(lambda x: x.sum() * torch.nan, c=c)


def test_width_of_another_descriptor(tmp_path):
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0], [0.5, 1.5]])])
    model = tm.PortableModel.create(
        tmp_path, model=DescriptorNet(5), species=["Si"], descriptor=descriptor
    )
    with pytest.raises(tm.ModelError, match=r"8 atoms, 2 values of SymmetryFunctions each.*5x6"):
        model.evaluate(rattled_silicon(1))


# --- folded, and stress --------------------------------------------------------------------------


def test_fold(tmp_path):
    atoms = rattled_silicon(1)
    descriptor = tm.SymmetryFunctions(["Si"], CUTOFF, [("g2", [[0.3, 0], [0.5, 1.5]])])
    model = tm.PortableModel.create(
        tmp_path, model=DescriptorNet(2), species=["Si"], descriptor=descriptor
    )
    c = tm.Configuration.from_atoms(atoms, CUTOFF)
    p = model.evaluate(c)
    folded = p.fold()
    assert p.n_particles == c.n_particles
    assert folded.n_particles == 8
    assert folded.fold() is folded
    assert repr(p).endswith(f"over {c.n_particles} particles>")
    assert repr(folded).endswith("over 8 atoms>")
    assert folded.energy == p.energy
    for name in ("forces", "particle_energies", "particle_virials"):
        expected = np.zeros((8, *getattr(p, name).shape[1:]))
        for particle, parent in enumerate(c.parents):
            expected[parent] += getattr(p, name)[particle]
        np.testing.assert_allclose(getattr(folded, name), expected, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(folded.virial, p.virial)
    np.testing.assert_array_equal(folded.stress, p.stress)
    assert folded.stresses.shape == (8, 6)


def test_stress_from_virial():
    class Cell:
        n_particles = n_centers = 1
        cell, pbc = np.diag([2.0, 3.0, -4.0]), np.ones(3, bool)

    W = np.array([[1.0, 2, 3], [4, 5, 6], [7, 8, 9]])
    p = tm.Prediction(Cell, {"energy": 0.0, "virial": W, "particle_virials": W[None]})
    np.testing.assert_allclose(p.stress, -np.array([1, 5, 9, 7, 5, 3]) / 24)
    np.testing.assert_allclose(p.stresses, -np.array([[1, 5, 9, 7, 5, 3]]) / 24)


@pytest.mark.parametrize("pbc", [[True, True, False], [False, False, True], [True, True, True]])
def test_stress_of_partly_periodic_structures_is_a_derivative(pbc, tmp_path):
    """By strain of the cell with everything in it, divided by its volume, as ASE has it."""
    model = tm.PortableModel.create(
        tmp_path, model=PairNet(), species=["Si"], cutoff=CUTOFF, convention="raw"
    )
    atoms = rattled_silicon(1)
    atoms.pbc = pbc
    p = model.evaluate(atoms)
    expected = finite_difference_stress(model, atoms)
    np.testing.assert_allclose(p.stress, expected, rtol=0, atol=1e-8 * np.abs(expected).max())
    assert np.abs(expected).min() > 1e-6


def test_structures_that_have_no_stress(evaluate):
    molecule, sheet, flat = (rattled_silicon(1) for _ in range(3))
    molecule.pbc = False
    sheet.pbc = flat.pbc = [True, True, False]
    sheet.cell[2] = 0.0
    flat.cell[2] = flat.cell[0] + [0.0, 0.0, 1e-13]  # a volume of rounding errors
    needed = "stress: a cell with a volume and a periodic direction is needed; here pbc is "
    partly = "[True, True, False]"
    for atoms, pbc in ((molecule, "[False, False, False]"), (sheet, partly), (flat, partly)):
        p = evaluate(lambda x: x.sum(), c=tm.Configuration.from_atoms(atoms, CUTOFF))
        with pytest.raises(tm.UnsupportedError, match=re.escape(needed + pbc)):
            _ = p.stress
        assert p.virial.shape == (3, 3)
    c = tm.Configuration(np.eye(3), [0] * 3, [True] * 3, [0, 1, 2], [0, 1, 2, 2], [1, 0])
    with pytest.raises(tm.UnsupportedError, match="unknown"):
        _ = evaluate(lambda x: x.sum(), c=c).stress


def test_what_is_computed_late_is_computed_once():
    c, calls = tm.Configuration.from_atoms(bulk("Si"), CUTOFF), []
    values = {"energy": 0.0, "forces": lambda: calls.append(1) or np.zeros((c.n_particles, 3))}
    values |= {"particle_energies": tm.InputError("no"), "particle_virials": tm.InputError("no")}
    p = tm.Prediction(c, values)
    folded = p.fold()
    assert calls == []
    assert p.forces is p.forces
    assert folded.forces is folded.forces
    assert calls == [1]


def test_particle_virials_of_a_raw_model(evaluate):
    p = evaluate(lambda x: x.sum())
    for prediction in (p, p.fold()):
        with pytest.raises(tm.UnsupportedError, match="particle_virials: a raw model gives forces"):
            _ = prediction.particle_virials


def test_ghosts_without_parents_cannot_be_folded(evaluate):
    c = tm.Configuration(np.eye(3), [0] * 3, [True, True, False], [0, 1], [0, 1, 2], [1, 0])
    p = evaluate(lambda x: x.sum(), c=c)
    assert p.forces.shape == (3, 3)
    with pytest.raises(tm.InputError, match="parents"):
        p.fold()
