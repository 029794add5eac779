"""Trainer: that it learns what made the data, and each of its settings; a loop of one's own."""

import math

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.singlepoint import SinglePointCalculator

import torchml_core as tm
from torchml_core.dataset import Dataset, Example
from torchml_core.training import Trainer, fit_linear
from torchml_core.training.losses import Loss, Totals

CUTOFF = 3.2
SPECIES = ("C", "Si")
REFERENCES = {"C": -150.0, "Si": -7890.5}


def descriptor(species=SPECIES):
    functions = [("g2", [[0.3, 0.0], [0.8, 1.9]]), ("g4", [[1, 1, 0.05]])]
    return tm.SymmetryFunctions(list(species), CUTOFF, functions)


def structures(n=12):
    """Crystals of two elements, and a molecule."""
    random = np.random.default_rng(5)
    made = []
    for k in range(n):
        atoms = bulk("SiC", "zincblende", a=4.3 + 0.03 * k, cubic=True)
        atoms.rattle(0.1, seed=k)
        atoms.symbols = random.choice(SPECIES, len(atoms))
        made.append(Atoms(atoms.symbols, atoms.positions) if k == 3 else atoms)
    return made


@pytest.fixture(scope="module")
def data():
    """Labels of a quadratic model; one structure has none, one only forces."""
    d, random = descriptor(), np.random.default_rng(1)
    truth = tm.nn.ElementPolynomials(d, 2)
    with torch.no_grad():
        truth.linear.copy_(torch.from_numpy(random.normal(size=(2, 3))))
        truth.quadratic.copy_(torch.from_numpy(0.3 * random.normal(size=(2, 3, 3))))
    made = structures()
    (batch,) = Dataset.from_atoms(made).batches(d, 99)
    out = tm.nn.DescriptorModel(d, truth, reference_energies=REFERENCES)(batch)
    for k, atoms in enumerate(made):
        labels = {"forces": out.forces[batch.structure == k].detach().numpy()}
        if k != 5:
            labels["energy"] = out.energy[k].item()
            if atoms.cell.rank == 3:
                labels["stress"] = out.stress[k].detach().numpy()
        atoms.calc = SinglePointCalculator(atoms, **({} if k == 7 else labels))
    return Dataset.from_atoms(made)


def network(dtype=torch.float64, **arguments):
    torch.manual_seed(0)
    return tm.nn.ElementNetworks(descriptor(), hidden=(8,), dtype=dtype, **arguments)


def settings(**more):
    return {"reference_energies": REFERENCES, "batch_size": 4, "learning_rate": 0.02, **more}


def size_of(name, data):
    """The root mean square of a label, energies per atom without those of free atoms."""
    if name == "energy":
        found = [
            (e.energy - sum(REFERENCES[s] for s in e.atoms.symbols)) / e.n_atoms
            for e in data
            if e.energy is not None
        ]
    else:
        found = [getattr(e, name) for e in data if getattr(e, name) is not None]
        found = np.concatenate([a.ravel() for a in found])
    return float(np.sqrt(np.mean(np.square(found))))


def weights_of(trainer):
    return torch.cat([p.detach().ravel() for p in trainer.network.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_it_learns_and_is_saved(data, dtype, tmp_path):
    """The portable model has the results of the trained one, and the errors that it claims."""
    trainer = Trainer(
        descriptor(), network(dtype), **settings(weights={"energy": 1}, scaling="sigma")
    )
    before = torch.random.get_rng_state()
    history = trainer.fit(data, epochs=40, validation=data)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert [epoch.number for epoch in history] == list(range(1, 41))
    assert history[0].learning_rate > history[-1].learning_rate
    best = min(history, key=lambda epoch: epoch.validation_loss)
    assert set(best.validation_errors) == {"energy", "forces", "stress"}
    for name, error in best.validation_errors.items():
        assert error < 0.5 * size_of(name, data), name
        assert trainer.errors(data)[name] == pytest.approx(error, rel=1e-9)
    saved = trainer.save(tmp_path / "model", license="MIT")
    assert saved.card.reference_energies == REFERENCES
    assert set(saved.card.training_range) == set(SPECIES)
    squares = []
    for example in data:
        p = saved.evaluate(example.atoms).fold()
        if example.energy is not None:
            squares.append(((p.energy - example.energy) / example.n_atoms) ** 2)
    rel = 1e-9 if dtype == torch.float64 else 1e-3
    assert np.sqrt(np.mean(squares)) == pytest.approx(best.validation_errors["energy"], rel=rel)
    assert not list(p.extrapolation)


def test_a_seed_gives_the_same_weights(data):
    def trained(**more):
        trainer = Trainer(descriptor(), network(), **settings(**more))
        trainer.fit(data, epochs=3)
        return weights_of(trainer)

    first = trained()
    assert torch.equal(first, trained())
    assert not torch.equal(first, trained(seed=1))


@pytest.mark.slow
def test_the_best_weights_are_kept_and_training_ends_early(data):
    """With a rate that rises, the first epochs are the best ones."""
    kept = []

    def keep(trainer, epoch):
        kept.append(weights_of(trainer))

    trainer = Trainer(
        descriptor(),
        network(),
        **settings(patience=3, schedule=lambda progress: 200.0**progress, callbacks=[keep]),
    )
    history = trainer.fit(data, epochs=60)
    best = min(range(len(history)), key=lambda k: history[k].validation_loss)
    assert len(history) == len(kept) == best + 1 + 3 < 60
    assert torch.equal(weights_of(trainer), kept[best])
    assert trainer.history is history


def test_a_callback_ends_training(data):
    trainer = Trainer(descriptor(), network(), **settings(callbacks=[lambda _, e: e.number == 2]))
    assert len(trainer.fit(data, epochs=9)) == 2


def test_without_validation_the_last_weights_are_kept(data):
    last = []
    trainer = Trainer(
        descriptor(), network(), **settings(callbacks=[lambda t, _: last.append(weights_of(t))])
    )
    history = trainer.fit(data, epochs=2, validation=0)
    assert history[-1].validation_loss is None
    assert history[-1].validation_errors == {}
    assert torch.equal(weights_of(trainer), last[-1])


def test_averaged_weights(data):
    """After one epoch of 3 steps: the mean that the decay says of the weights of each step."""
    seen = []

    class Watched(torch.optim.SGD):
        def step(self, *arguments):
            super().step(*arguments)
            seen.append(torch.cat([p.detach().ravel() for p in self.param_groups[0]["params"]]))

    trainer = Trainer(descriptor(), network(), **settings(optimizer=Watched, average=0.9))
    trainer.fit(data, epochs=1)
    mean = seen[0]
    for weights in seen[1:]:
        mean = 0.9 * mean + 0.1 * weights
    assert len(seen) == 3
    torch.testing.assert_close(weights_of(trainer), mean)


def test_long_gradients_are_clipped(data):
    trainer = Trainer(
        descriptor(),
        network(),
        **settings(optimizer=torch.optim.SGD, learning_rate=1.0, max_gradient_norm=1e-3),
        schedule="constant",
    )
    start = weights_of(trainer)
    trainer.fit(data, epochs=1, validation=0.1)
    assert 0 < (weights_of(trainer) - start).norm() <= 3.001e-3  # 3 steps


@pytest.mark.slow
def test_warm_start(data, tmp_path):
    """Training begins at the linear model; float32 networks on top of it are saved too."""
    d = descriptor()
    fit = fit_linear(d, data, isolated=REFERENCES)
    both = tm.nn.WithLinear(fit.module, network(torch.float32))
    trainer = Trainer(
        d, both, batch_size=4, learning_rate=0.01, scaling="sigma", weights={"energy": 3}
    )
    start = trainer.errors(data)
    linear = Trainer(d, fit.module).errors(data)
    assert start == pytest.approx(linear)
    trainer.fit(data, epochs=40, validation=data)
    found = trainer.errors(data)
    assert found["energy"] < 0.7 * start["energy"]
    assert found["forces"] < 1.2 * start["forces"]
    assert trainer.model.reference_energies == {"C": 0, "Si": 0}  # the linear part has them
    saved, atoms = trainer.save(tmp_path / "model"), data[0].atoms
    (batch,) = data.select([0]).batches(d, 1)
    out = trainer.model(batch)
    expected = saved.evaluate(atoms).fold()
    assert out.energy.item() == pytest.approx(expected.energy, rel=1e-12)
    np.testing.assert_allclose(out.forces.detach(), expected.forces, atol=1e-6)
    other = tm.nn.ElementNetworks(descriptor(("Si", "C")), hidden=(3,))
    with pytest.raises(tm.InputError, match=r"network: its species are \['Si', 'C'\]"):
        tm.nn.WithLinear(fit.module, other)
    with pytest.raises(tm.InputError, match="linear = 3: an ElementPolynomials is needed"):
        tm.nn.WithLinear(3, other)


def test_one_element_and_any_module(tmp_path):
    """The portable model takes the descriptor alone, as other drivers call it."""
    d = descriptor(["Si"])
    made = [bulk("Si", a=5.2 + 0.1 * k) for k in range(6)]
    for k, atoms in enumerate(made):
        atoms.calc = SinglePointCalculator(atoms, energy=-10.0 + 0.1 * k)
    data = Dataset.from_atoms(made)
    torch.manual_seed(1)
    trainer = Trainer(d, torch.nn.Linear(3, 1, dtype=torch.float64))
    trainer.fit(data, epochs=2, validation=0)
    assert trainer.model.reference_energies == pytest.approx({"Si": -4.875})
    saved = trainer.save(tmp_path / "model")
    (batch,) = data.batches(d, 9)
    energies = [saved.evaluate(atoms).energy for atoms in made]
    np.testing.assert_allclose(trainer.model(batch).energy.detach(), energies, rtol=1e-12)
    assert "descriptor" in (tmp_path / "model" / "model.param").read_text()
    assert saved.parameters.n_inputs in (None, 1)


def test_a_descriptor_that_does_not_know_species(data, tmp_path):
    """And a module of two elements that takes the descriptor alone; the parts differ in species."""
    d = tm.Xi(2, CUTOFF)
    torch.manual_seed(1)
    net = torch.nn.Linear(d.width, 1, dtype=torch.float64)
    net.species = SPECIES
    trainer = Trainer(d, net)
    only = Dataset.from_atoms([_with_calculator(_single(k), 0) for k in range(2)])
    trainer.fit(data, epochs=1, validation=only)
    atoms = data[0].atoms
    (batch,) = data.select([0]).batches(d, 1, species=SPECIES)
    found = trainer.save(tmp_path / "model").evaluate(atoms)
    assert trainer.model(batch).energy.item() == pytest.approx(found.energy, rel=1e-12)
    assert not list(found.extrapolation)


def _single(k):
    """An atom of silicon without neighbors."""
    return Example(Atoms("Si", [[k, 0.0, 0.0]]), str(k), energy=-7890.5, forces=np.zeros((1, 3)))


def test_the_loss_is_what_it_says(data):
    """Against sums over structures, with missing labels and weights."""
    d = descriptor()
    examples = [*data.select(range(6))]
    weighted = Dataset.from_atoms(
        [_with_calculator(e, k % 2) for k, e in enumerate(examples)], weights={"1": 0.5}
    )
    (batch,) = weighted.batches(d, 9)
    out = tm.nn.DescriptorModel(d, network(), reference_energies=REFERENCES)(batch)
    for kind, delta in (("mse", 1.0), ("huber", 0.3)):
        totals = Totals(Loss({"energy": 4.0}, kind, delta))
        loss = totals.add(out, batch)
        expected = 0.0
        for name, weight in (("energy", 4.0), ("forces", 1.0), ("stress", 10.0)):
            terms = []
            for k, e in enumerate(weighted):
                if getattr(e, name) is None:
                    continue
                found = getattr(out, name).detach().numpy()
                found = found[batch.structure == k] if name == "forces" else found[k]
                r = np.ravel(found - getattr(e, name))
                if name != "forces":
                    r = r / e.n_atoms
                if name == "stress":
                    r = r * e.atoms.get_volume()
                r = math.sqrt(weight) * r
                square = r**2
                if kind == "huber":
                    square = np.where(abs(r) < delta, r**2, delta * (2 * abs(r) - delta))
                terms.append(e.weight * square)
            expected += np.concatenate(terms).mean()
        assert loss.item() == pytest.approx(expected, rel=1e-12)
        assert totals.loss() == pytest.approx(expected, rel=1e-12)


def _with_calculator(example, kind):
    atoms = example.atoms.copy()
    atoms.info["config_type"] = str(kind)
    names = ("energy", "forces", "stress")
    labels = {n: getattr(example, n) for n in names if getattr(example, n) is not None}
    atoms.calc = SinglePointCalculator(atoms, **labels)
    return atoms


def test_what_is_refused(data):
    d = descriptor()
    for arguments, message in (
        ({"optimizer": 3}, "optimizer = 3: a class of torch.optim"),
        ({"optimizer": "moon"}, "optimizer = 'moon'"),
        ({"optimizer": lambda parameters, lr: None}, "returns a torch.optim.Optimizer is needed"),
        ({"learning_rate": 0}, "learning_rate = 0"),
        ({"schedule": "linear"}, "schedule = 'linear'"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"weights": {"energies": 1}}, "a dict with keys of energy, forces, stress is needed"),
        ({"weights": {"energy": -1}}, r"weights\['energy'\] = -1"),
        ({"loss": "mae"}, "loss = 'mae'"),
        ({"huber_delta": 0}, "huber_delta = 0"),
        ({"max_gradient_norm": -1}, "max_gradient_norm = -1"),
        ({"average": 1}, "average = 1"),
        ({"patience": 0}, "patience = 0"),
        ({"scaling": "whole"}, "scaling = 'whole'"),
        ({"callbacks": [1]}, r"callbacks = \[1\]"),
        ({"callbacks": 1}, "callbacks = 1"),
        ({"seed": -1}, "seed = -1"),
        ({"torch_threads": 0}, "torch_threads = 0"),
    ):
        with pytest.raises(tm.InputError, match=message):
            Trainer(d, network(), **settings(**arguments)).fit(data, epochs=1)
    trainer = Trainer(d, network())
    for arguments, message in (
        ({"data": 3}, "data = 3: a Dataset is needed"),
        ({"epochs": 0}, "epochs = 0"),
        ({"validation": 1.5}, "fraction = 1.5"),
        ({"data": data.select([7])}, "energies, forces or stresses are needed"),
    ):
        with pytest.raises(tm.InputError, match=message):
            trainer.fit(**{"data": data, "epochs": 1, **arguments})
    with pytest.raises(tm.InputError, match="data = 3: a Dataset is needed"):
        trainer.errors(3)
    with pytest.raises(tm.InputError, match="validation: structures with labels are needed for pa"):
        Trainer(d, network(), patience=3).fit(data, validation=0)
    frozen = network().requires_grad_(False)
    with pytest.raises(tm.InputError, match="a network with parameters to train is needed"):
        Trainer(d, frozen).fit(data, epochs=1)


def test_a_training_that_diverges_says_so(data):
    trainer = Trainer(
        descriptor(), network(), **settings(optimizer=torch.optim.SGD, learning_rate=1e300)
    )
    with pytest.raises(tm.ModelError, match="a lower learning_rate, or a max_gradient_norm"):
        trainer.fit(data, epochs=9)


@pytest.mark.slow
def test_a_loop_of_ones_own(data):
    """Without Trainer, in plain torch, with missing labels."""
    d = descriptor()
    batches = data.batches(d, 4, seed=0)
    net = network()
    net.fit_scaling(*batches.values())
    model = tm.nn.DescriptorModel(d, net, reference_energies=REFERENCES)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
    means = []
    for _ in range(30):
        losses = []
        for batch in batches:
            out = model(batch)
            energies = (out.energy - batch.energy) / batch.n_atoms
            forces = (out.forces - batch.forces)[batch.has_forces[batch.structure]]
            stress = (out.stress - batch.stress)[batch.has_stress]
            loss = 10 * energies[batch.has_energy].pow(2).mean() + forces.pow(2).mean()
            loss = loss + 100 * stress.pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        schedule.step()
        means.append(np.mean(losses))
    assert means[-1] < 0.05 * means[0]
