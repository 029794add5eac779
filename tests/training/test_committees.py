"""Committees by seed and bagging; what callbacks write."""

import builtins
import csv

import numpy as np
import pytest
import torch
from training_sets import descriptor, silicon

import torchml_core as tm
from torchml_core.training import CSVFile, TensorBoard, Trainer, committee


def make(seed, **more):
    net = tm.nn.ElementNetworks(descriptor(), hidden=(3,))
    return Trainer(descriptor(), net, batch_size=4, seed=seed, **more)


@pytest.mark.parametrize("by", ["seed", pytest.param("bagging", marks=pytest.mark.slow)])
def test_committees(by, tmp_path):
    """Members differ, are what is loaded, and a training that has ended is not repeated."""
    data, before = silicon(), torch.random.get_rng_state()
    asked = {"by": by, "n": 2, "epochs": 2, "checkpoint": tmp_path / "state"}
    made = committee(make, data, tmp_path / "folder", license="MIT", **asked)
    assert torch.equal(torch.random.get_rng_state(), before)
    p = made.evaluate(data[0].atoms)
    assert p.energy_std > 0
    loaded = tm.Committee.load(tmp_path / "folder")
    assert loaded.evaluate(data[0].atoms).energy == p.energy
    assert [model.card.license for model in loaded.models] == ["MIT", "MIT"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "state.1", "state.2"]
    again = committee(
        lambda seed: make(seed, callbacks=[lambda *_: 1 / 0]), data, tmp_path / "again", **asked
    )
    assert again.evaluate(data[0].atoms).energy == p.energy
    with pytest.raises(tm.InputError, match="one without members is needed"):
        committee(make, data, tmp_path / "folder", **asked)


def test_bags(tmp_path):
    """As many structures as there are, and the others for validation."""
    seen, data = [], silicon(7)

    class Watched(Trainer):
        def fit(self, own, **arguments):
            seen.append((own, arguments["validation"]))
            return super().fit(own, **arguments)

    def watched(seed):
        return Watched(descriptor(), tm.nn.ElementNetworks(descriptor(), hidden=(2,)))

    committee(watched, data, tmp_path / "x", by="bagging", n=2, epochs=1)
    for own, rest in seen:
        assert len(own) == 7
        assert len(set(own)) + len(rest) == 7
        assert not set(own) & set(rest)
    assert [e.label for e in seen[0][0]] != [e.label for e in seen[1][0]]


def test_what_committees_refuse(tmp_path):
    data = silicon(3)
    for arguments, message in (
        ({"n": 1}, "n = 1"),
        ({"by": "luck"}, "by = 'luck'"),
        ({"make": lambda seed: 3}, "make = .*returns a Trainer is needed"),
        ({"data": 3}, "data = 3"),
        ({"time_limit": -1}, "time_limit = -1"),
    ):
        with pytest.raises(tm.InputError, match=message):
            committee(**{"make": make, "data": data, "folder": tmp_path / "x", **arguments})


def test_a_table_of_epochs(tmp_path):
    """Whole also after an interruption."""
    path, data = tmp_path / "x.csv", silicon(8)

    def stop(_, epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(0, callbacks=[CSVFile(path), stop]).fit(data, epochs=3, checkpoint=tmp_path / "state")
    trainer = make(0, callbacks=[CSVFile(path)])
    history = trainer.fit(data, epochs=3, checkpoint=tmp_path / "state")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for row, epoch in zip(rows, history, strict=True):
        assert float(row["forces (eV/Å)"]) == epoch.errors["forces"]
        assert float(row["validation loss"]) == epoch.validation_loss
        assert row["stress (eV/Å³)"] == ""
    with pytest.raises(tm.MissingFileError, match="does not exist"):
        CSVFile(tmp_path / "no" / "x.csv")


@pytest.mark.slow
def test_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = make(0, callbacks=[TensorBoard(tmp_path)]).fit(silicon(8), epochs=2)
    found = EventAccumulator(str(tmp_path)).Reload()
    losses = [event.value for event in found.Scalars("loss")]
    np.testing.assert_allclose(losses, [epoch.loss for epoch in history], rtol=1e-6)


def test_without_tensorboard(tmp_path, monkeypatch):
    known = builtins.__import__

    def missing(name, *arguments):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError("No module named 'tensorboard'")
        return known(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(tm.UnsupportedError, match="the package tensorboard is needed"):
        TensorBoard(tmp_path)
