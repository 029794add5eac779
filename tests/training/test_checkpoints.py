"""Trainings that are interrupted and go on; expected errors; time limits."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_sets import descriptor, silicon

import torchml_core as tm
from torchml_core.training import Trainer, deadline, epochs
from torchml_core.training import trainer as trainer_module

PATHS = [str(path) for path in Path(__file__).parents[:2]]
SCRIPT = """
import sys, time, torch
sys.path[:0] = {tests!r}
import test_checkpoints as t
trainer = t.trainer(callbacks=[lambda *_: print(flush=True) or time.sleep({sleep})])
trainer.fit(t.silicon(), epochs=6, checkpoint={path!r})
"""


class Noisy(torch.nn.Module):
    """A network with random numbers in its training."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(3, 4, dtype=torch.float64),
            torch.nn.Tanh(),
            torch.nn.Dropout(0.1),
            torch.nn.Linear(4, 1, dtype=torch.float64),
        )

    def forward(self, descriptor):
        return self.layers(descriptor)


def trainer(**more):
    arguments = {"batch_size": 2, "average": 0.9, "learning_rate": 0.02, **more}
    return Trainer(descriptor(), Noisy(), **arguments)


def result(trainer):
    weights = torch.cat([p.detach().ravel() for p in trainer.network.parameters()])
    return weights, [epoch._replace(seconds=0) for epoch in trainer.history]


class KilledError(Exception):
    pass


def kill_at(number):
    def callback(_, epoch):
        if epoch.number == number:
            raise KilledError

    return callback


def fit_in_pieces(make, data, path, **arguments):
    """Interrupt after the third and fifth epoch, and go on."""
    for number in (3, 5):
        with pytest.raises(KilledError):
            make(callbacks=[kill_at(number)]).fit(data, checkpoint=path, **arguments)
    last = make()
    last.fit(data, checkpoint=path, **arguments)
    return last


@pytest.fixture(autouse=True)
def at_every_epoch(monkeypatch):
    monkeypatch.setattr("torchml_core.training.checkpoint.SECONDS_BETWEEN", 0.0)


def test_an_interrupted_training_ends_the_same(tmp_path):
    """Weights to the last bit, with the average, dropout, and the best epoch; and the history."""
    data = silicon()
    whole = trainer()
    whole.fit(data, epochs=7)
    pieces = fit_in_pieces(trainer, data, tmp_path / "x", epochs=7)
    weights, history = result(whole)
    assert torch.equal(weights, result(pieces)[0])
    assert history == result(pieces)[1]
    assert len(history) == 7
    assert pieces.expected_errors == whole.expected_errors
    assert pieces.model.reference_energies == whole.model.reference_energies
    again = trainer(callbacks=[kill_at(1)])  # it has ended: no epoch is trained
    again.fit(data, epochs=7, checkpoint=tmp_path / "x")
    assert torch.equal(weights, result(again)[0])
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.slow
def test_a_process_that_is_killed(tmp_path):
    path = tmp_path / "state"
    script = SCRIPT.format(tests=PATHS, sleep=0.05, path=str(path))
    child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        for _ in range(3):
            child.stdout.readline()
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
    assert path.exists()
    after, whole = trainer(), trainer()
    after.fit(silicon(), epochs=6, checkpoint=path)
    whole.fit(silicon(), epochs=6)
    assert torch.equal(result(after)[0], result(whole)[0])
    assert result(after)[1] == result(whole)[1]


def test_checkpoints_of_something_else(tmp_path):
    path, data = tmp_path / "x", silicon()
    trainer().fit(data, epochs=1, checkpoint=path)
    moved = silicon(shift=1e-9)
    for make, with_data, count, message in (
        (lambda: trainer(learning_rate=0.01), data, 1, "learning_rate '0.02', not '0.01'"),
        (lambda: trainer(optimizer=torch.optim.SGD), data, 1, "had optimizer 'adam', not"),
        (trainer, data, 2, "had epochs '1', not '2'"),
        (trainer, moved, 1, "had data '8 structures"),
        (lambda: Trainer(descriptor(), torch.nn.Linear(3, 1).double()), data, 1, "had learning"),
    ):
        with pytest.raises(tm.InputError, match=message):
            make().fit(with_data, epochs=count, checkpoint=path)
    content = path.read_bytes()
    for broken, message in (
        (content[:-10], "truncated or changed"),
        (content[:500] + bytes([content[500] ^ 1]) + content[501:], "truncated or changed"),
        (b"", "not a file of its kind"),
        (b"PK" + content, "not a file of its kind"),
    ):
        path.write_bytes(broken)
        with pytest.raises(tm.FileFormatError, match=message):
            trainer().fit(data, epochs=1, checkpoint=path)
    with pytest.raises(tm.MissingFileError, match="folder to write it to does not exist"):
        trainer().fit(data, checkpoint=tmp_path / "no" / "x")


def test_an_optimizer_whose_state_cannot_be_stored(tmp_path):
    class Own(torch.optim.SGD):
        def state_dict(self):
            return {**super().state_dict(), "thing": object()}

    with pytest.raises((tm.UnsupportedError, AttributeError), match=r"checkpoint|local object"):
        trainer(optimizer=Own).fit(silicon(), epochs=1, checkpoint=tmp_path / "x")


def test_a_time_limit_fixes_the_number_of_epochs(tmp_path, monkeypatch):
    """Of a clock that goes on by one second whenever it is read."""
    data, path = silicon(), tmp_path / "x"

    class Clock:
        now = 0.0

        @classmethod
        def monotonic(cls):
            cls.now += 1.0
            return cls.now

    for module in (deadline, epochs, trainer_module):
        monkeypatch.setattr(module, "time", Clock)
    first = trainer(schedule=lambda progress: 1.0 - progress / 2)
    first.fit(data, epochs=1000, time_limit=100.0, checkpoint=path)
    number = len(first.history)
    assert 5 < number < 20
    # the last step but one of the schedule: as many epochs as there were
    steps = 4 * number
    assert first.history[-1].learning_rate == pytest.approx(0.02 * (1 - (steps - 1) / steps / 2))
    Clock.now = 0.0
    path.unlink()
    pieces = fit_in_pieces(
        lambda **more: trainer(schedule=lambda progress: 1.0 - progress / 2, **more),
        data,
        path,
        epochs=1000,
        time_limit=100.0,
    )
    assert torch.equal(result(pieces)[0], result(first)[0])
    with pytest.raises(tm.InputError, match="time_limit = 0"):
        first.fit(data, time_limit=0)


def test_a_limit_that_does_not_bind_changes_nothing():
    data = silicon()
    one, two = trainer(), trainer()
    one.fit(data, epochs=3)
    two.fit(data, epochs=3, time_limit=1e6)
    assert torch.equal(result(one)[0], result(two)[0])


def test_energies_that_contradict_the_forces_lose_their_weight():
    """As kinetic energies do; the others are learned as without them."""
    data = silicon(24, shift=0.1, kinds=("cold", "hot"))
    made = Trainer(descriptor(), torch.nn.Linear(3, 1).double(), scaling=None)
    with pytest.warns(tm.ModelWarning, match=r"energies of kind 'hot' \(\d+ structures\) hardly"):
        made.fit(data, epochs=1)
    errors = made.expected_errors
    assert 0.05 < errors["energy"]["hot"] < 0.3
    assert errors["energy"]["cold"] < 0.02
    assert errors["forces"]["hot"] == errors["forces"]["cold"] < 0.03
    whole = silicon(24, kinds=("cold", "hot"))
    made.fit(whole, epochs=1)
    assert made.expected_errors["energy"]["hot"] == made.expected_errors["energy"]["cold"]


def test_expected_errors_divide_residuals():
    """By label and kind; the median where a kind is not named."""
    data = silicon(6, kinds=("a", "b", "c"))
    d = descriptor()
    given = {"energy": {"a": 0.1, "b": 0.4}, "forces": 2.0}
    network = torch.nn.Linear(3, 1).double()
    made = Trainer(
        d,
        network,
        expected_errors=given,
        weights={"energy": 3.0},
        optimizer=torch.optim.SGD,
        learning_rate=1e-30,
        batch_size=9,
    )
    (epoch,) = made.fit(data, validation=0, epochs=1)
    (batch,) = data.batches(d, 9)
    out = made.model(batch)
    sizes = np.array([{"a": 0.1, "b": 0.4, "c": 0.25}[e.kind] for e in data])
    energies = ((out.energy - batch.energy) / batch.n_atoms).detach().numpy() / sizes
    forces = (out.forces - batch.forces).detach().numpy() / 2
    assert epoch.loss == pytest.approx(3 * (energies**2).mean() + (forces**2).mean())
    assert set(made.expected_errors["forces"].values()) == {2.0}
    fit = tm.training.fit_linear(d, data, expected_errors=given, validation=data)
    assert fit.expected_errors["energy"] == pytest.approx({"a": 0.1, "b": 0.4, "c": 0.25})
    Trainer(d, network, expected_errors=fit.expected_errors).fit(data, epochs=1)
    for wrong, message in (
        ("linear", "expected_errors = 'linear'"),
        ({"energies": 1}, "a dict with keys of energy, forces, stress is needed"),
        ({"energy": 0}, r"expected_errors\['energy'\] = 0"),
        ({"energy": {"a": -1}}, r"expected_errors\['energy'\]\['a'\] = -1"),
        ({"energy": {}}, r"expected_errors\['energy'\] = \{\}: a number, or one for each kind"),
    ):
        with pytest.raises(tm.InputError, match=message):
            Trainer(d, network, expected_errors=wrong)
        if wrong != "linear":
            with pytest.raises(tm.InputError, match=message):
                tm.training.fit_linear(d, data, expected_errors=wrong)
