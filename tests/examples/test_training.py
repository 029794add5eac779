"""The training script on a few examples: what it does is checked, how good it gets is not."""

import numpy as np
import pytest
import torch
from ase.calculators.singlepoint import SinglePointCalculator
from structures import rattled_silicon

import torchml_core as tm
from torchml_core.training.run import read_settings, train
from torchml_core.training.run.screen import Screen


@pytest.fixture
def sets(script, example_model):
    """Made with the Stillinger-Weber model: one example has a temperature, so no energy counts."""
    sw, data = example_model("StillingerWeber_Si"), script("silicon_data")

    def example(seed, temperature=None):
        atoms = rattled_silicon(1, seed=seed, amplitude=0.03 * (1 + seed))
        prediction = sw.evaluate(atoms).fold()
        return data.Example(atoms, prediction.energy, prediction.forces, temperature, str(seed))

    return {
        "train": [example(seed, 300 if seed == 2 else None) for seed in range(6)],
        "validation": [example(seed) for seed in (6, 7)],
        "test": [example(8), example(9, 600)],
    }


@pytest.mark.slow
def test_training_lowers_the_loss_and_repeats(script, sets):
    runs = [
        script("train_graph").train(sets, epochs=25, report=lambda line: None) for _ in range(2)
    ]
    losses = runs[0][-1]
    assert losses[-1]["train"] < 0.5 * losses[0]["train"]
    assert losses[-1]["validation"] < losses[0]["validation"]
    assert runs[1][-1] == losses
    for first, second in zip(runs[0][-2].parameters(), runs[1][-2].parameters(), strict=True):
        assert torch.equal(first, second)


def test_the_best_weights_of_the_epochs_are_kept(script, sets):
    module, training = script("train_graph"), script("training")
    network, losses = module.train(sets, epochs=3, report=lambda line: None)
    samples = [module.Sample(example) for example in sets["validation"]]
    found = training.mean_loss(network, module.atom_energies, samples)
    assert found == min(epoch["validation"] for epoch in losses)


def test_the_loss_counts_energies_of_crystals_only(script, sets):
    module, training = script("train_graph"), script("training")
    torch.manual_seed(0)
    network = module.GraphNetwork(module.CUTOFF, -4.0)
    for example in sets["test"]:
        sample = module.Sample(example)
        energies = module.atom_energies(network, sample)
        (gradient,) = torch.autograd.grad(energies.sum(), sample.positions)
        expected = np.mean((-gradient.numpy() - example.forces) ** 2)
        if example.temperature is None:
            error = (float(energies.detach().sum()) - example.energy) / len(example.atoms)
            expected += training.ENERGY_WEIGHT * error**2
        found = float(training.loss(network, module.atom_energies, sample).detach())
        assert found == pytest.approx(expected, rel=1e-12)


def test_a_trained_model_is_written_with_its_errors(script, sets, tmp_path, capsys):
    module, training, data = (script(n) for n in ("train_graph", "training", "silicon_data"))
    network = module.GraphNetwork(module.CUTOFF, -4.0)
    settings = {"species": ["Si"], "cutoff": module.CUTOFF, "convention": "graph", "n_layers": 2}
    for _ in range(2):  # the second time over the first
        model = training.write_model(tmp_path, sets, model=network, **settings)
    assert "forces_meV_per_A" in capsys.readouterr().out
    test = data.errors(model, sets["test"])
    assert (test["configurations"], test["crystals"]) == (2, 1)
    predictions = [model.evaluate(e.atoms).fold() for e in sets["test"]]
    energy = [(p.energy - e.energy) / 8 for p, e in zip(predictions, sets["test"], strict=True)]
    forces = np.stack([p.forces - e.forces for p, e in zip(predictions, sets["test"], strict=True)])
    assert test["energy_meV_per_atom"]["rmse"] == pytest.approx(1e3 * abs(energy[0]))
    assert test["energy_meV_per_atom"]["mae"] == pytest.approx(1e3 * abs(energy[0]))
    assert test["forces_meV_per_A"]["rmse"] == pytest.approx(1e3 * np.sqrt(np.mean(forces**2)))
    assert test["forces_meV_per_A"]["mae"] == pytest.approx(1e3 * np.mean(np.abs(forces)))
    excess = test["excess_of_dynamics_meV_per_atom"]
    assert excess["600 K"] == pytest.approx({"mean": -1e3 * energy[1], "std": 0.0})


def test_the_configuration_of_the_command(script, sets, examples, tmp_path):
    """That of SymmetryFunctions_Si, on the files that the script writes, for one epoch."""
    data = script("silicon_data")
    for part in sets.values():
        for example in part:
            example.atoms.calc = SinglePointCalculator(
                example.atoms, energy=example.energy, forces=example.forces
            )
    data.write_sets(sets, tmp_path)
    text = (examples / "models" / "symmetry_functions_si.yaml").read_text()
    assert "epochs: 60" in text
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("epochs: 60", "epochs: 1"))
    settings = read_settings(path)
    done = train(settings, screen=Screen(quiet=True))
    assert (tmp_path / settings.output / "model" / "model.json").is_file()
    assert done.errors["test"].by_kind["all"]["forces"][1] == 3 * sum(
        len(example.atoms) for example in sets["test"]
    )
    stored = tm.PortableModel.load(examples / "models" / "SymmetryFunctions_Si").descriptor
    assert stored == done.model.descriptor


def test_the_split_keeps_blocks_together_and_every_kind_everywhere(silicon_sets, silicon_frames):
    names = {name: {e.atoms.info["name"] for e in part} for name, part in silicon_sets.items()}
    assert sum(map(len, silicon_sets.values())) == len(set.union(*names.values()))
    assert set.union(*names.values()) == {atoms.info["name"] for atoms in silicon_frames(":")}
    blocks = {name: {e.block for e in part} for name, part in silicon_sets.items()}
    assert len(set.union(*blocks.values())) == sum(map(len, blocks.values()))
    for part in silicon_sets.values():
        assert {e.temperature for e in part} == {None, 300, 600, 900}


def test_the_split_is_always_the_same(silicon_sets, script):
    examples = [example for part in silicon_sets.values() for example in part]
    again = script("silicon_data").split(examples[::-1])
    for name, part in silicon_sets.items():
        assert {id(e) for e in again[name]} == {id(e) for e in part}
