"""Levenberg-Marquardt, the Kalman filter and Muon, against dense algebra in numpy."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import torchml_core as tm
from torchml_core.dataset import Dataset
from torchml_core.training import KalmanFilter, LevenbergMarquardt, Trainer, deadline, epochs
from torchml_core.training import trainer as trainer_module
from torchml_core.training.expected_errors import ExpectedErrors, errors_by_kind
from torchml_core.training.losses import Totals
from torchml_core.training.second_order import jacobians
from torchml_core.training.second_order.rows import Rows
from torchml_core.training.steps import evaluated_totals

SPECIES = ("C", "Si")
ALIKE = {"energy": 0.5, "forces": 2.0, "stress": 0.1}


def descriptor():
    functions = [("g2", [[0.3, 0.0], [0.8, 1.9]]), ("g4", [[1, 1, 0.05]])]
    return tm.SymmetryFunctions(list(SPECIES), 3.2, functions)


@pytest.fixture(scope="module")
def data():
    """A crystal, a cell smaller than the cutoff, a molecule; some labels are missing."""
    random = np.random.default_rng(0)
    made = [
        bulk("SiC", "zincblende", a=4.3, cubic=True),
        bulk("Si", "fcc", a=3.0),
        Atoms("SiC2C", [[0, 0, 0], [1.6, 0, 0.2], [0.3, 1.7, 0], [90, 0, 0]]),
        bulk("SiC", "zincblende", a=4.5),
    ]
    for k, atoms in enumerate(made):
        atoms.rattle(0.1, seed=k)
        atoms.info["config_type"] = "ab"[k % 2]
        labels = {"energy": random.normal(), "forces": random.normal(size=(len(atoms), 3))}
        if atoms.cell.rank == 3:
            labels["stress"] = 0.1 * random.normal(size=6)
        if k == 3:
            del labels["energy"]
        atoms.calc = SinglePointCalculator(atoms, **labels)
    return Dataset.from_atoms(made, weights={"b": 0.3})


def network(hidden=(3,)):
    torch.manual_seed(0)
    return tm.nn.ElementNetworks(descriptor(), hidden=hidden)


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.first = torch.nn.Linear(3, 4, dtype=torch.float64)
        self.scale = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))

    def forward(self, descriptor):
        return torch.nn.functional.softplus(self.first(descriptor)).sum(1) * self.scale


def with_linear():
    both = tm.nn.WithLinear(tm.nn.ElementPolynomials(descriptor(), 2), network())
    with torch.no_grad():
        both.linear.quadratic.normal_()
        both.strength.fill_(0.5)
    return both


def trainer(net, optimizer=None, **more):
    arguments = {"scaling": None, "expected_errors": ALIKE, "batch_size": 9, **more}
    return Trainer(descriptor(), net, optimizer=optimizer or "adam", **arguments)


def dense(made, batch):
    """Residuals and Jacobian by one backward pass for each residual."""
    loss, parameters = made._loss, list(made.network.parameters())
    parameters = [p for p in parameters if p.requires_grad]
    found = loss.residuals(made.model(batch), batch)
    rows, values = [], []
    for name in found:
        scaled = loss.scaled(name, found[name])
        weight = found[name].weight.expand_as(scaled).reshape(-1) / scaled.numel()
        for value, w in zip((scaled.reshape(-1)), weight, strict=True):
            parts = torch.autograd.grad(
                value * w.sqrt(), parameters, retain_graph=True, materialize_grads=True
            )
            rows.append(torch.cat([p.reshape(-1) for p in parts]).numpy())
            values.append((value * w.sqrt()).item())
    return np.array(rows), np.array(values)


@pytest.mark.parametrize("make", [network, Plain, with_linear])
@pytest.mark.parametrize("at_once", [1, 200, 10**6])
def test_rows_are_those_of_backward_passes(data, make, at_once, monkeypatch):
    """In blocks of any size; JᵀJ and Jᵀr do not depend on the order of rows."""
    monkeypatch.setattr(jacobians, "NUMBERS_AT_ONCE", at_once)
    made = trainer(make())
    made.fit(data, validation=0, epochs=1)
    (batch,) = data.batches(descriptor(), 9)
    expected, residuals = dense(made, batch)
    rows = Rows(made.model, made._loss, 1)
    totals = Totals(made._loss)
    blocks = list(rows.of_batch(batch, totals))
    found, values = (torch.cat(part).numpy() for part in zip(*blocks, strict=True))
    assert found.shape == expected.shape
    assert values @ values == pytest.approx(totals.loss(), rel=1e-12)
    size = np.abs(expected).max()
    np.testing.assert_allclose(
        found.T @ found, expected.T @ expected, atol=1e-11 * size**2 * len(found)
    )
    np.testing.assert_allclose(found.T @ values, expected.T @ residuals, atol=1e-11 * size * 10)


@pytest.mark.parametrize("kind", ["mse", "huber"])
def test_gradients_of_the_loss_against_differences(data, kind):
    """Of all labels, divided by expected errors; Huber's delta is exceeded."""
    made = trainer(network(), loss=kind, huber_delta=0.5 if kind == "huber" else None)
    made.fit(data, validation=0, epochs=1)
    (batch,) = data.batches(descriptor(), 9)
    parameters = list(made.network.parameters())

    def loss():
        return Totals(made._loss).add(made.model(batch), batch)

    gradients = torch.autograd.grad(loss(), parameters)
    random = np.random.default_rng(0)
    for _ in range(3):
        directions = [torch.from_numpy(random.normal(size=tuple(p.shape))) for p in parameters]
        slope = sum((g * u).sum().item() for g, u in zip(gradients, directions, strict=True))
        values = []
        for step in (1e-5, -1e-5, 2e-5, -2e-5):
            with torch.no_grad():
                for p, u in zip(parameters, directions, strict=True):
                    p += step * u
                values.append(loss().item())
                for p, u in zip(parameters, directions, strict=True):
                    p -= step * u
        difference = (8 * (values[0] - values[1]) - (values[2] - values[3])) / 12e-5
        assert slope == pytest.approx(difference, rel=1e-7, abs=1e-7 * abs(slope))
    if kind == "huber":
        assert (made._loss.factors("forces", torch.tensor([5.0])) < 1).all()


def flat(net):
    return torch.cat([p.detach().reshape(-1) for p in net.parameters()]).numpy().copy()


def test_a_step_of_levenberg_and_marquardt(data):
    damping = 0.1
    made = trainer(network(), LevenbergMarquardt(damping))
    made.fit(data, validation=0, epochs=1)  # sets the expected errors
    (batch,) = data.batches(descriptor(), 9)
    made = trainer(made.network, LevenbergMarquardt(damping))
    other = trainer(made.network)
    other._loss.expected = tm.training.trainer.ExpectedErrors(
        {name: dict.fromkeys(data.kinds, x) for name, x in ALIKE.items()}
    )
    other.model.reference_energies = made.model.reference_energies = {"C": 0.0, "Si": 0.0}
    made._find_references = False
    rows, residuals = dense(other, batch)
    start = flat(made.network)
    matrix = rows.T @ rows
    step = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), rows.T @ residuals)
    made.fit(data, validation=0, epochs=1)
    np.testing.assert_allclose(flat(made.network), start - step, rtol=1e-9, atol=1e-12)
    assert made.history[0].learning_rate == pytest.approx(damping / 3)


def test_a_linear_network_is_fitted_in_one_step(data):
    """With next to no damping: the solution of least squares."""
    made = trainer(tm.nn.ElementPolynomials(descriptor()), LevenbergMarquardt(1e-13))
    made.fit(data, validation=0, epochs=1)
    (batch,) = data.batches(descriptor(), 9)
    rows, residuals = dense(made, batch)
    assert np.abs(rows.T @ residuals).max() < 1e-9  # the gradient there
    again = flat(made.network)
    made.fit(data, validation=0, epochs=1)
    np.testing.assert_allclose(flat(made.network), again, atol=1e-6)


def test_an_update_of_the_filter(data):
    """Against the textbook's formula, with all rows at once; and P after it, by a second one."""
    settings = {"covariance": 0.2, "noise": 0.7, "forgetting": 0.9, "fading": 0.5}
    made = trainer(network(), KalmanFilter(**settings), reference_energies={"C": 0, "Si": 0})
    other = trainer(made.network, reference_energies={"C": 0, "Si": 0})
    other._loss.expected = tm.training.trainer.ExpectedErrors(
        {name: dict.fromkeys(data.kinds, x) for name, x in ALIKE.items()}
    )
    (batch,) = data.batches(descriptor(), 9)
    w = flat(made.network)
    P, forgetting = 0.2 * np.eye(len(w)), 0.9
    start = w
    for _ in range(2):
        torch.nn.utils.vector_to_parameters(torch.from_numpy(w), made.network.parameters())
        H, r = dense(other, batch)
        K = P @ H.T @ np.linalg.inv(0.7 * forgetting * np.eye(len(r)) + H @ P @ H.T)
        w = w - K @ r
        P = (P - K @ H @ P) / forgetting
        forgetting = 1 - (1 - forgetting) * 0.5
    torch.nn.utils.vector_to_parameters(torch.from_numpy(start), made.network.parameters())
    made.fit(data, validation=0, epochs=2)
    np.testing.assert_allclose(flat(made.network), w, rtol=1e-8, atol=1e-10)
    assert made.history[-1].learning_rate == pytest.approx(forgetting)


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer", [LevenbergMarquardt(), KalmanFilter(), "muon", "adamw"], ids=str
)
def test_optimizers_learn_and_go_on(data, optimizer, tmp_path, monkeypatch):
    """Huber's loss becomes lower, in float32; an interrupted training ends the same."""
    monkeypatch.setattr("torchml_core.training.checkpoint.SECONDS_BETWEEN", 0.0)

    def make(callbacks=()):
        torch.manual_seed(1)
        net = tm.nn.ElementNetworks(descriptor(), hidden=(4, 4), dtype=torch.float32)
        return trainer(net, optimizer, batch_size=2, loss="huber", callbacks=callbacks)

    def interrupt(_, epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    whole = make()
    history = whole.fit(data, validation=0, epochs=5)
    assert history[-1].loss < history[0].loss
    with pytest.raises(KeyboardInterrupt):
        make([interrupt]).fit(data, validation=0, epochs=5, checkpoint=tmp_path / "x")
    rest = make()
    rest.fit(data, validation=0, epochs=5, checkpoint=tmp_path / "x")
    assert np.array_equal(flat(whole.network), flat(rest.network))


def slow_clock(monkeypatch):
    """A clock of trainings that goes on by a second whenever it is read."""
    seconds = itertools.count()
    for module in (deadline, epochs, trainer_module):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))


def test_a_limit_ends_an_epoch_in_the_middle(data, monkeypatch, tmp_path):
    """The weights are then as good as at its start, or better; and the state is an end."""
    slow_clock(monkeypatch)
    held_out, path = data.select([0, 2]), tmp_path / "x"

    def loss_of(made):
        made._loss.expected = ExpectedErrors(errors_by_kind(ALIKE, data))
        batches = held_out.batches(descriptor(), 2)
        return evaluated_totals(made.model, batches, made._loss).loss()

    def fit(optimizer, limit, **more):
        torch.manual_seed(1)
        net = tm.nn.ElementNetworks(descriptor(), hidden=(4,))
        made = trainer(net, optimizer, batch_size=1, reference_energies={"C": 0.0, "Si": 0.0})
        before = loss_of(made)
        made.fit(data, validation=held_out, epochs=4, time_limit=limit, **more)
        return made, before

    for optimizer in (KalmanFilter(), "adam"):
        made, before = fit(optimizer, 8.0)
        assert [epoch.number for epoch in made.history] == [1]
        assert loss_of(made) <= before
    for limit in (5.0, 7.0):  # in the sums, and before a step has been tried
        with pytest.warns(tm.ModelWarning, match="not even the first epoch ends in that time"):
            made, before = fit(LevenbergMarquardt(), limit, checkpoint=path)
        assert made.history == []
        assert loss_of(made) == before
        path.unlink()
    made, before = fit(LevenbergMarquardt(), 40.0, checkpoint=path)
    assert len(made.history) >= 1
    again, _ = fit(LevenbergMarquardt(), 40.0, checkpoint=path)  # it has ended
    assert np.array_equal(flat(made.network), flat(again.network))
    assert again.history == made.history


def test_worse_weights_of_a_part_of_an_epoch_are_not_kept(data, monkeypatch):
    """After one step with a learning rate that is far too large."""
    slow_clock(monkeypatch)
    made = trainer(network(), torch.optim.SGD, batch_size=1, learning_rate=3.0)
    before = flat(made.network)
    made.fit(data, validation=data, epochs=4, time_limit=6.0)
    assert len(made.history) == 1
    assert np.array_equal(flat(made.network), before)


def test_what_is_refused(data):
    for make, message in (
        (lambda: LevenbergMarquardt(0), "damping = 0"),
        (lambda: LevenbergMarquardt(increase=1), "increase = 1"),
        (lambda: KalmanFilter(noise=-1), "noise = -1"),
        (lambda: KalmanFilter(forgetting=1.1), "forgetting = 1.1: at most 1 is needed"),
        (lambda: trainer(network(), LevenbergMarquardt), "optimizer = "),
        (
            lambda: trainer(network(), KalmanFilter(), learning_rate=0.1),
            "learning_rate = 0.1: None",
        ),
        (lambda: trainer(network(), KalmanFilter(), average=0.9), "average = 0.9: None, with Kalm"),
    ):
        with pytest.raises(tm.InputError, match=message):
            make()

    class Mixed(Plain):
        def forward(self, descriptor):
            return super().forward(descriptor * descriptor.mean())

    with pytest.raises(tm.UnsupportedError, match=r"eV alone, .* eV with others"):
        trainer(Mixed(), LevenbergMarquardt()).fit(data, validation=0, epochs=1)
    wide = trainer(network((4000, 4000)), LevenbergMarquardt())
    with pytest.raises(tm.InputError, match=r"optimizer: \d+ parameters need"):
        wide.fit(data, validation=0, epochs=1)
